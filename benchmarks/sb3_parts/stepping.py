"""Steps of the adapter beside those of `DummyVecEnv` over the same environments."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.env_util import make_vec_env as make_vec_env_of_sb3
from stable_baselines3.common.vec_env import VecEnv

from rlenvs.agents.sb3 import make_vec_env
from rlenvs.wrappers import ShapedReward

ENV_ID = "rlenvs/ArithmeticTokens-v0"
GAMMA = 0.99
REWARDS: dict[str, Any] = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "step": {"class": "StepPenalty"},
        "guide": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": GAMMA}},
    },
    "reward_shaping": {"step": {"decay_schedule": "linear", "decay_steps": 10**6}},
}
GRADED: dict[str, Any] = {
    **REWARDS,
    "reward_components": {**REWARDS["reward_components"], "correct": {"class": "CorrectnessReward"}},
}
REWARDS_OF: dict[str, dict[str, Any] | None] = {"bare": None, "shaped": REWARDS, "shaped and graded": GRADED}


@dataclass(frozen=True)
class StepTimes:
    """Seconds per call of `step`, medians over rounds; the ratio is the median of the ratios within a round."""

    num_envs: int
    rewards: str
    dummy: float
    adapter: float
    ratio: float


def dummy(num_envs: int, rewards: dict[str, Any] | None) -> VecEnv:
    """What Stable-Baselines3's own `make_vec_env` makes: `Monitor` inside, the reward layer outside."""
    wrapper: Any = None if rewards is None else ShapedReward
    kwargs = None if rewards is None else {"config": rewards}
    no_pictures = {"render_mode": None}  # otherwise it asks for some first
    envs: VecEnv = make_vec_env_of_sb3(
        ENV_ID, num_envs, env_kwargs=no_pictures, wrapper_class=wrapper, wrapper_kwargs=kwargs
    )
    return envs


def random_tokens(num_envs: int, steps: int) -> Any:
    """`[steps, num_envs]` any token but padding, so that episodes end too."""
    size = gym.make(ENV_ID).action_space.n  # type: ignore[attr-defined]
    return np.random.default_rng(0).integers(1, size, (steps, num_envs))


def seconds_per_step(envs: VecEnv, tokens: Sequence[Any]) -> float:
    """Time of a step on this core, from the same reset every time."""
    envs.seed(0)
    envs.reset()
    started = time.process_time()
    for row in tokens:
        envs.step(row)
    return (time.process_time() - started) / len(tokens)


def compare(num_envs: int, rewards: str, rounds: int, steps: int) -> StepTimes:
    """Let both take turns."""
    config = REWARDS_OF[rewards]
    contestants: dict[str, tuple[VecEnv, int]] = {
        "dummy": (dummy(num_envs, config), max(4, steps // 8)),
        "adapter": (make_vec_env(ENV_ID, num_envs, rewards=config), steps),
    }
    tokens = random_tokens(num_envs, steps)
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, (envs, count) in contestants.items():
            found = seconds_per_step(envs, tokens[:count])
            if turn:  # the first round warms up
                times[name].append(found)
    ratios = [slow / fast for slow, fast in zip(times["dummy"], times["adapter"], strict=True)]
    medians = {name: statistics.median(values) for name, values in times.items()}
    return StepTimes(num_envs, rewards, medians["dummy"], medians["adapter"], statistics.median(ratios))


def print_steps(sizes: Sequence[int], rounds: int, steps: int, show: Callable[[str], None] = print) -> list[StepTimes]:
    """Measure and print a table in Markdown."""
    show("| environments | reward | DummyVecEnv, ms per step | adapter, ms per step | times as fast |")
    show("|---:|---|---:|---:|---:|")
    found = []
    for rewards in REWARDS_OF:
        for num_envs in sizes:
            row = compare(num_envs, rewards, rounds, steps)
            found.append(row)
            times = f"{1000 * row.dummy:.2f} | {1000 * row.adapter:.3f} | {row.ratio:.1f}"
            show(f"| {row.num_envs} | {row.rewards} | {times} |")
    return found
