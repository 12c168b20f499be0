"""Windowed statistics against a computation from scratch, after any sequence of values."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.wrappers.normalization.window import MomentWindow, RangeWindow, merge_moments, moments_of

values = st.one_of(
    st.floats(-10, 10),
    st.sampled_from([0.0, 1.0, 1e9, -1e9, 1e-9]),
    st.floats(1e8, 1e8 + 10),
)
runs = st.lists(st.one_of(values, st.lists(values, min_size=1, max_size=9)), max_size=60)


def from_scratch(seen: list[float], size: int) -> tuple[int, float, float]:
    """Exact moments by rational arithmetic."""
    from fractions import Fraction

    last = [Fraction(value) for value in seen[-size:]]
    if not last:
        return 0, 0.0, 0.0
    mean = sum(last) / len(last)
    return len(last), float(mean), float(sum((value - mean) ** 2 for value in last))


def standardized(value: float, moments: tuple[int, float, float]) -> float:
    count, mean, squares = moments
    return value if count == 0 else (value - mean) / max(math.sqrt(squares / count), 0.5)


def assert_moments(found: tuple[int, float, float], expected: tuple[int, float, float], seen: list[float]) -> None:
    scale = max((abs(value) for value in seen), default=0.0)
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1], rel=1e-9, abs=1e-12 * (1 + scale))
    # A sum of squares of values that differ in their last digits has no more digits than they have.
    assert found[2] == pytest.approx(expected[2], rel=1e-9, abs=1e-14 * (1 + scale) ** 2 * max(len(seen), 1))
    assert found[2] >= 0.0


@given(st.integers(1, 12), runs)
def test_moments_equal_those_from_scratch_whichever_way_the_values_come(size, pushes):
    window, seen = MomentWindow(size), []
    for push in pushes:
        last = seen[-size:]
        if isinstance(push, list):
            window.push_many(np.array(push))
            seen += push
        elif len(seen) % 2:
            window.push(push)
            seen.append(push)
        else:
            found = window.standardize(push, 1, floor=0.5, epsilon=0.0, center=True)
            assert found == pytest.approx(standardized(push, from_scratch(seen, size)), rel=1e-6, abs=1e-6)
            seen.append(push)
        last = seen[-size:]
        assert window.values.tolist() == last
        assert len(window) == len(last)
        assert_moments(window.moments(), from_scratch(seen, size), last)
        assert_moments(window.moments_afresh(), from_scratch(seen, size), last)


@given(st.integers(1, 12), runs)
def test_ranges_equal_those_from_scratch(size, pushes):
    window, seen = RangeWindow(size), []
    assert window.range() == (math.inf, -math.inf)
    for push in pushes:
        if isinstance(push, list):
            window.push_many(np.array(push))
            seen += push
        else:
            window.push(push)
            seen.append(push)
        assert window.range() == (min(seen[-size:]), max(seen[-size:]))


@given(st.integers(1, 6), st.lists(values, max_size=30), st.lists(values, min_size=1, max_size=20))
@pytest.mark.parametrize("kind", [MomentWindow, RangeWindow])
def test_a_restored_window_goes_on_to_the_same_bits(kind, size, before, after):
    def ask(window):
        return window.moments() if kind is MomentWindow else window.range()

    one = kind(size)
    for value in before:
        one.push(value)
        ask(one)
    other = kind(size)
    other.load_state_dict(json.loads(json.dumps(one.state_dict())))
    assert ask(one) == ask(other)
    for value in after:
        one.push(value)
        other.push(value)
        assert ask(one) == ask(other)


def naive_window_variances(stream: list[float], size: int) -> list[float]:
    """Welford with removal, which is what most running windows do."""
    count, mean, squares, out = 0, 0.0, 0.0, []
    for index, value in enumerate(stream):
        count += 1
        delta = value - mean
        mean += delta / count
        squares += delta * (value - mean)
        if count > size:
            gone = stream[index - size]
            count -= 1
            delta = gone - mean
            mean -= delta / count
            squares -= delta * (gone - mean)
        out.append(squares / count)
    return out


def test_a_window_survives_an_outlier_of_1e9_that_removal_does_not():
    stream = np.random.default_rng(0).normal(size=1000).tolist()
    stream[300] = 1e9
    window, errors, wrong = MomentWindow(100), [], []
    for index, (value, removed) in enumerate(zip(stream, naive_window_variances(stream, 100), strict=True)):
        window.push(value)
        if index > 400:
            truth = float(np.var(stream[index - 99 : index + 1]))
            count, _, squares = window.moments()
            errors.append(abs(squares / count - truth) / truth)
            wrong.append(abs(removed - truth) / truth)
    assert max(errors) < 1e-12
    assert max(wrong) > 1.0


def test_cost_per_value_does_not_grow_with_the_window():
    class Counting(MomentWindow):
        merged = 0

        def _tabulate(self):
            Counting.merged += len(self._finished)
            super()._tabulate()

    for size in (10, 1000):
        Counting.merged = 0
        window = Counting(size)
        for value in np.random.default_rng(1).normal(size=5000).tolist():
            window.standardize(value, 2, floor=0.5, epsilon=0.0, center=True)
        assert Counting.merged <= 5000


@given(st.lists(values, max_size=10), st.lists(values, max_size=10))
def test_merging_two_samples_equals_taking_them_together(a, b):
    merged = merge_moments(moments_of(np.array(a)), moments_of(np.array(b)))
    assert_moments(merged, from_scratch(a + b, 99), a + b)
