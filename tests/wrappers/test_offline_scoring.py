"""Stored transitions, scored by the pipeline alone, get the rewards that the wrappers paid."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlenvs.wrappers import EnvReward, InfoPotential, LLMPotentialBasedReward, RewardPipeline, ShapedReward, Transition
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward

CONFIG = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "info", "gamma": 0.9, "potential_params": {"info_key": "phi"}},
        },
    },
    "reward_shaping": {"guide": {"decay_schedule": "linear", "decay_steps": 17, "min_weight": 0.1}},
}
SCRIPTS = [
    ([0.5, -1.0, 2.0, 0.0], [1.0, 3.0, -2.0, 0.5, 4.0]),
    ([1.0, 2.0], [0.5, 1.0, 4.0]),
    ([0.0, 1.0, 3.0], [2.0, 0.0, 1.0, 5.0]),
]


class Recorder(RewardPipeline):
    """A pipeline that keeps the transitions which it was given, and the clock."""

    def compute(self, transitions, step, visited=None):
        if len(transitions) != 1:  # one alone goes through compute_one
            self.stored = [*getattr(self, "stored", []), (list(transitions), step)]
        return super().compute(transitions, step, visited)

    def compute_one(self, transition, step, visited):
        self.stored = [*getattr(self, "stored", []), ([transition], step)]
        return super().compute_one(transition, step, visited)


def rescored(stored) -> list[float]:
    """Score what was stored with a pipeline that saw no environment."""
    pipeline = RewardPipeline.from_config(CONFIG)
    return [reward for transitions, step in stored for reward in pipeline.compute(transitions, step).total.tolist()]


def without_the_visit(stored):
    """Forget when the states were visited, which must be noticed under a schedule."""
    return [
        ([Transition(**{k: getattr(t, k) for k in t.__slots__ if k != "previous_step"}) for t in transitions], step)
        for transitions, step in stored
    ]


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("jump", [0, 3])
def test_the_single_form(scripted, ending, jump):
    env = ShapedReward(scripted(*SCRIPTS[0], ending), CONFIG)
    env.pipeline.__class__ = Recorder
    paid = []
    for _ in range(3):
        env.reset()
        for _ in range(4):
            if jump:  # a trainer that moves the clock between two steps
                env.set_global_step(env.clock.step + jump)
            paid.append(env.step(0)[1])
    np.testing.assert_allclose(rescored(env.pipeline.stored), paid, atol=1e-12)
    assert not np.allclose(rescored(without_the_visit(env.pipeline.stored)), paid, atol=1e-6)


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_the_vector_form(scripted, mode, ending):
    envs = VectorShapedReward(
        SyncVectorEnv([lambda r=r, p=p: scripted(r, p, ending) for r, p in SCRIPTS], autoreset_mode=mode), CONFIG
    )
    envs.pipeline.__class__ = Recorder
    envs.reset()
    paid, over = [], np.zeros(3, dtype=bool)
    for _ in range(9):
        if mode is AutoresetMode.DISABLED and over.any():
            envs.reset(options={"reset_mask": over})
        _, rewards, terminated, truncated, infos = envs.step(np.zeros(3, dtype=int))
        paid += rewards[infos["_env_reward"]].tolist()
        over = terminated | truncated
    np.testing.assert_allclose(rescored(envs.pipeline.stored), paid, atol=1e-12)
    assert not np.allclose(rescored(without_the_visit(envs.pipeline.stored)), paid, atol=1e-6)


def test_a_transition_without_a_visit_takes_its_own_step():
    guide = LLMPotentialBasedReward("info", potential_params={"info_key": "phi"})
    pipeline = RewardPipeline({"env": EnvReward(), "guide": guide}, {"guide": lambda step: float(step)})
    before, after = {"phi": 2.0}, {"phi": 5.0}
    known = Transition(previous_info=before, info=after, step=3, previous_step=1)
    unknown = Transition(previous_info=before, info=after, step=3)
    assert pipeline.compute([known, unknown], 4).total.tolist() == [4 * 5.0 - 1 * 2.0, 4 * 5.0 - 3 * 2.0]


class Counting(InfoPotential):
    """Notes how many states it is asked about at a time."""

    def __init__(self, info_key: str) -> None:
        super().__init__(info_key)
        self.sizes: list[int] = []

    def batch(self, states):
        self.sizes.append(len(states))
        return super().batch(states)


def test_potentials_are_asked_once_per_batch():
    guide = LLMPotentialBasedReward("info", potential_params={"info_key": "phi"})
    guide.potential = Counting("phi")
    stored = [Transition(previous_info={"phi": 1.0}, info={"phi": 2.0}, step=t, previous_step=t) for t in range(7)]
    RewardPipeline({"guide": guide}).compute(stored, 0)
    assert guide.potential.sizes == [7, 7]  # the states before, the states after
