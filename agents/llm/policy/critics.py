"""What values states: a head on features, and where the features come from.

| kind | features | a pass of its own | what its loss trains |
|---|---|---|---|
| `detached` | the policy's, detached | no | the head |
| `shared` | the policy's | no | head and policy |
| `adapter` | the frozen base's, by an adapter of its own | yes | head and that adapter |
| `copy` | a copy of the trunk at the start | yes | head and copy |

An adapter needs a base that stays as it is, so `adapter` comes with `policy.adapter` alone. It starts as the policy's
adapter does: heads that were trained on the policy's features fit. The same holds for `copy`.
"""

import copy
from typing import Any, Literal

import torch
from torch import Tensor, nn

from rlenvs.agents.llm.policy.adapters import CRITIC, base_of, duplicate, has_adapters
from rlenvs.errors import ConfigError

CriticKind = Literal["detached", "shared", "adapter", "copy"]


class Critic(nn.Module):
    """A value head in float32 that starts at zero (V = 0), and its trunk where it has one.

    Args:
        kind: where the features come from.
        model: the policy's model; an adapter is added to it for `adapter`.

    Raises:
        ConfigError: this model cannot have such a critic.
    """

    def __init__(self, kind: CriticKind, model: Any) -> None:
        super().__init__()
        self.kind = kind
        # skip_init: the usual random weights would be drawn from the global stream only to be overwritten.
        width = base_of(model).config.get_text_config().hidden_size
        self.head: nn.Linear = nn.utils.skip_init(nn.Linear, width, 1, dtype=torch.float32, device=model.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.trunk = _copy_of_trunk(model) if kind == "copy" else None
        if kind == "adapter":
            if not has_adapters(model):
                raise ConfigError("ppo.critic: 'adapter' needs a base that stays as it is: set policy.adapter")
            duplicate(model, CRITIC, trainable=True)

    @property
    def has_own_pass(self) -> bool:
        """Whether its features cost a forward pass."""
        return self.kind in ("adapter", "copy")

    def values(self, features_MD: Tensor) -> Tensor:
        """Return V `[M]`, float32."""
        values_M1: Tensor = self.head(features_MD.float())
        return values_M1[:, 0]


def _copy_of_trunk(model: Any) -> Any:
    """Return the trunk as a model of its own in float32, adapters merged, all of it trained."""
    base = base_of(model)
    if getattr(base, "is_quantized", False):
        raise ConfigError("ppo.critic: 'copy' would train a copy of quantised weights: use 'adapter' or 'detached'")
    if has_adapters(model):
        base = copy.deepcopy(model).merge_and_unload()
        trunk = base.base_model
    else:
        trunk = copy.deepcopy(base.base_model)
    return trunk.float().requires_grad_(True).eval()
