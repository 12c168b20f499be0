"""A policy's weights under the names and in the form of an ordinary checkpoint."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.policy.adapters import base_of
from rlenvs.errors import EngineError


@torch.no_grad()
def checkpoint_weights(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Yield every weight of the model as `save_pretrained` would name it, adapters merged.

    The model itself is not changed: merging and unmerging in place would leave rounding behind at every update.

    Args:
        model: a causal language model, with or without adapters of peft.

    Yields:
        names and tensors; merged ones are new, the others are the live ones.

    Raises:
        EngineError: the weights are quantised.
    """
    base = base_of(model)
    modules = dict(base.named_modules())
    for name, parameter in base.named_parameters():
        if not parameter.is_floating_point():
            raise EngineError(f"weight {name!r} is quantised and cannot be handed over; send the adapter alone")
        owner, _, kind = name.rpartition(".")
        if ".lora_" in name or ".modules_to_save." in name:
            continue
        if ".original_module" in name:
            yield _replaced(modules, owner, kind, parameter)
        elif owner.endswith(".base_layer"):
            adapted = owner.removesuffix(".base_layer")
            yield f"{adapted}.{kind}", _merged(modules[adapted], kind, parameter)
        else:
            yield name, parameter


def _merged(layer: Any, kind: str, parameter: Tensor) -> Tensor:
    """Return a weight of an adapted layer with its active adapters in it."""
    if layer.disable_adapters or kind != "weight":
        return parameter
    merged = copy.deepcopy(layer)  # one layer at a time
    merged.merge()
    weight: Tensor = merged.get_base_layer().weight
    return weight.detach()


def _replaced(modules: dict[str, Any], owner: str, kind: str, parameter: Tensor) -> tuple[str, Tensor]:
    """Return the weight that an adapter has in place of the model's own."""
    name = owner.removesuffix(".original_module")
    wrapper = modules[name]
    for adapter in () if wrapper.disable_adapters else wrapper.active_adapters:
        if adapter in wrapper.modules_to_save:
            return f"{name}.{kind}", getattr(wrapper.modules_to_save[adapter], kind)
    return f"{name}.{kind}", parameter
