"""What a run trains in: environments, rewards and what is around them, with one state."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.refusals import check_stack
from rlenvs.agents.sb3.shuffled_rewards import ShuffledRewards
from rlenvs.agents.sb3.state import load_normalizer_state, normalizer_state
from rlenvs.agents.sb3.vec_env import VectorEnvAdapter, make_vec_env
from rlenvs.errors import ComponentError, ConfigError


class EnvStack:
    """The environments of a run.

    From the inside out: vector environment, reward layer, adapter, and as the configuration asks `ShuffledRewards` and
    `VecNormalize`.

    Args:
        config: of the run.

    Attributes:
        env: the outermost one, for the algorithm.
        adapter: the innermost one of Stable-Baselines3.

    Raises:
        UserError: no such environment, parameters it refuses, or wrappers that do not go together.
    """

    def __init__(self, config: SB3TrainConfig) -> None:
        wanted = config.env
        self.adapter: VectorEnvAdapter = make_vec_env(
            wanted.id,
            wanted.num_envs,
            wanted.kwargs | {"split": "train"},
            config.rewards,
            config.seed,
            wanted.max_episode_steps,
        )
        self.env: VecEnv = self.adapter
        self.dealer: ShuffledRewards | None = None
        self.normalizer: VecNormalize | None = None
        gamma = config.algorithm.gamma
        if config.shuffle_rewards:
            self.env = self.dealer = ShuffledRewards(self.env, config.seed)
        if config.normalize_reward:
            self.env = self.normalizer = VecNormalize(self.env, norm_obs=False, gamma=gamma)
        check_stack(self.env, gamma, clock_driven=True)

    @property
    def component_names(self) -> tuple[str, ...]:
        """Names of the reward components."""
        layer = self.adapter.layer
        return () if layer is None else layer.pipeline.names

    @property
    def pad_id(self) -> int:
        """The token id that fills unused places of a window."""
        return int(getattr(self.adapter.envs.unwrapped, "pad_id", 0))

    def report(self, metrics: Mapping[str, float]) -> None:
        """Show reactive reward schedules what was measured."""
        if self.adapter.layer is not None:
            self.adapter.layer.pipeline.report_metrics(metrics, int(metrics["step"]))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of environments, rewards and wrappers, as plain data."""
        return {
            "adapter": self.adapter.state_dict(),
            "dealer": None if self.dealer is None else self.dealer.state_dict(),
            "normalizer": None if self.normalizer is None else normalizer_state(self.normalizer),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.adapter.load_state_dict(state["adapter"])
        if self.dealer is not None:
            self.dealer.load_state_dict(state["dealer"])
        if self.normalizer is not None:
            load_normalizer_state(self.normalizer, state["normalizer"])


def rehearse(config: SB3TrainConfig) -> None:
    """Play one step: what environment and rewards cannot do shows before anything is trained or written.

    Raises:
        UserError: as `EnvStack`.
        ConfigError: a reward component fails in this environment.
    """
    alone = config.env.model_copy(update={"num_envs": 1})
    stack = EnvStack(config.model_copy(update={"env": alone}))
    end = int(getattr(stack.adapter.envs.unwrapped, "eos_id", 0))  # ends the message: components that judge it run
    try:
        stack.adapter.reset()
        stack.adapter.step(np.array([end]))
    except ComponentError as error:
        raise ConfigError(f"rewards: {error}") from error
    finally:
        stack.env.close()
