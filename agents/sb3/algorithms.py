"""From a configuration to an algorithm of Stable-Baselines3 with its policy."""

from collections.abc import Mapping
from typing import Any, cast

from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.preprocessing import get_flattened_obs_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor, nn

from rlenvs.agents.runs.device import resolve_device
from rlenvs.agents.sb3.algorithm_config import LINEAR, AlgorithmConfig
from rlenvs.agents.sb3.config import NetworkConfig, SB3TrainConfig
from rlenvs.agents.sb3.extractors import TokenEmbedding, TokenGRU, TokenTransformer
from rlenvs.errors import ConfigError, ParameterError, UserError
from rlenvs.extras import require

CORE: Mapping[str, type[BaseAlgorithm]] = {"ppo": PPO, "a2c": A2C, "dqn": DQN}
CONTRIB = {"maskable_ppo": "MaskablePPO", "recurrent_ppo": "RecurrentPPO"}
EXTRACTORS: Mapping[str, type[BaseFeaturesExtractor]] = {
    "flat": TokenEmbedding,
    "gru": TokenGRU,
    "transformer": TokenTransformer,
}
ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
SCHEDULED = ("learning_rate", "clip_range", "clip_range_vf")


class RawFeatures(BaseFeaturesExtractor):
    """Observations as they are, flattened; its width is an `int`, which `nn.LSTM` asks for.

    Args:
        observation_space: of the environment.
    """

    def __init__(self, observation_space: Any) -> None:
        super().__init__(observation_space, int(get_flattened_obs_dim(observation_space)))

    def forward(self, observations: Tensor) -> Tensor:
        """Map observations `[N, ...]` to features `[N, F]`."""
        return observations.flatten(1).float()


def algorithm_class(name: str) -> type[BaseAlgorithm]:
    """Return the class of an algorithm.

    Args:
        name: as in the configuration.

    Raises:
        MissingExtraError: sb3-contrib is not installed.

    Example:
        >>> algorithm_class("a2c").__name__
        'A2C'
    """
    if name in CORE:
        return CORE[name]
    contrib = require("sb3_contrib", "sb3", f"algorithm {name!r}")
    return cast(type[BaseAlgorithm], getattr(contrib, CONTRIB[name]))


def scheduled(value: float | str | None) -> Any:
    """Return what a constructor takes for a number that may move while the run goes on.

    Example:
        >>> schedule = scheduled("lin_0.5")
        >>> schedule(1.0), schedule(0.5), scheduled(0.5)
        (0.5, 0.25, 0.5)
    """
    return LinearSchedule(float(value.removeprefix(LINEAR)), 0.0, 1.0) if isinstance(value, str) else value


def build_model(config: SB3TrainConfig, env: VecEnv, pad_id: int = 0) -> BaseAlgorithm:
    """Return the algorithm that a configuration describes, untrained.

    Python's, NumPy's and torch's generators are seeded by it, as Stable-Baselines3 does.

    Args:
        config: of the run.
        env: what it learns in.
        pad_id: token id that fills unused places of a window.

    Raises:
        ConfigError: a parameter of the extractor cannot be used, or the environment cannot serve the algorithm.
        DeviceError: there is no such device.
        MissingExtraError: sb3-contrib is not installed.
    """
    chosen = config.algorithm
    parameters = {key: scheduled(value) if key in SCHEDULED else value for key, value in chosen.parameters().items()}
    if chosen.masks_actions and not env.has_attr("action_masks"):
        raise ConfigError(
            f"algorithm.name: {chosen.name!r} asks for action masks, which env.id {config.env.id!r} does not have: "
            "use 'ppo', or give the environment a method action_masks"
        )
    build: Any = algorithm_class(chosen.name)
    try:
        model: BaseAlgorithm = build(
            "MlpLstmPolicy" if chosen.is_recurrent else "MlpPolicy",
            env,
            seed=config.seed,
            device=resolve_device(config.device),
            policy_kwargs=policy_kwargs(config.policy, chosen, pad_id),
            **parameters,
        )
    except ParameterError as error:
        raise ConfigError(f"policy.{error}") from error
    except UserError as error:
        raise ConfigError(f"policy.features {config.policy.features!r}: {error}") from error
    return model


def policy_kwargs(policy: NetworkConfig, algorithm: AlgorithmConfig, pad_id: int = 0) -> dict[str, Any]:
    """Return what the policy's constructor takes.

    Args:
        policy: of the configuration.
        algorithm: what the policy is for.
        pad_id: token id that fills unused places of a window.
    """
    kwargs: dict[str, Any] = {"features_extractor_class": RawFeatures}
    if policy.features != "none":
        kwargs = {
            "features_extractor_class": EXTRACTORS[policy.features],
            "features_extractor_kwargs": policy.extractor_parameters() | {"pad_id": pad_id},
        }
    if policy.net_arch is not None:
        own = policy.value_net_arch if policy.value_net_arch is not None else policy.net_arch
        kwargs["net_arch"] = policy.net_arch if algorithm.name == "dqn" else {"pi": policy.net_arch, "vf": own}
    if policy.activation is not None:
        kwargs["activation_fn"] = ACTIVATIONS[policy.activation]
    for key in ("lstm_hidden_size", "n_lstm_layers"):
        if getattr(policy, key) is not None:
            kwargs[key] = getattr(policy, key)
    return kwargs
