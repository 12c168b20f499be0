"""Where the time of `model.learn` goes: environments, policy, updates, and the rest of Stable-Baselines3."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from importlib import resources
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm

from rlenvs.agents.sb3.algorithms import build_model
from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.vec_env import VectorEnvAdapter, make_vec_env

FORWARD = ("forward", "_predict", "predict_values")
"""Methods of a policy that rollouts call."""


@dataclass(frozen=True)
class Case:
    """A configuration that ships, and what is changed of it."""

    config: str
    overrides: tuple[str, ...] = ()


CASES = (
    Case("sb3_ppo.yaml"),
    Case("sb3_ppo.yaml", ("env.num_envs=64", "algorithm.n_steps=16")),
    Case("sb3_dqn.yaml"),
    Case("sb3_dqn.yaml", ("env.num_envs=16", "algorithm.gradient_steps=2")),
)
"""Each as it ships, and with a quarter of the environments and as many updates per environment step."""


@dataclass(frozen=True)
class Profile:
    """Processor seconds of one `learn`."""

    name: str
    steps: int
    env: float
    policy: float
    update: float
    total: float

    @property
    def env_share(self) -> float:
        """Share of the environments, rewards included."""
        return self.env / self.total


class Stopwatch:
    """Adds up the processor time within some functions; calls within calls count once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.depth = 0

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            self.depth += 1
            try:
                return call(*args, **kwargs)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.process_time() - started

        return timed


def learner(case: Case, shaped: bool) -> tuple[BaseAlgorithm, VectorEnvAdapter]:
    """The algorithm and environments of a case, with the reward of its configuration or the environment's own."""
    path = resources.files("rlenvs.configs") / "train" / case.config
    config = SB3TrainConfig.load(str(path), case.overrides)
    rewards = config.rewards if shaped else None
    envs = make_vec_env(config.env.id, config.env.num_envs, config.env.kwargs, rewards, seed=0)
    return build_model(config, envs), envs


def profile(case: Case, shaped: bool, steps: int) -> Profile:
    """Learn for some steps, after some more that warm up."""
    model, envs = learner(case, shaped)
    model.learn(max(steps // 5, 1))
    env, policy, update = Stopwatch(), Stopwatch(), Stopwatch()
    timed_envs: Any = envs
    timed_envs.step_wait = env.around(timed_envs.step_wait)
    patched: Any = model
    patched.train = update.around(patched.train)
    for name in FORWARD:
        if hasattr(patched.policy, name):
            setattr(patched.policy, name, policy.around(getattr(patched.policy, name)))
    already, started = model.num_timesteps, time.process_time()
    model.learn(steps, reset_num_timesteps=False)
    total = time.process_time() - started
    kind = "with its reward" if shaped else "bare"
    return Profile(
        f"{case.config.removesuffix('.yaml')}, {kind}, {envs.num_envs} environments",
        model.num_timesteps - already,
        env.seconds,
        policy.seconds,
        update.seconds,
        total,
    )


def print_profiles(cases: Sequence[Case], steps: int, show: Callable[[str], None] = print) -> list[Profile]:
    """Measure and print a table in Markdown."""
    show("| configuration | env | policy | update | the rest | steps per second |")
    show("|---|---:|---:|---:|---:|---:|")
    found = []
    for case in cases:
        for shaped in (False, True):
            row = profile(case, shaped, steps)
            found.append(row)
            rest = row.total - row.env - row.policy - row.update
            shares = " | ".join(f"{part / row.total:.1%}" for part in (row.env, row.policy, row.update, rest))
            show(f"| {row.name} | {shares} | {row.steps / row.total:,.0f} |")
    return found
