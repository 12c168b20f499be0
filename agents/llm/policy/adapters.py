"""Low-rank adapters by peft: which there are, which is in use, which parameters are theirs.

Several adapters lie on one frozen base. `default` is the policy's; `critic` may be the critic's; `initial` is what the
policy's adapter was at the start, where that was not nothing: the reference. Using another one for a while changes two
attributes of each adapted layer and nothing else: peft's own switches also decide anew what is trained.
"""

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rlenvs.agents.llm.config import AdapterConfig
from rlenvs.errors import ConfigError, ModelLoadError
from rlenvs.extras import require

DEFAULT, CRITIC, INITIAL = "default", "critic", "initial"
ADAPTER_FILE = "adapter_config.json"
PURPOSE = "policy.adapter"


def base_of(model: Any) -> Any:
    """Return the transformers model inside an adapter of peft, its adapted layers in place; others as they are."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def has_adapters(model: Any) -> bool:
    """Whether peft's adapters lie on the model."""
    return hasattr(model, "get_base_model")


def attach(model: Any, config: AdapterConfig, seed: int = 0) -> Any:
    """Put a new adapter on a model, which is frozen. It changes nothing until it is trained.

    Args:
        model: a causal language model of `transformers`.
        config: rank, layers and kind.
        seed: of the initial weights.

    Returns:
        A `PeftModel`; its adapter weights are float32, whatever the model's are.

    Raises:
        ConfigError: the model has no such layers.
        MissingExtraError: peft is not installed.
    """
    peft = require("peft", "llm", PURPOSE)
    targets: Any = config.target_modules
    lora = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=config.dora,
        use_rslora=config.rslora,
        fan_in_fan_out=_is_transposed(model),
        task_type="CAUSAL_LM",
    )
    # peft draws from torch's global stream; the fork gives it ours and restores the caller's.
    with torch.random.fork_rng(devices=[]), _without_foreign_warnings():
        torch.manual_seed(seed)
        try:
            return peft.get_peft_model(model, lora)
        except ValueError as error:
            raise ConfigError(f"policy.adapter.target_modules: {str(error).splitlines()[0]}") from error


def load(model: Any, folder: str | Path, trainable: bool = True) -> Any:
    """Put the adapter of a folder or hub id on the model that it was made for.

    Raises:
        ModelLoadError: it is no LoRA adapter.
    """
    peft = require("peft", "llm", "loading an adapter")
    kind = peft.PeftConfig.from_pretrained(str(folder)).peft_type
    if kind != peft.PeftType.LORA:
        raise ModelLoadError(f"{str(folder)!r} is an adapter of type {kind}; only LoRA adapters can be trained")
    with _without_foreign_warnings():
        return peft.PeftModel.from_pretrained(model, str(folder), is_trainable=trainable)


def check_same(model: Any, config: AdapterConfig, source: str | Path) -> None:
    """Refuse to go on with an adapter that is not what the configuration describes.

    Raises:
        ConfigError: rank, alpha, kind or the layers that it changes differ.
    """
    loaded = model.peft_config[DEFAULT]
    if isinstance(config.target_modules, list) and loaded.target_modules != set(config.target_modules):
        there = sorted(loaded.target_modules) if isinstance(loaded.target_modules, set) else loaded.target_modules
        raise ConfigError(
            f"policy.adapter.target_modules: the adapter in {str(source)!r} changes {there}, not "
            f"{sorted(config.target_modules)}"
        )
    for key, wanted, there in (
        ("rank", config.rank, loaded.r),
        ("alpha", config.alpha, loaded.lora_alpha),
        ("dora", config.dora, loaded.use_dora),
        ("rslora", config.rslora, loaded.use_rslora),
    ):
        if wanted != there:
            raise ConfigError(f"policy.adapter.{key}: the adapter in {str(source)!r} has {there}, not {wanted}")


def duplicate(model: Any, name: str, trainable: bool) -> None:
    """Add an adapter of that name with the form and the weights of the policy's."""
    with torch.random.fork_rng(devices=[]):  # its random start is overwritten
        model.add_adapter(name, copy.deepcopy(model.peft_config[DEFAULT]))
    theirs = dict(adapter_parameters(model, name))
    with torch.no_grad():
        for key, parameter in adapter_parameters(model, DEFAULT):
            twin = theirs.pop(_renamed(key, name))
            twin.data = parameter.detach().clone()
            twin.requires_grad_(trainable)
    assert not theirs, f"adapter {name!r} has parameters that 'default' lacks: {sorted(theirs)}"


def adapter_parameters(model: nn.Module, name: str) -> list[tuple[str, nn.Parameter]]:
    """Return the parameters of one adapter with their names in the model."""
    return [(key, parameter) for key, parameter in model.named_parameters() if name in key.split(".")]


def switchable_layers(model: nn.Module) -> list[Any]:
    """Return the modules that do something else when another adapter is in use."""
    if not has_adapters(model):
        return []
    tuners = require("peft.tuners.tuners_utils", "llm", PURPOSE)
    other = require("peft.utils.other", "llm", PURPOSE)
    kinds = (tuners.BaseTunerLayer, other.AuxiliaryTrainingWrapper)
    return [module for module in model.modules() if isinstance(module, kinds)]


@contextmanager
def using(layers: list[Any], name: str | None) -> Iterator[None]:
    """Use another adapter for a while, or none.

    Args:
        layers: of `switchable_layers`.
        name: the adapter; None for the bare base.
    """
    before = [(layer._disable_adapters, layer._active_adapter) for layer in layers]
    try:
        for layer in layers:
            layer._disable_adapters = name is None
            if name is not None:
                layer._active_adapter = [name]
        yield
    finally:
        for layer, (disabled, active) in zip(layers, before, strict=True):
            layer._disable_adapters, layer._active_adapter = disabled, active


def in_use(layers: list[Any]) -> str | None:
    """Return the name of the adapter that is in use."""
    if not layers or layers[0]._disable_adapters:
        return None
    active = layers[0]._active_adapter
    return active if isinstance(active, str) else active[0]


@contextmanager
def _without_foreign_warnings() -> Iterator[None]:
    """Leave out what transformers says to peft about a name that both will change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


def _renamed(key: str, name: str) -> str:
    return ".".join(name if part == DEFAULT else part for part in key.split("."))


def _is_transposed(model: Any) -> bool:
    """Whether the linear layers hold their weights transposed, as GPT-2's do."""
    return any(type(module).__name__ == "Conv1D" for module in model.modules())
