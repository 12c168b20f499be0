"""A control: rewards that tell nothing about actions."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn


class ShuffledRewards(VecEnvWrapper):
    """Deals the rewards of every step to random environments. What learns under it learns from something else.

    Episodes, returns in `infos` and the reward layer's own record are those of the environments inside.

    Args:
        venv: what pays.
        seed: of the dealing.
    """

    def __init__(self, venv: VecEnv, seed: int) -> None:
        super().__init__(venv)
        self.dealer = np.random.default_rng([seed, 0x6465616C])

    def reset(self) -> VecEnvObs:
        """Start episodes."""
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        """Take a step, and give each row the reward of another."""
        observations, rewards, dones, infos = self.venv.step_wait()
        return observations, self.dealer.permutation(rewards), dones, infos

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the dealing."""
        return dict(self.dealer.bit_generator.state)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.dealer.bit_generator.state = dict(state)
