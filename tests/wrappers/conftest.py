"""A Gymnasium environment whose every number a test can choose."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import pytest


class ScriptedEnv(gym.Env[int, int]):
    """Plays back rewards and potentials; the state is the step index."""

    def __init__(self, rewards: Sequence[float], phi: Sequence[float], ending: str = "terminated") -> None:
        self.rewards, self.phi, self.ending = list(rewards), list(phi), ending
        self.observation_space = gym.spaces.Discrete(99)
        self.action_space = gym.spaces.Discrete(2)
        self.t = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.t = 0
        return 0, {"phi": self.phi[0]}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reward = self.rewards[self.t]
        self.t += 1
        over = self.t == len(self.rewards)
        ends = (over and self.ending == "terminated", over and self.ending == "truncated")
        return self.t, reward, *ends, {"phi": self.phi[self.t]}


@pytest.fixture
def scripted() -> type[ScriptedEnv]:
    return ScriptedEnv
