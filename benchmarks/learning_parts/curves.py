"""Curves of several seeds: their mean, what they need to reach a goal, and a drawing of them."""

import statistics
from collections.abc import Mapping, Sequence
from html import escape

from rlenvs.agents.reporting.svg import HEIGHT, LEFT, WIDTH, Series, line_chart

Curve = Sequence[tuple[int, float]]
COLOURS = ("#0068a8", "#c75000", "#00845f", "#b5578e")
FAINT = len(COLOURS)  # seeds have the colour of their mean, faintly
LEGEND = 22.0
STYLE = "".join(
    [
        "text{font:11px sans-serif;fill:#5d666f}.y,.axis{text-anchor:end}.x{text-anchor:middle}",
        ".grid path{stroke:#e3e4e0;fill:none}.line path{fill:none;stroke-linejoin:round;stroke-linecap:round}",
        *(f".c{k} path,path.c{k}{{stroke:{colour};stroke-width:2.2}}" for k, colour in enumerate(COLOURS)),
        *(f".c{k + FAINT} path{{stroke:{colour};opacity:.35}}" for k, colour in enumerate(COLOURS)),
        ".line .dots,.cursor{display:none}",
    ]
)


def mean_curve(curves: Sequence[Curve]) -> list[tuple[int, float]]:
    """Return the mean where all of them were measured.

    Example:
        >>> mean_curve([[(0, 0.25), (10, 0.5)], [(0, 0.75), (10, 1.0), (20, 1.0)]])
        [(0, 0.5), (10, 0.75)]
    """
    values = [dict(curve) for curve in curves]
    shared = sorted(set.intersection(*(set(value) for value in values)))
    return [(place, statistics.fmean(value[place] for value in values)) for place in shared]


def reached_at(curve: Curve, goal: float) -> float | None:
    """Return where a curve first reaches a value, between two measurements on the line between them.

    Example:
        >>> reached_at([(0, 0.0), (10, 0.5), (20, 1.0)], 0.75), reached_at([(0, 0.1)], 0.5)
        (15.0, None)
    """
    before: tuple[int, float] | None = None
    for place, value in curve:
        if value >= goal:
            if before is None:
                return float(place)
            share = (goal - before[1]) / (value - before[1])
            return before[0] + share * (place - before[0])
        before = (place, value)
    return None


def draw(groups: Mapping[str, Sequence[Curve]], label: str, x_label: str = "iteration") -> str:
    """Return a stand-alone SVG: for each group the mean, and each of its curves faintly.

    Args:
        groups: name -> curves of its seeds; at most four groups.
        label: what a screen reader says.
        x_label: name of the x axis.
    """
    series = []
    for number, (name, curves) in enumerate(groups.items()):
        series += [Series(name, curve, number + FAINT) for curve in curves]
        series.append(Series(name, mean_curve(curves), number))
    legend, top = legend_of(list(groups))
    chart = line_chart(series, label=label, x_label=x_label, percent=True, zero=True)
    inner = chart.replace("<svg ", f'<svg y="{top:.0f}" width="{WIDTH:.0f}" height="{HEIGHT:.0f}" ', 1)
    size = f'width="{2 * WIDTH:.0f}" height="{2 * (HEIGHT + top):.0f}" viewBox="0 0 {WIDTH:.0f} {HEIGHT + top:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{STYLE}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{legend}{inner}</svg>\n'
    )


def legend_of(names: Sequence[str]) -> tuple[str, float]:
    """Return the names beside their colours, in as many lines as they need, and the height of that."""
    parts, x, y = [], LEFT, 15.0
    for number, name in enumerate(names):
        width = 36 + 5.8 * len(name)
        if x > LEFT and x + width > WIDTH:
            x, y = LEFT, y + 14
        parts.append(
            f'<path class="c{number}" d="M{x:.0f} {y - 4:.0f}h14"/>'
            f'<text x="{x + 19:.0f}" y="{y:.0f}">{escape(name)}</text>'
        )
        x += width
    return "".join(parts), y - 15 + LEGEND
