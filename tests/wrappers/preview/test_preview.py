"""What a preview samples and draws: nothing that a schedule does may be lost, and the SVG is sound whatever it is told."""

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rlenvs.wrappers.preview.sampling import (
    default_steps,
    describe,
    fixed_schedules,
    outline,
    reactive_schedules,
    sample,
    table_steps,
)
from rlenvs.wrappers.preview.svg import schedules_svg, ticks
from rlenvs.wrappers.schedules.fixed import ConstantSchedule, ExponentialSchedule, StepSchedule
from rlenvs.wrappers.schedules.ramps import CosineSchedule, CyclicSchedule, LinearSchedule, WarmupSchedule
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule

SVG = "{http://www.w3.org/2000/svg}"
GATE = GatedSchedule(1.0, metric="right", threshold=0.5, decay_steps=300)
BUDGET = LagrangianSchedule(-1.0, 200.0, 0.001, min_weight=-5.0, max_weight=0.0)
SCHEDULES = {
    "right": ConstantSchedule(1.0),
    "format": LinearSchedule(0.8, 0.1, 400, 100),
    "steps": StepSchedule(0.5, [300, 700], [0.25, -0.5]),
    "wave": CyclicSchedule(0.6, 0.4, 200),
    "judge": GATE,
    "budget": BUDGET,
}


def drawing(schedules, steps=1_000, title="Weights"):
    return ET.fromstring(schedules_svg(schedules, steps, title))


def lines_of(root):
    """The paths of the weights, without the samples in the legend (which are horizontal strokes)."""
    return [p for p in root.iter(f"{SVG}path") if "line" in p.get("class") and "h26" not in p.get("d")]


def points_of(path):
    return [tuple(map(float, pair.split())) for pair in re.split("[ML]", path.get("d"))[1:]]


def test_the_run_is_a_quarter_longer_than_the_last_schedule():
    assert default_steps(SCHEDULES) == math.ceil(1.25 * 700)
    assert default_steps({"judge": GatedSchedule(1.0, "right", 0.5, start_step=80, decay_steps=20)}) == 10_000
    assert default_steps({"right": ConstantSchedule(1.0)}) == default_steps({}) == 10_000
    assert default_steps({"late": LinearSchedule(1.0, 0.0, 2**63 - 1, 2**63 - 1)}) == 2**63 - 1


def test_schedules_are_told_apart_by_whether_they_have_a_curve():
    assert list(fixed_schedules(SCHEDULES)) == ["right", "format", "steps", "wave"]
    assert reactive_schedules(SCHEDULES) == {"judge": GATE, "budget": BUDGET}


def test_descriptions_name_the_kind_and_what_was_given():
    assert describe(ConstantSchedule(1.0)) == "constant, initial_weight=1"
    assert describe(LinearSchedule(0.3, 0.0, 40_000)) == "linear, initial_weight=0.3 min_weight=0 decay_steps=40000"
    assert describe(LinearSchedule(0.3, 0.0, 5, 7)).endswith("decay_steps=5 start_step=7")
    assert describe(StepSchedule(1.0, [5, 10], [0.5, 0.25])) == (
        "step, initial_weight=1 boundaries=[5,10] values=[0.5,0.25]"
    )
    assert describe(GATE) == f"gated, {GATE.rule()}"
    assert describe(lambda step: 1.0) == "function"


@given(steps=st.integers(1, 10**12))
def test_the_table_covers_the_run_in_tenths(steps):
    at = table_steps(steps)
    assert (at[0], at[-1]) == (0, steps)
    assert at == sorted(set(at))
    assert len(at) == min(steps + 1, 11)


@given(steps=st.integers(1, 10**15), columns=st.integers(1, 200))
def test_samples_run_through_the_run_without_gaps(steps, columns):
    sampled = sample(LinearSchedule(1.0, 0.0, 10**6), steps, columns)
    assert len(sampled) == columns
    assert (sampled[0][0][0], sampled[-1][-1][0]) == (0, steps)
    assert all(before[-1] == after[0] for before, after in pairwise(sampled))
    inside = [step for column in sampled for step, _ in column]
    assert inside == sorted(inside)


