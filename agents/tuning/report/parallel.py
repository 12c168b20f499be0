"""Parallel coordinates: every trial a line through its parameters to its value."""

from collections.abc import Sequence

from rlenvs.agents.reporting.markup import html_attribute, shorten
from rlenvs.agents.reporting.svg import coordinate
from rlenvs.agents.tuning.report.axes import Axis, axis_of, number_axis, tail, ticks_of
from rlenvs.agents.tuning.report.charts import describe_trial, thinned
from rlenvs.agents.tuning.report.figures import figure
from rlenvs.agents.tuning.report.study import StudyView, TrialView

WIDTH, HEIGHT = 1180.0, 300.0
LEFT, RIGHT, TOP, BOTTOM = 84.0, 84.0, 40.0, 34.0
ABSENT = HEIGHT - 10.0  # where a line passes an axis whose parameter the trial does not have
MAX_AXES = 10
MAX_LINES = 400
TITLE_CHARACTERS = 22


def parallel_chart(view: StudyView, names: Sequence[str]) -> str:
    """Return the chart; empty where there is nothing to compare.

    Args:
        view: the study.
        names: the parameters, the most important first; more than ten are too many to follow.
    """
    ranked = thinned(view.ranked, MAX_LINES, view.front)
    if len(ranked) < 2 or not names:
        return ""
    shown = list(names[:MAX_AXES])
    axes = [*(axis_of(view.distributions[name]) for name in shown)]
    axes += [number_axis([trial.values[at] for trial in ranked]) for at in range(len(view.objectives))]
    titles = [*shown, *view.objectives]
    gap = (WIDTH - LEFT - RIGHT) / (len(axes) - 1)
    xs = [LEFT + at * gap for at in range(len(axes))]
    front = {trial.number for trial in view.front}
    place = _places(view, ranked)
    lines = [
        _line(view, trial, shown, axes, xs, trial.number in front, place[trial.number])
        for trial in sorted(ranked, key=lambda trial: (trial.number in front, place[trial.number]))
    ]
    pillars = "".join(
        _pillar(axis, title, x, is_value=at >= len(shown))
        for at, (axis, title, x) in enumerate(zip(axes, titles, xs, strict=True))
    )
    label = f"parallel coordinates of {len(ranked)} trials over {', '.join(shown)}"
    svg = (
        f'<svg class="parallel" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" '
        f'aria-label="{html_attribute(shorten(label, 300))}">{"".join(lines)}{pillars}</svg>'
    )
    best = "the best is green" if len(view.maximize) == 1 else "those on the front are green"
    left_out = f" The {MAX_AXES} most important of {len(names)} parameters." if len(names) > MAX_AXES else ""
    unit = f"{len(ranked)} complete trials; stronger lines are better in {view.objectives[0]}"
    chart = f'<div class="wide-scroll" tabindex="0" role="region" aria-label="Parallel coordinates">{svg}</div>'
    hint = f"Lines that bundle on an axis say which part of its range is good; {best}.{left_out}"
    return figure("Parallel coordinates", unit, chart, hint=hint, style="across")


def _places(view: StudyView, ranked: Sequence[TrialView]) -> dict[int, float]:
    """Return for each trial how good its first value is among all, from 0 to 1."""
    order = sorted(ranked, key=lambda trial: trial.values[0], reverse=not view.maximize[0])
    return {trial.number: at / max(len(order) - 1, 1) for at, trial in enumerate(order)}


def _line(
    view: StudyView, trial: TrialView, names: Sequence[str], axes: Sequence[Axis], xs: Sequence[float],
    best: bool, place: float,
) -> str:  # fmt: skip
    values: list[object] = [trial.params.get(name) if name in trial.params else _NOTHING for name in names]
    values += list(trial.values)
    corners = []
    for value, axis, x in zip(values, axes, xs, strict=True):
        share = None if value is _NOTHING else axis.share(value)
        corners.append(f"{coordinate(x)} {coordinate(ABSENT if share is None else _y(share))}")
    style = "c2 wide" if best else "c0"
    strength = "" if best else f' opacity="{0.08 + 0.6 * place**2:.2f}"'
    return (
        f'<path class="thread {style}" d="M{"L".join(corners)}"{strength}>'
        f"<title>{html_attribute(describe_trial(view, trial))}</title></path>"
    )


_NOTHING = object()


def _pillar(axis: Axis, title: str, x: float, *, is_value: bool) -> str:
    """Return one axis with its name above and its ticks beside it."""
    at = coordinate(x)
    side = 1 if is_value else -1
    ticks = "".join(
        f'<path class="tick" d="M{at} {coordinate(_y(axis.share(value) or 0.0))}h{side * 5}"/>'
        f'<text class="{"after" if is_value else "y"}" x="{coordinate(x + side * 8)}" '
        f'y="{coordinate(_y(axis.share(value) or 0.0))}" dy=".32em">{html_attribute(text)}</text>'
        for value, text in ticks_of(axis)
    )
    name = html_attribute(tail(title, TITLE_CHARACTERS))
    return (
        f'<g class="grid pillar"><path class="zero" d="M{at} {TOP:.0f}V{HEIGHT - BOTTOM:.0f}"/>{ticks}'
        f'<text class="x name" x="{at}" y="{TOP - 16:.0f}">{name}<title>{html_attribute(title)}</title></text></g>'
    )


def _y(share: float) -> float:
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)
