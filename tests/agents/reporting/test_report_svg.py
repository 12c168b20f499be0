"""The geometry of charts against closed forms."""

import math
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.agents.reporting.svg import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    Series,
    line_chart,
    line_path,
    lonely_points,
    make_axes,
    nice_ticks,
    thin_out,
    tick_label,
)

NAN = math.nan
values = st.floats(-1e12, 1e12, allow_nan=False)
gappy = st.one_of(values, st.sampled_from([NAN, math.inf, -math.inf]))


def identity(value: float) -> float:
    return value


@given(values, values)
def test_ticks_cover_the_data_evenly(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    ticks = nice_ticks(low, high)
    slack = 1e-8 * max(abs(low), abs(high))
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    step = ticks[1] - ticks[0]
    assert all(math.isclose(y - x, step, rel_tol=1e-6) for x, y in pairwise(ticks))
    mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
    assert any(math.isclose(mantissa, factor, rel_tol=1e-6) for factor in (1, 2, 2.5, 5))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0, 0.25, 0.5, 0.75, 1]),
        (-3.0, 7.0, [-5, -2.5, 0, 2.5, 5, 7.5]),
        (0.0, 0.0, [-1, -0.5, 0, 0.5, 1]),
        (1e-5, 9e-5, [0, 2e-5, 4e-5, 6e-5, 8e-5, 1e-4]),
    ],
)
def test_known_ticks(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("low", "high"), [(1e308, 1e308), (-1e308, 1e308), (5e-324, 5e-324), (1e16, 1e16 + 2), (-7.0, -7.0)]
)
def test_extreme_ranges_still_have_an_axis(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert len(ticks) >= 2
    assert all(math.isfinite(tick) for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_whole_ticks_are_whole() -> None:
    assert nice_ticks(0, 3, whole=True) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "step", "label"),
    [
        (0.25, 0.25, "0.25"),
        (0.2, 0.1, "0.2"),
        (-1.0, 0.5, "\N{MINUS SIGN}1.0"),
        (1500.0, 500.0, "1500"),
        (12_000.0, 2_000.0, "12k"),
        (2_500_000.0, 500_000.0, "2.5M"),
        (2.5e-6, 2.5e-6, "2.5e-6"),
        (1e-17, 0.25, "0"),
    ],
)
def test_tick_labels(value: float, step: float, label: str) -> None:
    assert tick_label(value, step) == label


@given(values, values, values, values)
def test_scale_is_monotone_and_meets_its_ends(a: float, b: float, x: float, y: float) -> None:
    low, high = min(a, b), max(a, b) + 1
    scale = Scale(low, high, 10.0, 200.0)
    assert scale(low) == 10.0
    assert scale(high) == pytest.approx(200.0)
    if x < y:
        assert scale(x) <= scale(y)


@given(st.lists(gappy, max_size=40))
def test_a_line_starts_anew_after_each_gap(ys: list[float]) -> None:
    points = [(float(x), y) for x, y in enumerate(ys)]
    path = line_path(points, identity, identity)
    runs, before = 0, False
    for y in ys:
        runs += math.isfinite(y) and not before
        before = math.isfinite(y)
    assert path.count("M") == runs
    assert path.count("M") + path.count("L") == sum(map(math.isfinite, ys))
    assert "nan" not in path
    assert "inf" not in path


@given(st.lists(gappy, min_size=1, max_size=3000), st.integers(30, 600))
def test_thinning_keeps_order_extremes_and_gaps(ys: list[float], limit: int) -> None:
    points = [(float(x), y) for x, y in enumerate(ys)]
    kept = thin_out(points, limit)
    assert len(kept) <= limit
    assert [x for x, _ in kept] == sorted({x for x, _ in kept})
    finite = [y for y in ys if math.isfinite(y)]
    if finite:
        shown = [y for _, y in kept if math.isfinite(y)]
        assert (min(shown), max(shown)) == (min(finite), max(finite))
    if len(finite) < len(ys):
        assert any(not math.isfinite(y) for _, y in kept)


def test_points_between_gaps_get_a_dot() -> None:
    points = [(0.0, 1.0), (1.0, NAN), (2.0, 5.0), (3.0, NAN), (4.0, 1.0), (5.0, 2.0)]
    assert lonely_points(points) == [(0.0, 1.0), (2.0, 5.0)]


def test_few_points_get_dots_unless_the_line_is_dashed() -> None:
    points = [(float(x), float(x)) for x in range(60)]
    assert 'class="dots"' in line_chart([Series("a", points, colour=7)], label="a")
    assert 'class="dots"' not in line_chart([Series("a", [*points, (60.0, 60.0)])], label="a")
    ninth = line_chart([Series("a", points, colour=8)], label="a")
    assert 'class="line c0 dashed"' in ninth
    assert 'class="dots"' not in ninth


def test_coordinates_of_a_chart_follow_from_its_axes() -> None:
    series = Series("loss", [(0.0, 0.0), (50.0, 0.5), (100.0, 1.0)])
    axes = make_axes([series])
    assert axes is not None
    assert list(axes.y_ticks) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    path = re.search(r'class="line c0"><path d="([^"]+)"', line_chart([series], label="loss"))
    assert path is not None
    found = [tuple(map(float, pair.split())) for pair in re.split("[ML]", path[1]) if pair]
    middle = ((LEFT + WIDTH - RIGHT) / 2, (TOP + HEIGHT - BOTTOM) / 2)
    assert found == [(LEFT, HEIGHT - BOTTOM), middle, (WIDTH - RIGHT, TOP)]


def test_nothing_finite_makes_no_chart() -> None:
    assert line_chart([Series("a", [(0.0, NAN), (1.0, math.inf)])], label="a") == ""
    assert line_chart([], label="a") == ""


@given(st.lists(st.tuples(st.floats(-1e100, 1e100), st.floats(allow_nan=True)), min_size=1, max_size=30))
def test_any_numbers_draw_inside_the_chart(points: list[tuple[float, float]]) -> None:
    chart = line_chart([Series("a", sorted(points, key=lambda point: point[0]))], label="a", zero=True)
    if chart:
        numbers = re.findall(r'<g class="line.*?</g>', chart)
        coordinates = [float(number) for number in re.findall(r"-?[\d.]+", re.sub(r'class="[^"]*"|h0', "", numbers[0]))]
        assert all(-0.05 <= number <= WIDTH for number in coordinates)
        assert "nan" not in chart
        assert "inf" not in chart