@given(boundary=st.integers(1, 99_999), columns=st.integers(2, 300))
def test_a_jump_is_drawn_where_it_is(boundary, columns):
    points = outline(sample(StepSchedule(1.0, [boundary], [0.0]), 100_000, columns))
    before = max(step for step, weight in points if weight == 1.0)
    after = min(step for step, weight in points if weight == 0.0)
    assert before < boundary <= after
    assert after - before <= math.ceil(100_000 / columns)


@given(period=st.integers(1, 3_000), start=st.integers(0, 5_000))
def test_cycles_shorter_than_a_column_fill_it(period, start):
    """A column of 10,000 steps holds three cycles or more: all of them are in what is drawn."""
    schedule = CyclicSchedule(1.0, 0.25, period, start)
    cycle = [schedule(start + t) for t in range(period)]
    for column in sample(schedule, 200_000, 20):
        seen = [weight for _, weight in column]
        assert (min(seen), max(seen)) == pytest.approx((min(cycle), max(cycle)), abs=1e-9)


@pytest.mark.parametrize(
    "schedule",
    [
        LinearSchedule(1.0, 0.2, 30_000, 5_000),
        CosineSchedule(1.0, 0.2, 30_000, 5_000),
        ExponentialSchedule(1.0, 0.05, 0.5, 9_000),
        WarmupSchedule(1.0, 0.0, 12_345, 678),
        CyclicSchedule(1.0, 0.0, 21_000),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_the_outline_is_the_curve(schedule):
    points = outline(sample(schedule, 50_000, 300))
    at = np.linspace(0, 50_000, 4_001).astype(int)
    drawn = np.interp(at, *zip(*points, strict=True))
    assert np.abs(drawn - [schedule(int(t)) for t in at]).max() < 0.01


def test_straight_lines_need_few_points():
    assert outline(sample(ConstantSchedule(0.5), 1_000, 100)) == [(0, 0.5), (1_000, 0.5)]
    assert len(outline(sample(LinearSchedule(1.0, 0.0, 500, 250), 1_000, 100))) <= 6


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-6, 1e6), target=st.integers(1, 10))
@example(low=-879609.9999999999, span=1e-06, target=5)  # neighbouring floats
def test_ticks_are_round_and_cover_the_range(low, span, target):
    high = low + span
    found = ticks(low, high, target)
    step = found[1] - found[0] if len(found) > 1 else span
    slack = 1e-6 * step + 4 * math.ulp(max(abs(low), abs(high)))
    assert found[0] <= low + slack
    assert found[-1] >= high - slack
    assert len(found) <= target + 3


def test_the_drawing_has_a_line_per_weight_and_says_what_the_run_decides():
    root = drawing(SCHEDULES, title="Weights of my.yaml")
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert len(lines_of(root)) == 4
    for text in ("Weights of my.yaml", "right", "format", "steps", "wave", "environment steps", "weight"):
        assert text in texts
    assert any(text.startswith("judge: 0 until the mean") for text in texts)
    assert any(text.startswith("budget: -1 plus the sum") for text in texts)
    assert root.find(f"{SVG}title").text == "Weights of my.yaml"
    assert root.get("role") == "img"


def test_lines_are_where_their_weights_are():
    """Ticks and lines share one scale: the axis labels 0 and 1 give it."""
    root = drawing({"right": ConstantSchedule(1.0), "format": LinearSchedule(1.0, 0.25, 500)})
    label = {t.text: float(t.get("y")) for t in root.iter(f"{SVG}text") if t.get("class") == "end"}
    right, falling = map(points_of, lines_of(root))
    assert {y for _, y in right} == {label["1"]}
    assert falling[0] == right[0]
    assert falling[-1][1] == pytest.approx(label["1"] + 0.75 * (label["0"] - label["1"]), abs=0.11)
    corner = next(point for point in falling if point[1] == falling[-1][1])
    assert corner[0] == pytest.approx((right[0][0] + right[-1][0]) / 2, abs=1.5)


