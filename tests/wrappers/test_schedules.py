"""Schedules against closed forms and the properties that every decay must have."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.wrappers import ConstantSchedule, ExponentialSchedule, LinearSchedule

weights = st.floats(0.0, 10.0)
steps = st.integers(0, 10**7)


def test_linear_is_a_straight_line_between_its_ends():
    schedule = LinearSchedule(initial_weight=2.0, min_weight=0.5, decay_steps=300, start_step=100)
    assert [schedule(t) for t in (0, 100, 200, 250, 400, 10**9)] == pytest.approx([2.0, 2.0, 1.5, 1.25, 0.5, 0.5])


def test_exponential_multiplies_by_the_rate_once_per_decay_steps():
    schedule = ExponentialSchedule(initial_weight=3.0, min_weight=0.0, decay_rate=0.9, decay_steps=10)
    for t in (0, 1, 10, 25, 400):
        assert schedule(t) == pytest.approx(3.0 * math.exp(t / 10 * math.log(0.9)), rel=1e-12)


@given(initial=weights, low=st.floats(0.0, 1.0), span=st.integers(1, 10**6), start=steps, t=steps, later=steps)
def test_decays_never_rise_and_stay_between_their_ends(initial, low, span, start, t, later):
    floor = low * initial
    decays = [
        LinearSchedule(initial, floor, span, start),
        ExponentialSchedule(initial, floor, 0.5, span, start),
    ]
    for schedule in decays:
        assert schedule(start) == initial
        assert floor - 1e-12 <= schedule(t + later) <= schedule(t) + 1e-12 <= initial + 2e-12


@given(value=st.floats(-5, 5), t=steps)
def test_constant_is_constant(value, t):
    assert ConstantSchedule(value)(t) == value


@pytest.mark.parametrize(
    "schedule", [ConstantSchedule(1.0), LinearSchedule(1, 0, 5), ExponentialSchedule(1, 0, 0.5, 5)]
)
def test_schedules_are_plain_values(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301 - our own bytes
    assert eval(repr(schedule), vars(__import__("rlenvs.wrappers", fromlist=["x"]))) == schedule  # noqa: S307
