"""The files of a policy: ordinary `save_pretrained` folders, and what is ours beside them.

```
config.json, model.safetensors      or adapter_config.json, adapter_model.safetensors where an adapter was trained
tokenizer.json, ...
value_head.safetensors              a head on the policy's features; others ignore it
critic/                             a critic with features of its own: its adapter or trunk, and its head
```
"""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from rlenvs.agents.llm.policy.adapters import CRITIC, DEFAULT, adapter_parameters, has_adapters
from rlenvs.agents.llm.policy.critics import Critic
from rlenvs.extras import require

VALUE_HEAD_FILE = "value_head.safetensors"


def save_policy(model: Any, tokenizer: Any, critic: Critic, folder: str | Path) -> None:
    """Write model, tokenizer and critic.

    Args:
        model: of the policy.
        tokenizer: of the policy.
        critic: of the policy.
        folder: made where it does not exist.
    """
    folder = Path(folder)
    own = folder / CRITIC
    if has_adapters(model):
        names = [DEFAULT, CRITIC] if critic.kind == "adapter" else [DEFAULT]
        # "auto" would ask the hub whether the vocabulary of the base was changed; nothing here changes it
        model.save_pretrained(folder, selected_adapters=names, save_embedding_layers=False)
    else:
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if critic.trunk is not None:
        critic.trunk.save_pretrained(own)
    head = {name: tensor.detach().cpu().contiguous() for name, tensor in critic.head.state_dict().items()}
    save_file(head, (own if critic.has_own_pass else folder) / VALUE_HEAD_FILE)


def load_critic(model: Any, critic: Critic, folder: str | Path) -> None:
    """Take from a folder what it has of a critic of this kind; what it does not have stays as it is.

    A head on the policy's features also fits features that begin as the policy's.
    """
    folder, own = Path(folder), Path(folder) / CRITIC
    device = str(critic.head.weight.device)
    if not critic.has_own_pass or not (own / VALUE_HEAD_FILE).is_file():
        if (folder / VALUE_HEAD_FILE).is_file():
            critic.head.load_state_dict(load_file(folder / VALUE_HEAD_FILE, device=device))
        return
    if critic.trunk is not None and (own / "config.json").is_file():
        saved = type(critic.trunk).from_pretrained(own, dtype=critic.trunk.dtype)
        critic.trunk.load_state_dict(saved.state_dict())
    elif critic.kind == "adapter" and (own / "adapter_config.json").is_file():
        _load_adapter(model, own)
    else:
        return
    critic.head.load_state_dict(load_file(own / VALUE_HEAD_FILE, device=device))


def _load_adapter(model: Any, folder: Path) -> None:
    utilities = require("peft.utils", "llm", "loading a critic")
    weights = utilities.load_peft_weights(str(folder), device="cpu")
    needed = len(adapter_parameters(model, CRITIC))
    if len(weights) != needed:
        raise ValueError(f"{folder} holds {len(weights)} weights of an adapter that has {needed}")
    utilities.set_peft_model_state_dict(model, weights, adapter_name=CRITIC)
