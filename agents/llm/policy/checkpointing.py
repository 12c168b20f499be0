"""Gradient checkpointing of decoder layers, in our passes alone.

transformers checkpoints the layers that are in training mode. In training mode there would also be dropout, and engines
that sample with a cache would lose it. So the layers, and only they, are in training mode while a pass of ours runs.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from torch.utils.checkpoint import checkpoint

from rlenvs.errors import ConfigError
from rlenvs.extras import require

Contexts = Callable[[], tuple[AbstractContextManager[None], AbstractContextManager[None]]]


def prepare(trunk: Any, contexts: Contexts | None) -> list[Any]:
    """Ready a trunk for checkpointing.

    Args:
        trunk: a model of `transformers`.
        contexts: called when a layer is run; gives the contexts of this run and of the one in the backward pass.

    Returns:
        Its layers.

    Raises:
        ConfigError: its layers cannot be checkpointed.
    """
    modeling = require("transformers.modeling_layers", "llm", "memory.gradient_checkpointing")
    layers = [module for module in trunk.modules() if isinstance(module, modeling.GradientCheckpointingLayer)]
    if not layers:
        raise ConfigError(f"memory.gradient_checkpointing: the layers of {trunk.config.model_type!r} do not support it")
    # Dropout is off: nothing in a layer is random.
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
    if contexts is not None:
        options["context_fn"] = contexts
    for layer in layers:
        layer.gradient_checkpointing = True
        layer._gradient_checkpointing_func = partial(checkpoint, **options)
        for key, value in vars(layer).items():  # some layers call the function, not the module
            if "dropout" in key and isinstance(value, float):
                setattr(layer, key, 0.0)
    return layers


@contextmanager
def checkpointed(layers: list[Any]) -> Iterator[None]:
    """Checkpoint these layers while a pass runs."""
    for layer in layers:
        layer.training = True
    try:
        yield
    finally:
        for layer in layers:
            layer.training = False
