"""Cost of the reward layer per environment step, beside Gymnasium's own reward wrappers, in one run.

    python benchmarks/reward_layer.py [--quick]

A trivial environment is stepped bare; inside `ShapedReward` with five cheap components, schedules and one potential;
inside Gymnasium's `NormalizeReward` and `TransformReward`; and beside a plain Python sum of the same five components.
The vector form is measured at 256 environments. Contestants take turns; figures are medians over rounds.
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

from rlenvs.wrappers import BaseReward, ShapedReward, Transition, VectorShapedReward, register_reward

COMPONENTS = 5
EPISODE = 50


@register_reward()
class ScaledInfo(BaseReward):
    """A cheap component: scale * info["x"]."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        return self.scale * transition.info["x"]


CONFIG: dict[str, Any] = {
    "reward_components": {
        **{f"c{i}": {"class": "ScaledInfo", "params": {"scale": float(i)}} for i in range(COMPONENTS)},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "potential_params": {"info_key": "x"}},
        },
    },
    "reward_shaping": {
        f"c{i}": {"decay_schedule": "linear", "decay_steps": 10**6, "initial_weight": 1.0} for i in range(COMPONENTS)
    },
}


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
    components = [ScaledInfo(float(i)) for i in range(COMPONENTS)]
    env.reset()
    started = time.perf_counter()
    for _ in range(steps):
        _, reward, terminated, _, info = env.step(0)
        transition = Transition(env_reward=reward, info=info)
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
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps, for a first look")
    quick = parser.parse_args(arguments).quick
    steps, rounds, wide = (400, 3, 256) if quick else (10_000, 7, 256)
    times = measure(
        {
            "bare environment": lambda: single(TrivialEnv(), steps),
            "ShapedReward": lambda: single(ShapedReward(TrivialEnv(), CONFIG), steps),
            "NormalizeReward + TransformReward": lambda: single(gymnasium_stack(), steps),
            "plain sum of the components": lambda: by_hand(steps),
            f"bare vector, {wide} environments": lambda: vector(TrivialVectorEnv(wide), steps // 40),
            f"VectorShapedReward, {wide} environments": lambda: vector(
                VectorShapedReward(TrivialVectorEnv(wide), CONFIG), steps // 40
            ),
        },
        rounds,
    )
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {rounds} rounds, "
        f"{COMPONENTS} components and 1 potential"
    )
    for name, values in times.items():
        spread = f"{min(values):8.2f} .. {max(values):.2f}"
        print(f"{name:42} {statistics.median(values):8.2f} us per environment step  ({spread})")


if __name__ == "__main__":
    main()
