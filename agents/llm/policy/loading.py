"""From a folder or a hub id to a policy and its reference."""

import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from rlenvs.agents.llm.config import MemoryConfig, PolicyConfig
from rlenvs.agents.llm.policy import adapters
from rlenvs.agents.llm.policy.critics import CriticKind
from rlenvs.agents.llm.policy.folders import load_critic
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.policy.reference import AdapterOff, FrozenCopy, Reference
from rlenvs.errors import ModelLoadError, UserError
from rlenvs.extras import require

# What transformers, tokenizers, peft and safetensors raise for folders that are not what they claim to be.
LOAD_ERRORS = (OSError, ValueError, LookupError, TypeError, RuntimeError, AttributeError, ImportError, SafetensorError)

CONFIG_FILE = "config.json"
HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
TOKENIZER_FILES = ("token*", "vocab*", "*.model")
MODELS_OF_A_RUN = ("model", "best")

logger = logging.getLogger(__name__)


def load_policy(
    source: str | Path,
    device: torch.device,
    config: PolicyConfig | None = None,
    memory: MemoryConfig | None = None,
    critic: CriticKind = "detached",
    seed: int = 0,
) -> Policy:
    """Load a folder or a hub id, with the critic where the folder has one.

    A folder in PEFT format is loaded with the base that it names. Where an adapter is to be trained, training goes on
    with it; where all weights are, it is merged into them.

    Args:
        source: a folder made by `save_pretrained` of transformers or peft, or a hub id.
        device: where the weights go.
        config: what of it is trained, and how the rest is held; None: as it is in the folder, in float32.
        memory: how passes are computed.
        critic: where values come from.
        seed: of a new adapter's initial weights.

    Raises:
        ModelLoadError: it cannot be loaded; the message says why.
        ConfigError: the model cannot be trained as the configuration says.
        MissingExtraError: transformers, peft or bitsandbytes is not installed.
    """
    require("transformers", "llm", "loading a language model")
    check_source(source)
    options = ForwardOptions() if memory is None else ForwardOptions.from_config(memory)
    try:
        model, tokenizer = _load_model(source, device, config, seed)
        policy = Policy(model.to(device), tokenizer, critic, options)
        load_critic(model, policy.critic, source)
    except UserError:
        raise
    except LOAD_ERRORS as error:
        raise _load_error(source, error) from error
    if tokenizer.pad_token_id is None:
        logger.info("%s has no padding token: its end-of-sequence token fills the masked places", source)
    return policy


def load_reference(
    policy: Policy,
    source: str | Path,
    config: PolicyConfig | None = None,
    memory: MemoryConfig | None = None,
) -> Reference:
    """Return the reference of a policy that was just loaded and has not been trained yet.

    Args:
        policy: what `load_policy` returned.
        source: where it came from.
        config: as for `load_policy`.
        memory: as for `load_policy`.
    """
    if policy.has_adapters:
        return AdapterOff(policy, start_is_base=_adapter_folder(source) is None)
    return FrozenCopy(load_policy(source, policy.device, config, memory))


def _load_model(source: str | Path, device: torch.device, config: PolicyConfig | None, seed: int) -> tuple[Any, Any]:
    """Return the model, with adapters where they are to be trained, and the tokenizer."""
    transformers = require("transformers", "llm", "loading a language model")
    adapter = _adapter_folder(source)
    base = source if adapter is None else _base_of_adapter(source)
    wanted = None if config is None else config.adapter
    # An adapter that is saved names its base by this, and may be loaded from elsewhere.
    place = os.path.abspath(base) if wanted is not None and Path(base).is_dir() else base
    model = transformers.AutoModelForCausalLM.from_pretrained(place, **_arguments(config, device))
    tokenizer = _load_tokenizer(source, base)
    if adapter is not None:
        model = adapters.load(model, source)
        if config is not None and wanted is None:
            model = model.merge_and_unload().requires_grad_(True)
        elif wanted is not None:
            adapters.check_same(model, wanted, source)
    elif wanted is not None:
        model = adapters.attach(model, wanted, seed)
    return model, tokenizer


