"""The engine that a configuration asks for."""

from typing import Any, Literal

import torch

from rlenvs.agents.llm.config import EngineConfig, TrainConfig
from rlenvs.agents.llm.engines.choice import make_engine
from rlenvs.agents.llm.engines.http import HttpEngine
from rlenvs.agents.llm.engines.protocol import Engine
from rlenvs.agents.llm.engines.static import StaticEngine
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import ConfigError, ParameterError


def configured_engine(config: EngineConfig, policy: Policy, batch_size: int, name: str | None = None) -> Engine:
    """Build the engine of a run.

    Args:
        config: which engine, and its options.
        policy: what it samples from.
        batch_size: sequences generated at once.
        name: what the run chose before, for `auto`: another engine's numbers differ in the last bits.

    Raises:
        MissingExtraError: the engine needs a package that is not installed.
        UnsupportedModelError: `static` does not know the model.
        ConfigError: no server answers at `url`.
    """
    chosen: Any = name or config.name
    options: dict[str, Any] = {}
    if chosen in ("auto", "static"):
        dtype = None if config.dtype is None else getattr(torch, config.dtype)
        options = {"dtype": dtype, "compiled": config.compiled}
    elif chosen == "http":
        options = {"url": config.url, "model": config.model, "update": _way_of_weights(config)}
    try:
        engine = make_engine(chosen, policy, batch_size, **options)
        if isinstance(engine, HttpEngine):
            engine.server.check_listens()  # now, before a run has written anything
    except ParameterError as error:
        raise ConfigError(f"rollout.engine.{error.parameter}: {error.message}") from error
    return engine


def source_of_old_logprobs(config: TrainConfig, policy: Policy, engine: Engine) -> Literal["recompute", "engine"]:
    """Return whose log-probabilities the ratio of PPO starts from.

    Left to `auto`, the engine's: where it computes with the trainer's own weights in float32, so that the two agree to
    the last digits, and nobody asked for the weights that correct for a difference.

    Args:
        config: of the run.
        policy: what is trained.
        engine: what samples from it.
    """
    if config.ppo.old_logprobs != "auto":
        return config.ppo.old_logprobs
    same_weights = isinstance(engine, StaticEngine) and engine.dtype is None and config.policy.quantize is None
    same_precision = policy.model.dtype == torch.float32 and config.memory.autocast is None
    return "engine" if same_weights and same_precision and config.ppo.importance is None else "recompute"


def _way_of_weights(config: EngineConfig) -> Any:
    """Return what brings new weights to a server; without one the engine only samples from what the server has."""
    assert config.url is not None
    assert config.model is not None
    if config.weights == "adapter":
        from rlenvs.agents.llm.engines.vllm import AdapterOnServer

        assert config.weights_dir is not None
        return AdapterOnServer(config.url, config.model, config.weights_dir)
    if config.weights == "shared_gpu":
        from rlenvs.agents.llm.engines.vllm import SharedGpuWeights

        return SharedGpuWeights(config.url.removesuffix("/v1"))
    return None
