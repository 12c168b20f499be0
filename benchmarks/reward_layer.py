"""Cost of the reward layer per environment step, beside Gymnasium's own reward wrappers, in one run.

    python benchmarks/reward_layer.py [--quick]

A trivial environment is stepped bare, and inside `ShapedReward` with five cheap components, each normalised by the
z-score of a window and weighted by a schedule, and one potential under a schedule. Beside it stand (b) Gymnasium's
`NormalizeReward` and `TransformReward`, and (c) a plain Python sum of the same five components called one by one. The
vector form is measured at 256 environments, once with components that read columns and once with components of one's
own that know rows only. Contestants take turns; figures are medians over rounds, the cost is the difference of the
medians to the bare environment.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from rlenvs.wrappers import RewardConfig, ShapedReward, Transition, VectorShapedReward, reward

EPISODE = 50
WIDE = 256
COMPONENTS: dict[str, Any] = {
    "env": {"class": "EnvReward"},
    "goal": {"class": "GoalReward"},
    "step": {"class": "StepPenalty"},
    "quality": {"class": "InfoValueReward", "params": {"info_key": "x"}},
    "preference": {"class": "PreferenceScoreReward", "params": {"info_key": "x", "scale": 2.0}},
}
DECAY = {"decay_schedule": "linear", "decay_steps": 10**6, "initial_weight": 1.0}


@reward
def half_of_x(info: dict[str, Any]) -> float:
    """A component of one's own: it knows rows only."""
    return 0.5 * float(info["x"])


def configuration(components: dict[str, Any]) -> dict[str, Any]:
    """Return components under z-scores and schedules, and a potential under a schedule."""
    guide = {
        "class": "LLMPotentialBasedReward",
        "params": {"potential_function": "info", "potential_params": {"info_key": "x"}},
    }
    return {
        "composer_settings": {"normalization_strategy": "z_score"},
        "reward_components": {**components, "guide": guide},
        "reward_shaping": dict.fromkeys([*components, "guide"], DECAY),
    }


CONFIG = configuration(COMPONENTS)
OWN = configuration({f"own{i}": {"class": "half_of_x"} for i in range(len(COMPONENTS))})


class TrivialEnv(gym.Env[int, int]):
    """The cheapest environment that has an info."""

    def __init__(self) -> None:
        self.observation_space, self.action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)
        self.t = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Start an episode."""
        self.t = 0
        return 0, {"x": 0.5}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take a step."""
        self.t += 1
        return 0, 1.0, self.t == EPISODE, False, {"x": 0.25}


class TrivialVectorEnv(VectorEnv[Any, Any, Any]):
    """The vector form of `TrivialEnv`, never ending."""

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
        self.single_observation_space, self.single_action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.x, self.mask = np.full(num_envs, 0.25), np.ones(num_envs, dtype=np.bool_)
        self.zeros, self.ones = np.zeros(num_envs, dtype=np.bool_), np.ones(num_envs)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start the episodes."""
        return self.zeros, {"x": self.x, "_x": self.mask}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take a step in each."""
        return self.zeros, self.ones, self.zeros, self.zeros, {"x": self.x, "_x": self.mask}


def single(env: gym.Env[Any, Any], steps: int) -> float:
    """Return microseconds per step."""
    env.reset()
    started = time.perf_counter()
    for _ in range(steps):
        _, _, terminated, _, _ = env.step(0)
        if terminated:
            env.reset()
    return (time.perf_counter() - started) / steps * 1e6


def by_hand(steps: int) -> float:
    """Return microseconds per step of the bare environment and a plain sum of the five components."""
    env = TrivialEnv()
    config = RewardConfig.load({"reward_components": COMPONENTS})
    components = [component.build() for component in config.reward_components.values()]
    env.reset()
    started = time.perf_counter()
    for _ in range(steps):
        _, reward, terminated, _, info = env.step(0)
        transition = Transition(env_reward=reward, terminated=terminated, info=info)
        sum(component(transition) for component in components)
        if terminated:
            env.reset()
    return (time.perf_counter() - started) / steps * 1e6


def vector(envs: VectorEnv[Any, Any, Any], steps: int) -> float:
    """Return microseconds per environment step."""
    envs.reset()
    actions = np.zeros(envs.num_envs, dtype=np.int64)
    started = time.perf_counter()
    for _ in range(steps):
        envs.step(actions)
    return (time.perf_counter() - started) / steps / envs.num_envs * 1e6


def gymnasium_stack() -> gym.Env[Any, Any]:
    """Gymnasium's own way to normalise and scale a reward."""
    return gym.wrappers.TransformReward(gym.wrappers.NormalizeReward(TrivialEnv()), lambda reward: 0.5 * reward)


def measure(contestants: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Let the contestants take turns."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            times[name].append(contestant())
    return times


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fraction of the steps, for a first look")
    quick = parser.parse_args(arguments).quick
    steps, rounds = (400, 3) if quick else (20_000, 9)
    times = measure(
        {
            "bare environment": lambda: single(TrivialEnv(), steps),
            "(a) ShapedReward": lambda: single(ShapedReward(TrivialEnv(), CONFIG), steps),
            "(b) NormalizeReward + TransformReward": lambda: single(gymnasium_stack(), steps),
            "(c) plain sum of the components": lambda: by_hand(steps),
            "bare vector": lambda: vector(TrivialVectorEnv(WIDE), steps // 40),
            "(a) VectorShapedReward, columns": lambda: vector(
                VectorShapedReward(TrivialVectorEnv(WIDE), CONFIG), steps // 40
            ),
            "    VectorShapedReward, own functions": lambda: vector(
                VectorShapedReward(TrivialVectorEnv(WIDE), OWN), steps // 200
            ),
        },
        rounds,
    )
    report(times, rounds)


def report(times: dict[str, list[float]], rounds: int) -> None:
    """Print medians, spreads, and the cost beside the bare environment."""
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds, {len(COMPONENTS)} components "
        f"with z-score and schedule, 1 potential, vector of {WIDE}; microseconds per environment step"
    )
    print(f"{'':40} {'median':>8} {'min':>8} {'max':>8} {'cost':>8}")
    bare = 0.0
    for name, values in times.items():
        median = statistics.median(values)
        bare = median if name.startswith("bare") else bare
        print(f"{name:40} {median:8.2f} {min(values):8.2f} {max(values):8.2f} {median - bare:8.2f}")


if __name__ == "__main__":
    main()
