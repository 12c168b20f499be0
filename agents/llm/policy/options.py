"""How a policy's passes are computed: none of it changes what is learned beyond rounding."""

from dataclasses import dataclass
from typing import Literal

import torch

from rlenvs.agents.llm.config import MemoryConfig


@dataclass(frozen=True, slots=True)
class ForwardOptions:
    """Precision and memory of scoring and training passes.

    Attributes:
        logprob_chunk: tokens whose logits exist at the same time.
        autocast: type of the matrix products; None: that of the weights.
        gradient_checkpointing: compute the activations of a layer again in the backward pass.
        packing: put sequences one behind the other instead of padding them; a policy decides what `auto` means for it.
        compile: `torch.compile` the trunk.
    """

    logprob_chunk: int = 1_024
    autocast: torch.dtype | None = None
    gradient_checkpointing: bool = False
    packing: bool | Literal["auto"] = False
    compile: bool = False

    @classmethod
    def from_config(cls, config: MemoryConfig) -> "ForwardOptions":
        """Read them off a configuration.

        Example:
            >>> ForwardOptions.from_config(MemoryConfig(autocast="bfloat16")).autocast
            torch.bfloat16
        """
        return cls(
            logprob_chunk=config.logprob_chunk,
            autocast=None if config.autocast is None else getattr(torch, config.autocast),
            gradient_checkpointing=config.gradient_checkpointing,
            packing=config.packing,
            compile=config.compile,
        )
