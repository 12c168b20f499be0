"""The same episodes as Stable-Baselines3 plays them with an environment object per row, and as the adapter does."""

from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import rlenvs  # noqa: F401 - registers the ids
from rlenvs.wrappers import ShapedReward

GAMMA = 0.9
SUMS = "rlenvs/ArithmeticTokens-v0"
GUIDE = {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": GAMMA}}
REWARDS: dict[str, Any] = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "correct": {"class": "CorrectnessReward", "params": {"incorrect": -0.25}},
        "short": {"class": "LengthPenalty", "params": {"max_length": 2, "unit": "chars", "penalty_per_token": -0.5}},
        "guide": GUIDE,
    },
    "reward_shaping": {
        "short": {"initial_weight": 1.0, "decay_schedule": "linear", "decay_steps": 50},
        "guide": {"initial_weight": 2.0, "decay_schedule": "linear", "decay_steps": 30, "min_weight": 0.5},
    },
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sums": (SUMS, {"digits": 1}),
    "sums with signs": (SUMS, {"digits": 2, "operators": "+-*", "answer_order": "reversed"}),
    "steps": ("rlenvs/MathStepsTokens-v0", {"max_turns": 3, "max_response_tokens": 24}),
    "retries": ("rlenvs/MathRetryTokens-v0", {"max_response_tokens": 5}),
    "tools": ("rlenvs/ToolMathTokens-v0", {"max_response_tokens": 30}),
    "talks": ("rlenvs/ConversationTokens-v0", {"max_turns": 2, "max_response_tokens": 6}),
}


def single(env_id: str, kwargs: dict[str, Any], rewards: Any = None, limit: int | None = None) -> gym.Env[Any, Any]:
    """One environment as a careful user stacks it: the monitor inside the reward layer."""
    env: gym.Env[Any, Any] = Monitor(gym.make(env_id, max_episode_steps=limit, **kwargs))
    return env if rewards is None else ShapedReward(env, rewards)


def dummy(env_id: str, num_envs: int, kwargs: dict[str, Any], rewards: Any = None, limit: int | None = None) -> Any:
    """What Stable-Baselines3 makes of single environments."""
    return DummyVecEnv([lambda: single(env_id, kwargs, rewards, limit)] * num_envs)


class Scribe:
    """Writes right messages most of the time, and otherwise any token but padding; reads the environments of a
    `DummyVecEnv`, whose episodes those of the adapter are to equal."""

    def __init__(self, envs: Any, seed: int, right: float = 0.8) -> None:
        self.envs = [env.unwrapped for env in envs.envs]
        self.rng, self.right = np.random.default_rng(seed), right

    def tokens(self) -> Any:
        return np.array([self.token(env) for env in self.envs])

    def token(self, env: Any) -> int:
        if self.rng.random() > self.right:
            return int(self.rng.integers(1, env.vocab_size))
        episode = env.base.episode
        messages = env.base.task.protocol.demonstration(episode.problem) or ["?"]
        written = env.tokenizer.encode(messages[min(episode.turns, len(messages) - 1)], add_special_tokens=False)
        place = len(env.tokens)
        return int(written[place] if place < len(written) else env.eos_id)
