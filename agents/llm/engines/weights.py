"""A policy's weights under the names and in the form of an ordinary checkpoint."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.engines.architecture import base_of


@torch.no_grad()
def checkpoint_weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield every weight of the model as `save_pretrained` would name it, adapters merged.

    The model itself is not changed: merging and unmerging in place would leave rounding behind at every update.

    Args:
        model: a causal language model, with or without adapters of peft.

    Yields:
        names and tensors; merged ones are new, the others are the live ones.
    """
    base = base_of(model)
    modules = dict(base.named_modules())
    for name, parameter in base.named_parameters():
        owner, _, kind = name.rpartition(".")
        if ".lora_" in name or ".modules_to_save." in name:
            continue
        inner = owner.removesuffix(".base_layer")
        if inner != owner and kind == "weight":
            layer = modules[inner]
            merged = parameter
            for adapter in () if layer.disable_adapters else layer.active_adapters:
                merged = merged + layer.get_delta_weight(adapter).to(parameter.dtype)
            yield f"{inner}.weight", merged
        else:
            yield name.replace(".base_layer.", ".").replace(".original_module.", "."), parameter
