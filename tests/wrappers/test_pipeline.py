"""Composition: weights, sums, order, state."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_strategies import schedules

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers import BaseReward, LengthPenalty, LLMPotentialBasedReward, RewardPipeline, Transition
from rlenvs.wrappers.normalization import Normalization


class FromInfo(BaseReward):
    def __init__(self, key: str) -> None:
        self.key = key

    def __call__(self, transition: Transition) -> float:
        return transition.info[self.key]


@given(
    values=st.lists(st.lists(st.floats(-100, 100), min_size=3, max_size=3), min_size=1, max_size=5),
    weighting=st.lists(schedules(), min_size=3, max_size=3),
    step=st.integers(0, 50),
    order=st.permutations(["a", "b", "c"]),
)
def test_the_reward_is_the_weighted_sum_in_any_order(values, weighting, step, order):
    schedule_of = dict(zip("abc", weighting, strict=True))
    transitions = [Transition(info=dict(zip("abc", row, strict=True))) for row in values]
    pipeline = RewardPipeline({name: FromInfo(name) for name in order}, schedule_of)
    batch = pipeline.compute(transitions, step)
    expected = [sum(schedule_of[name](step) * row["abc".index(name)] for name in "abc") for row in values]
    np.testing.assert_allclose(batch.total, expected, atol=1e-9)
    np.testing.assert_allclose(batch.contributions.sum(axis=1), batch.total, atol=1e-9)
    assert batch.names == tuple(order)
    assert batch.weights.tolist() == [schedule_of[name](step) for name in order]


def test_an_empty_batch_is_an_empty_answer():
    batch = RewardPipeline({"a": FromInfo("a"), "p": LLMPotentialBasedReward("progress")}).compute([], 0)
    assert batch.total.shape == (0,)
    assert batch.raw.shape == (0, 2)


def test_a_reward_needs_components_and_schedules_need_owners():
    with pytest.raises(ConfigError, match="at least one component"):
        RewardPipeline({})
    with pytest.raises(ConfigError, match="'lenght'"):
        RewardPipeline({"length": LengthPenalty(3)}, {"lenght": lambda t: 1.0})


def test_state_round_trip_keeps_counts_and_component_state():
    class Counter(BaseReward):
        def __init__(self) -> None:
            self.seen = 0

        def __call__(self, transition: Transition) -> float:
            self.seen += 1
            return float(self.seen)

        def state_dict(self):
            return {"seen": self.seen}

        def load_state_dict(self, state):
            self.seen = state["seen"]

    first, second = RewardPipeline({"n": Counter()}), RewardPipeline({"n": Counter()})
    first.compute([Transition()] * 3, 0)
    second.load_state_dict(first.state_dict())
    assert second.compute([Transition()], 0).total == first.compute([Transition()], 0).total == 4.0
    with pytest.raises(ConfigError, match="saved reward state has components"):
        RewardPipeline({"m": Counter()}).load_state_dict(first.state_dict())


@pytest.mark.parametrize("rows", [1, 3])
def test_a_reward_that_no_float_holds_is_an_error_that_names_its_parts(rows):
    pipeline = RewardPipeline({"a": FromInfo("a")}, {"a": lambda step: 10.0})
    with pytest.raises(
        ComponentError, match=r"transition 0 of the batch is NaN or infinite: a = 1e\+308 \* 10"
    ) as caught:
        pipeline.compute([Transition(info={"a": 1e308})] * rows, 0)
    assert caught.value.row == 0


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("strategy", ["z_score", "running", "ema", "batch", "min_max"])
def test_values_too_large_to_normalise_end_in_an_error_or_in_a_finite_reward(strategy, rows):
    """Squares overflow from 1e154 on; NaN must not be paid for it."""
    pipeline = RewardPipeline({"a": FromInfo("a")}, normalizations={"a": Normalization(strategy, 4, warmup=1)})
    for value in (1e200, -1e200, 1e308, 3.0, 1e200, -1e308):
        try:
            total = pipeline.compute([Transition(info={"a": value * (row or 0.5)}) for row in range(rows)], 0).total
        except ComponentError:
            continue
        assert np.isfinite(total).all()