def test_weights_that_lie_on_each_other_are_all_seen():
    root = drawing({name: ConstantSchedule(1.0) for name in "abc"})
    assert len({(p.get("class"), p.get("stroke-dasharray")) for p in lines_of(root)}) == 3
    assert len({p.get("stroke-dasharray") for p in lines_of(root)}) == 3


def test_many_weights_look_different():
    root = drawing({f"c{k}": LinearSchedule(1.0 + k, 0.0, 500) for k in range(24)})
    looks = [(p.get("class"), p.get("stroke-dasharray")) for p in lines_of(root)]
    assert len(set(looks)) == 24
    bottom = max(float(t.get("y")) for t in root.iter(f"{SVG}text") if t.get("y"))
    assert bottom < float(root.get("height"))


def test_wide_names_do_not_run_into_each_other():
    """No font is measured here: an em per letter is the most that any of these letters takes."""
    names = ["W" * 40, "\u540d" * 30, "m" * 30, "\u540d" * 20, "a", "W" * 200]
    root = drawing({name: ConstantSchedule(1.0) for name in names})
    shown = [t for t in root.iter(f"{SVG}text") if t.get("x") and (t.text or "")[0] in "Wm\u540da"]
    assert len(shown) == len(names) + 1  # the title begins with W too
    rows = {}
    for text in shown:
        rows.setdefault(float(text.get("y")), []).append((float(text.get("x")), len(text.text) * 12))
    for row in rows.values():
        for (x, width), (following, _) in pairwise(sorted(row)):
            assert x + width <= following - 34
        assert sum(row[-1]) <= 760


@pytest.mark.parametrize("weight", [1e-12, -1.5e12, 1e300, -3e-5])
def test_labels_of_the_axis_stand_beside_its_name(weight):
    root = drawing({"a": LinearSchedule(weight, min(weight, 0.0), 10)})
    for tick in (t for t in root.iter(f"{SVG}text") if t.get("class") == "end"):
        assert float(tick.get("x")) - 7 * len(tick.text) >= 21  # what stands there is 12 px wide, around 15


def test_weights_beyond_any_use_are_drawn_to_scale():
    root = drawing({"a": LinearSchedule(1e300, 0.0, 500)})
    ((line, *_),) = [lines_of(root)]
    points = points_of(line)
    middle = points[0][0] + (points[-1][0] - points[0][0]) / 4
    height = np.interp(middle, *zip(*points, strict=True))
    assert height == pytest.approx((points[0][1] + points[-1][1]) / 2, abs=2)


@given(name=st.text(min_size=1, max_size=80), title=st.text(max_size=120))
def test_any_text_gives_a_sound_document(name, title):
    hostile = {name: LinearSchedule(1.0, 0.0, 10), f"{name} gate": GatedSchedule(1.0, metric=name, threshold=0.0)}
    root = drawing(hostile, title=title)
    assert {child.tag for child in root.iter()} <= {
        f"{SVG}{tag}" for tag in ("svg", "title", "desc", "style", "rect", "text", "path")
    }
    schedules_svg(hostile, 10, title).encode("utf-8")


@pytest.mark.parametrize(
    "schedules",
    [
        {"zero": ConstantSchedule(0.0)},
        {"huge": StepSchedule(1.7e308, [5], [-1.7e308])},
        {"tiny": ConstantSchedule(5e-324)},
        {"small": LinearSchedule(1e-12, 0.0, 10)},
        {"negative": ConstantSchedule(-2.0)},
        {"judge": GATE},
        {},
    ],
    ids=lambda schedules: next(iter(schedules), "none"),
)
@pytest.mark.parametrize("steps", [1, 7, 10**6, 2**63 - 1])
def test_extreme_weights_and_runs_can_be_drawn(schedules, steps):
    root = drawing(schedules, steps)
    numbers = [number for line in lines_of(root) for point in points_of(line) for number in point]
    assert all(0 <= number <= 760 for number in numbers)
    assert "nan" not in ET.tostring(root, "unicode")
