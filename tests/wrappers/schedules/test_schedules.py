"""Schedules against closed forms and second algorithms, and the properties that every one of them must have."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers import schedules as schedules_module
from rlenvs.wrappers.schedules.fixed import ConstantSchedule, ExponentialSchedule, LinearIncreaseSchedule, StepSchedule
from rlenvs.wrappers.schedules.ramps import (
    CosineSchedule,
    CyclicSchedule,
    LinearSchedule,
    PolynomialSchedule,
    WarmupSchedule,
)
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES

weights = st.floats(-10.0, 10.0)
positive = st.floats(0.0, 10.0)
steps = st.integers(0, 10**7)
spans = st.integers(1, 10**6)

EVERY_KIND = [
    ConstantSchedule(0.7),
    LinearSchedule(1.0, 0.25, 40, 10),
    LinearIncreaseSchedule(0.25, 1.0, 40, 10),
    ExponentialSchedule(1.0, 0.05, 0.5, 20, 10),
    CosineSchedule(1.0, 0.25, 40, 10),
    PolynomialSchedule(1.0, 0.25, 40, 10, power=3.0),
    StepSchedule(1.0, [10, 30], [0.5, 0.75]),
    WarmupSchedule(1.0, 0.25, 40, 10),
    CyclicSchedule(1.0, 0.25, 40, 10),
]


@st.composite
def ramps(draw):
    """The arguments (initial, min, decay_steps, start_step) of a schedule that falls."""
    low, high = sorted((draw(weights), draw(weights)))
    return high, low, draw(spans), draw(steps)


@given(ramps(), steps)
def test_linear_is_a_straight_line_between_its_ends(ramp, t):
    initial, low, span, start = ramp
    expected = np.interp(t, [start, start + span], [initial, low])
    assert LinearSchedule(*ramp)(t) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(ramps(), steps)
def test_an_increase_is_a_decay_turned_upside_down(ramp, t):
    initial, low, span, start = ramp
    assert LinearIncreaseSchedule(-initial, -low, span, start)(t) == -LinearSchedule(*ramp)(t)


@given(ramps(), steps)
def test_a_warmup_and_a_decay_between_the_same_ends_add_up(ramp, t):
    initial, low, *_ = ramp
    assert WarmupSchedule(*ramp)(t) + LinearSchedule(*ramp)(t) == pytest.approx(initial + low, abs=1e-9)


def test_exponential_multiplies_by_the_rate_once_per_decay_steps():
    schedule = ExponentialSchedule(initial_weight=3.0, min_weight=0.0, decay_rate=0.9, decay_steps=10)
    for t in (0, 1, 10, 25, 400):
        assert schedule(t) == pytest.approx(3.0 * math.exp(t / 10 * math.log(0.9)), rel=1e-12)


@given(positive, st.floats(0.01, 1.0), spans, st.integers(0, 50))
def test_exponential_is_repeated_multiplication_down_to_the_floor(initial, rate, span, periods):
    floor = 0.1 * initial
    expected = initial
    for _ in range(periods):
        expected *= rate
    weight = ExponentialSchedule(initial, floor, rate, span)(periods * span)
    assert weight == pytest.approx(max(expected, floor), rel=1e-9)


@given(ramps(), st.floats(0.0, 1.0))
def test_cosine_is_the_real_part_of_half_a_turn(ramp, share):
    initial, low, span, start = ramp
    t = start + int(share * span)
    turned = np.exp(1j * np.pi * (t - start) / span).real
    expected = (initial + low) / 2 + (initial - low) / 2 * turned
    assert CosineSchedule(*ramp)(t) == pytest.approx(expected, abs=1e-9)


@given(ramps(), steps, st.floats(0.1, 5.0))
def test_polynomial_raises_what_is_left_of_the_line_to_its_power(ramp, t, power):
    initial, low, *_ = ramp
    assume(initial > low + 1e-6)
    left = (LinearSchedule(*ramp)(t) - low) / (initial - low)
    expected = low + (initial - low) * max(left, 0.0) ** power
    assert PolynomialSchedule(*ramp, power=power)(t) == pytest.approx(expected, abs=1e-4)
    assert PolynomialSchedule(*ramp, power=1.0)(t) == pytest.approx(LinearSchedule(*ramp)(t), abs=1e-9)


@given(st.lists(st.tuples(steps, weights), min_size=1, max_size=6, unique_by=lambda piece: piece[0]), weights, steps)
def test_a_step_weight_is_that_of_the_last_boundary_passed(pieces, initial, t):
    pieces.sort()
    expected = initial
    for boundary, value in pieces:
        if t >= boundary:
            expected = value
    assert StepSchedule(initial, [b for b, _ in pieces], [v for _, v in pieces])(t) == expected


@given(ramps(), steps)
def test_a_cycle_is_a_triangle_wave(ramp, t):
    initial, low, span, start = ramp
    after = max(t - start, 0)
    expected = np.interp(after % span, [0, span / 2, span], [initial, low, initial])
    assert CyclicSchedule(*ramp)(t) == pytest.approx(expected, abs=1e-9)


@given(ramps(), steps, steps)
def test_decays_never_rise_and_stay_between_their_ends(ramp, t, later):
    initial, low, span, start = ramp
    decays = [LinearSchedule(*ramp), CosineSchedule(*ramp), PolynomialSchedule(*ramp), PolynomialSchedule(*ramp, 0.5)]
    if initial >= 0:
        decays.append(ExponentialSchedule(initial, low, 0.5, span, start))
    for schedule in decays:
        assert low - 1e-9 <= schedule(t + later) <= schedule(t) + 1e-9 <= initial + 2e-9


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule, PolynomialSchedule, CyclicSchedule, WarmupSchedule])
@given(ramp=ramps(), before=steps)
def test_until_start_step_the_weight_stands_still_and_then_moves_without_a_jump(kind, ramp, before):
    initial, low, span, start = ramp
    schedule = kind(*ramp)
    first = low if kind is WarmupSchedule else initial
    assert schedule(min(before, start)) == schedule(start) == first
    # The steepest of them, cosine and square, fall at most pi / 2 and 2 times as fast as the line, a cycle twice.
    assert abs(schedule(start + 1) - first) <= min(2.0 / span, 1.0) * (initial - low) + 1e-9


@given(initial=positive, rate=st.floats(0.1, 1.0), span=spans, start=steps)
def test_an_exponential_decay_starts_without_a_jump(initial, rate, span, start):
    schedule = ExponentialSchedule(initial, 0.0, rate, span, start)
    assert schedule(0) == schedule(start) == initial
    assert schedule(start + 1) == pytest.approx(initial * rate ** (1 / span), rel=1e-12)


@given(value=st.floats(-5, 5), t=steps)
def test_constant_is_constant(value, t):
    assert ConstantSchedule(value)(t) == value


@pytest.mark.parametrize("kind", [LinearSchedule, CosineSchedule, PolynomialSchedule, WarmupSchedule, CyclicSchedule])
@given(ramp=ramps())
def test_ramps_arrive_exactly(kind, ramp):
    initial, low, span, start = ramp
    end = {WarmupSchedule: initial, CyclicSchedule: initial}.get(kind, low)
    assert kind(*ramp)(start + span) == end


def test_the_widest_weights_do_not_overflow():
    wide = (1.7e308, -1.7e308, 4)
    for kind in (LinearSchedule, CosineSchedule, PolynomialSchedule, WarmupSchedule, CyclicSchedule):
        assert all(math.isfinite(kind(*wide)(t)) for t in range(6))


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=lambda schedule: type(schedule).__name__)
def test_schedules_are_plain_values(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == schedule  # noqa: S301 - our own bytes
    assert eval(repr(schedule), vars(schedules_module)) == schedule  # noqa: S307
    assert len({schedule, pickle.loads(pickle.dumps(schedule))}) == 1  # noqa: S301
    assert {type(schedule(t)) for t in (0, 10, 15, 10**6)} == {float}


def test_numpy_numbers_and_integers_become_plain_floats():
    schedule = LinearSchedule(np.float64(1), 0, np.int64(5))
    assert (type(schedule.initial_weight), type(schedule.min_weight), type(schedule.decay_steps)) == (float, float, int)


@pytest.mark.parametrize("schedule", EVERY_KIND, ids=lambda schedule: type(schedule).__name__)
def test_behind_its_horizon_a_schedule_shows_nothing_new(schedule):
    until = {schedule(t) for t in range(schedule.horizon + 1)}
    after = {schedule(t) for t in range(schedule.horizon, schedule.horizon + 200)}
    assert min(until) <= min(after)
    assert max(after) <= max(until)


def test_the_horizon_of_an_exponential_is_where_it_meets_its_floor():
    schedule = ExponentialSchedule(1.0, 0.1, 0.5, 1_000, start_step=50)
    assert schedule(schedule.horizon) == 0.1 < schedule(schedule.horizon - 1)
    assert ExponentialSchedule(1.0, 0.0, 0.5, 1_000)(6_644) < 0.01 < ExponentialSchedule(1.0, 0.0, 0.5, 1_000)(6_643)
    assert ExponentialSchedule(1.0, 0.0, 0.5, 1_000).horizon == 6_644  # 1 % left
    assert ExponentialSchedule(1.0, 0.0, 1.0, 1_000, 7).horizon == ExponentialSchedule(0.0, 0.0, 0.5, 9, 7).horizon == 7


@pytest.mark.parametrize(
    ("build", "parameter", "message"),
    [
        (lambda: ConstantSchedule(math.nan), "initial_weight", "must be a finite number, got nan"),
        (lambda: ConstantSchedule(True), "initial_weight", "must be a finite number, got True"),
        (lambda: ConstantSchedule("1"), "initial_weight", "must be a finite number, got '1'"),
        (lambda: ConstantSchedule(10**400), "initial_weight", "must be a finite number, got inf"),
        (lambda: LinearSchedule(1.0, math.inf, 5), "min_weight", "must be a finite number, got inf"),
        (lambda: LinearSchedule(1.0, 2.0, 5), "min_weight", r"must be <= initial_weight \(1.0\), got 2.0"),
        (lambda: LinearSchedule(1.0, 0.0, 0), "decay_steps", "must be a whole number >= 1, got 0"),
        (lambda: LinearSchedule(1.0, 0.0, 2.5), "decay_steps", "must be a whole number >= 1, got 2.5"),
        (lambda: LinearSchedule(1.0, 0.0, 2**63), "decay_steps", r"must be below 2\^63, got a number of 64 bits"),
        (lambda: LinearSchedule(1.0, 0.0, 5, -1), "start_step", "must be a whole number >= 0, got -1"),
        (lambda: CosineSchedule(1.0, 0.0, True), "decay_steps", "must be a whole number >= 1, got True"),
        (lambda: WarmupSchedule(0.0, 1.0, 5), "min_weight", r"must be <= initial_weight \(0.0\), got 1.0"),
        (lambda: CyclicSchedule(0.0, 1.0, 5), "min_weight", r"must be <= initial_weight"),
        (lambda: LinearIncreaseSchedule(1.0, 0.5, 5), "max_weight", r"must be >= initial_weight \(1.0\), got 0.5"),
        (lambda: LinearIncreaseSchedule(1.0, math.nan, 5), "max_weight", "must be a finite number, got nan"),
        (lambda: ExponentialSchedule(-1.0, -1.0, 0.5, 5), "initial_weight", "must be >= 0 to decay exponentially"),
        (lambda: ExponentialSchedule(1.0, 2.0, 0.5, 5), "min_weight", "must be <= initial_weight"),
        (lambda: ExponentialSchedule(1.0, 0.0, 0.0, 5), "decay_rate", r"must be in \(0, 1\], got 0.0"),
        (lambda: ExponentialSchedule(1.0, 0.0, 1.5, 5), "decay_rate", r"must be in \(0, 1\], got 1.5"),
        (lambda: PolynomialSchedule(1.0, 0.0, 5, power=0.0), "power", "must be > 0, got 0.0"),
        (lambda: PolynomialSchedule(1.0, 2.0, 5), "min_weight", "must be <= initial_weight"),
        (lambda: StepSchedule(1.0, [], []), "boundaries", "must hold at least one step"),
        (lambda: StepSchedule(1.0, [1, 2], [0.5]), "values", r"must hold one weight per boundary \(2\), got 1"),
        (lambda: StepSchedule(1.0, [2, 2], [0.5, 0.1]), "boundaries", r"must increase strictly, got \[2, 2\]"),
        (lambda: StepSchedule(1.0, [-1], [0.5]), "boundaries", "must be a whole number >= 0, got -1"),
        (lambda: StepSchedule(1.0, [1], [math.nan]), "values", "must be a finite number, got nan"),
        (lambda: StepSchedule(1.0, "12", [1.0, 2.0]), "boundaries", "must be a list of numbers, got '12'"),
        (lambda: StepSchedule(1.0, [1], 5), "values", "must be a list of numbers, got 5"),
    ],
)
def test_parameters_outside_their_range_are_refused_by_name(build, parameter, message):
    with pytest.raises(ParameterError, match=f"^{parameter} {message}") as caught:
        build()
    assert caught.value.parameter == parameter


def test_every_schedule_has_a_name():
    assert set(SCHEDULES.values()) == {type(schedule) for schedule in EVERY_KIND} | {GatedSchedule, LagrangianSchedule}
    assert SCHEDULES["none"] is SCHEDULES["constant"] is ConstantSchedule
    with pytest.raises(TypeError):
        SCHEDULES["mine"] = ConstantSchedule
