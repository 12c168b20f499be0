"""Weights that react to the run: a gate and a Lagrange multiplier, against closed forms and a problem they solve."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.plain import not_plain
from rlenvs.wrappers.schedules.base import ReactiveSchedule
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule

values = st.lists(st.floats(-1e3, 1e3), max_size=40)
cuts = st.lists(st.integers(0, 40), max_size=5)


def in_pieces(sequence, places):
    """Cut a sequence at the given places; empty pieces are kept."""
    ends = sorted({min(place, len(sequence)) for place in places})
    return [sequence[a:b] for a, b in zip([0, *ends], [*ends, len(sequence)], strict=True)]


def gate(**changes):
    return GatedSchedule(**({"initial_weight": 1.0, "metric": "right", "threshold": 0.5, "window": 4} | changes))


def multiplier(**changes):
    return LagrangianSchedule(**({"initial_weight": 1.0, "target": 0.5, "learning_rate": 0.1} | changes))


@given(values, st.integers(1, 30))
def test_the_gates_mean_weighs_a_value_by_its_age(observed, window):
    schedule = gate(threshold=1e6, window=window)
    schedule.observe(observed, step=0)
    decay = 1.0 - 2.0 / (window + 1)
    ages = decay ** np.arange(len(observed))[::-1]
    expected = np.average(observed, weights=ages) if observed else 0.0
    assert schedule.count == len(observed)
    assert schedule.mean == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(observed=values, places=cuts, window=st.integers(1, 10), direction=st.sampled_from(["above", "below"]))
def test_the_gate_does_not_care_how_values_are_batched(observed, places, window, direction):
    whole, parts = gate(window=window, direction=direction), gate(window=window, direction=direction)
    whole.observe(observed, step=3)
    for piece in in_pieces(observed, places):
        parts.observe(piece, step=3)
    assert whole == parts


def test_one_lucky_row_does_not_open_the_gate():
    schedule = gate(window=20)
    schedule.observe([1.0], step=0)
    assert schedule(10**6) == 0.0
    schedule.observe([0.0] * 30, step=1)
    schedule.observe([1.0], step=2)
    assert schedule.opened_at is None
    assert 0.0 < schedule.mean < 0.15


def test_the_gate_opens_once_and_stays_open():
    schedule = gate(min_weight=0.2)
    schedule.observe([1.0] * 4, step=7)
    assert (schedule(7), schedule(8), schedule(10**9)) == (0.2, 1.0, 1.0)
    schedule.observe([0.0] * 1_000, step=8)
    assert (schedule(7), schedule(8)) == (0.2, 1.0)
    assert schedule.opened_at == 7


@given(opened=st.integers(0, 10**6), t=st.integers(0, 2 * 10**6), span=st.none() | st.integers(1, 10**6))
def test_an_opened_gates_weight_is_a_function_of_when_it_opened(opened, t, span):
    schedule = gate(min_weight=-1.0, initial_weight=3.0, decay_steps=span, window=1)
    schedule.observe([1.0], step=opened)
    expected = np.interp(t, [opened, opened + span], [-1.0, 3.0]) if span else (3.0 if t > opened else -1.0)
    assert schedule(t) == pytest.approx(expected, abs=1e-9)


def test_the_weight_of_a_past_step_never_changes():
    schedule = gate(decay_steps=10)
    used = []
    for step in range(0, 60, 2):
        used.append((step, schedule(step)))
        schedule.observe([float(step > 20)] * 2, step)
    assert {weight for _, weight in used} > {0.0, 1.0}
    assert used == [(step, schedule(step)) for step, _ in used]


def test_a_gate_below_opens_when_the_mean_has_fallen():
    schedule = gate(metric="kl", threshold=0.1, direction="below", window=2)
    schedule.observe([5.0, 5.0], step=0)
    assert schedule.opened_at is None
    schedule.observe([0.0] * 10, step=1)
    assert schedule.opened_at == 1


def test_a_gate_opens_at_the_threshold_itself():
    for direction in ("above", "below"):
        schedule = gate(threshold=1.0, direction=direction, window=3)
        schedule.observe([1.0] * 3, step=0)
        assert schedule.opened_at == 0


def test_a_gate_waits_for_its_start_step_but_remembers_what_it_saw():
    schedule = gate(start_step=100)
    schedule.observe([1.0] * 50, step=99)
    assert schedule.opened_at is None
    schedule.observe([1.0], step=100)
    assert schedule.opened_at == 100


def test_values_that_are_not_finite_are_left_out():
    schedule, other = gate(), multiplier()
    schedule.observe([math.nan, 0.25, math.inf, -math.inf], step=0)
    other.observe([math.nan, 0.25, math.inf, -math.inf], step=0)
    assert (schedule.mean, schedule.count) == (0.25, 1)
    assert other(0) == pytest.approx(1.025)


def test_the_largest_values_leave_finite_weights():
    schedule, other = gate(threshold=1.75e308), multiplier()
    for value in (1.7e308, -1.7e308):
        schedule.observe([value] * 3, step=0)
        other.observe([value] * 3, step=0)
        assert math.isfinite(schedule.mean)
        assert 0.0 <= other(0) <= 10.0


@given(values, st.floats(-10, 10))
def test_the_multiplier_moves_by_the_summed_violation(observed, target):
    schedule = multiplier(initial_weight=0.0, target=target, learning_rate=0.01, min_weight=-1e6, max_weight=1e6)
    schedule.observe(observed, step=0)
    assert schedule(0) == pytest.approx(0.01 * (len(observed) * target - math.fsum(observed)), abs=1e-6)


@given(observed=values, places=cuts)
def test_the_multiplier_does_not_care_how_values_are_batched(observed, places):
    """No clip binds here: 40 values of at most 1,000 move it by less than 4,100."""
    whole, parts = (multiplier(min_weight=-5e3, max_weight=5e3) for _ in range(2))
    whole.observe(observed, step=3)
    for piece in in_pieces(observed, places):
        parts.observe(piece, step=3)
    assert whole(0) == pytest.approx(parts(0), rel=1e-9, abs=1e-9)


def test_the_clip_is_applied_once_per_call():
    whole, parts = multiplier(max_weight=2.0, learning_rate=1.0), multiplier(max_weight=2.0, learning_rate=1.0)
    whole.observe([-9.5, 10.5], step=0)
    assert whole(0) == 1.0  # +10 and -10 cancel
    parts.observe([-9.5], step=0)
    assert parts(0) == 2.0
    parts.observe([10.5], step=0)
    assert parts(0) == 0.0


def test_the_multiplier_waits_for_its_start_step():
    schedule = multiplier(start_step=10)
    schedule.observe([0.0] * 5, step=9)
    assert schedule(9) == 1.0
    schedule.observe([0.0], step=10)
    assert schedule(10) == pytest.approx(1.05)


@pytest.mark.parametrize(
    ("value", "target", "low", "high", "first", "last"),
    [
        pytest.param(0.2, 0.5, 0.0, 3.0, 1.0, 3.0, id="too little of a quality: its reward grows"),
        pytest.param(0.9, 0.5, 0.0, 3.0, 1.0, 0.0, id="enough of a quality: its reward fades"),
        pytest.param(-2.0, -0.5, 0.0, 3.0, 1.0, 3.0, id="more penalty than allowed: it weighs more"),
        pytest.param(-0.1, -0.5, 0.0, 3.0, 1.0, 0.0, id="less penalty than allowed: it weighs less"),
        pytest.param(9.0, 4.0, -3.0, 0.0, -1.0, -3.0, id="a cost above its bound is punished more"),
        pytest.param(1.0, 4.0, -3.0, 0.0, -1.0, 0.0, id="a cost below its bound is let go"),
    ],
)
def test_the_interval_says_what_kind_of_bound_the_target_is(value, target, low, high, first, last):
    schedule = multiplier(initial_weight=first, target=target, min_weight=low, max_weight=high)
    before = schedule(0)
    schedule.observe([value], step=0)
    assert (schedule(0) > before) == (last > first)
    for _ in range(500):
        schedule.observe([value], step=0)
    assert schedule(0) == last


@pytest.mark.parametrize("cost", [False, True], ids=["lower bound", "upper bound"])
def test_the_multiplier_solves_a_constrained_problem(cost):
    """Maximise -(a - 1)^2 subject to a >= 2, and to -a <= -2 as a cost: a = 2, and the multiplier is 2 (KKT)."""
    sign = -1.0 if cost else 1.0
    schedule = LagrangianSchedule(
        0.0, sign * 2.0, 0.05, min_weight=-10.0 if cost else 0.0, max_weight=0.0 if cost else 10.0
    )
    for step in range(500):
        action = 1.0 + sign * schedule(step) / 2.0  # argmax of -(a - 1)^2 + w * (sign * a)
        schedule.observe([sign * action], step)
    assert action == pytest.approx(2.0, abs=1e-3)
    assert schedule(0) == pytest.approx(sign * 2.0, abs=1e-3)


def test_what_they_watch():
    assert gate(metric="accuracy").watches("format") == "accuracy"
    assert multiplier().watches("format") == "format"


@pytest.mark.parametrize("make", [gate, multiplier])
def test_a_resumed_schedule_goes_on_as_if_nothing_had_happened(make):
    stream = np.random.default_rng(0).normal(0.3, 1.0, size=(60, 5))
    changes = {"window": 9, "decay_steps": 30, "start_step": 10} if make is gate else {}
    straight, first = make(**changes), None
    for step, row in enumerate(stream):
        if step in (3, 30):  # before and after the gate opens
            saved = straight.state_dict()
            assert not_plain(saved) is None
            first = make(**changes)
            first.load_state_dict(json.loads(json.dumps(saved)))
        straight.observe(row, step)  # an array, as pipelines hold them
        if first is not None:
            first.observe(row.tolist(), step)
            assert first == straight
            assert [first(t) for t in range(100)] == [straight(t) for t in range(100)]
    assert make is not gate or 10 <= straight.opened_at < 30


@pytest.mark.parametrize(
    ("schedule", "state"), [(gate(), {"weight": 1.0}), (multiplier(), {}), (multiplier(), gate().state_dict())]
)
def test_the_state_of_another_schedule_is_refused(schedule, state):
    before = schedule.state_dict()
    with pytest.raises(ConfigError, match=r"^saved schedule state has .* this configuration needs"):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


@pytest.mark.parametrize("schedule", [gate(decay_steps=5, start_step=3), multiplier(min_weight=-1.0)])
def test_they_are_plain_values(schedule):
    assert isinstance(schedule, ReactiveSchedule)
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301 - our own bytes
    names = {"GatedSchedule": GatedSchedule, "LagrangianSchedule": LagrangianSchedule}
    assert eval(repr(schedule), names) == schedule  # noqa: S307


def test_rules_are_sentences():
    assert gate(decay_steps=5_000, start_step=100, min_weight=0.1, window=1_000).rule() == (
        "0.1 until the mean of the last 1,000 values of 'right' is >= 0.5 (not before step 100), then 1, reached over "
        "5,000 steps"
    )
    assert gate(direction="below").rule() == "0 until the mean of the last 4 values of 'right' is <= 0.5, then 1"
    assert multiplier(start_step=1_000).rule() == (
        "1 plus the sum of 0.1 * (0.5 - raw value) over all transitions from step 1,000 on, kept in [0, 10]"
    )


@pytest.mark.parametrize(
    ("build", "parameter", "message"),
    [
        (lambda: gate(initial_weight=math.nan), "initial_weight", "must be a finite number"),
        (lambda: gate(threshold=math.inf), "threshold", "must be a finite number"),
        (lambda: gate(min_weight=None), "min_weight", "must be a finite number, got None"),
        (lambda: gate(metric=""), "metric", "must name a component or a metric of the trainer, got ''"),
        (lambda: gate(direction="up"), "direction", "must be 'above' or 'below', got 'up'"),
        (lambda: gate(window=0), "window", "must be a whole number >= 1, got 0"),
        (lambda: gate(decay_steps=0), "decay_steps", "must be a whole number >= 1, got 0"),
        (lambda: gate(start_step=-1), "start_step", "must be a whole number >= 0, got -1"),
        (lambda: multiplier(target=math.nan), "target", "must be a finite number"),
        (lambda: multiplier(learning_rate=0.0), "learning_rate", "must be > 0, got 0.0"),
        (lambda: multiplier(max_weight=0.0), "max_weight", r"must be > min_weight \(0.0\), got 0.0"),
        (lambda: multiplier(initial_weight=11), "initial_weight", r"must be in .* = \[0.0, 10.0\], got 11.0"),
        (lambda: multiplier(start_step=1.5), "start_step", "must be a whole number >= 0, got 1.5"),
    ],
)
def test_parameters_outside_their_range_are_refused_by_name(build, parameter, message):
    with pytest.raises(ParameterError, match=f"^{parameter} {message}") as caught:
        build()
    assert caught.value.parameter == parameter