def _arguments(config: PolicyConfig | None, device: torch.device) -> dict[str, Any]:
    """Return keyword arguments of `from_pretrained`."""
    if config is None:
        return {"dtype": torch.float32}
    dtype = getattr(torch, config.dtype)
    found: dict[str, Any] = {"dtype": dtype}
    if config.attention != "auto":
        found["attn_implementation"] = config.attention
    if config.quantize is not None:
        transformers = require("transformers", "llm", "loading a language model")
        require("bitsandbytes", "quantize", f"policy.quantize: {config.quantize}")
        four = config.quantize == "4bit"
        found["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_8bit=not four, load_in_4bit=four, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
        )
        found["device_map"] = {"": device}
    return found


def _load_tokenizer(source: str | Path, base: str | Path) -> Any:
    """Load the tokenizer that lies with an adapter, or else that of its base.

    Raises:
        ModelLoadError: there is none.
    """
    transformers = require("transformers", "llm", "loading a tokenizer")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(source)
    except LOAD_ERRORS as error:
        if str(base) == str(source):
            folder = Path(source)
            if folder.is_dir() and not any(any(folder.glob(pattern)) for pattern in TOKENIZER_FILES):
                raise _no_tokenizer(source) from error
            raise
        tokenizer = transformers.AutoTokenizer.from_pretrained(base)
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):  # what transformers makes of some folders without one
        raise _no_tokenizer(source)
    return tokenizer


def _no_tokenizer(source: str | Path) -> ModelLoadError:
    return ModelLoadError(f"{str(source)!r} has no tokenizer: save the one of the model there with save_pretrained")


def _adapter_folder(source: str | Path) -> str | None:
    """Return where the description of an adapter is; None for a source that is a model."""
    from transformers.utils.peft_utils import find_adapter_config_file

    if Path(source).exists():
        file = Path(source) / adapters.ADAPTER_FILE
        return str(file) if file.is_file() else None
    return find_adapter_config_file(str(source))


def _base_of_adapter(source: str | Path) -> str:
    """Return what an adapter says that it was trained on, or the base in its run folder where that was moved.

    Raises:
        ModelLoadError: it does not say.
    """
    from rlenvs.agents.runs.names import START

    peft = require("peft", "llm", "loading an adapter")
    base = peft.PeftConfig.from_pretrained(str(source)).base_model_name_or_path
    if not base:
        raise ModelLoadError(
            f"{str(source)!r} is an adapter that does not name its base: set base_model_name_or_path in "
            f"its {adapters.ADAPTER_FILE}"
        )
    beside = Path(source).resolve().parent / START
    return str(beside if Path(base).is_absolute() and not Path(base).exists() and beside.is_dir() else base)


def check_source(source: str | Path) -> None:
    """Refuse what can be neither a model folder nor a hub id, before anything is loaded.

    Raises:
        ModelLoadError: says what is there instead, and the model folder of a run where it is a run.
    """
    path = Path(source)
    if path.is_dir():
        if _is_model(path):
            return
        inside = next((name for name in MODELS_OF_A_RUN if _is_model(path / name)), None)
        hint = "" if inside is None else f"; did you mean {str(path / inside)!r}?"
        raise ModelLoadError(f"{str(source)!r} is no model folder (no {CONFIG_FILE} in it){hint}")
    if path.exists():
        raise ModelLoadError(f"{str(source)!r} is a file: name the folder that save_pretrained made, or a hub id")
    if not HUB_ID.fullmatch(str(source)):
        raise ModelLoadError(f"there is no folder {str(source)!r}, and a hub id is like 'name' or 'owner/name'")


def _is_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (CONFIG_FILE, adapters.ADAPTER_FILE))


def _load_error(source: str | Path, error: BaseException) -> ModelLoadError:
    kind = "folder" if Path(source).exists() else "hub id (and no folder of that name exists here)"
    first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelLoadError(f"cannot load {kind} {str(source)!r} as a causal language model: {first_line}")
