"""The frame of a chart of a study, and the marks on it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from rlenvs.agents.reporting.charts import number
from rlenvs.agents.reporting.markup import html_attribute, html_text
from rlenvs.agents.reporting.svg import HEIGHT, LEFT, RIGHT, WIDTH, coordinate
from rlenvs.agents.tuning.report.axes import Axis, draw_frame, x_at, y_at


@dataclass(frozen=True)
class Mark:
    """One dot.

    Attributes:
        x: where along the x axis, from 0 to 1.
        y: where along the y axis, from 0 to 1.
        title: what the pointer reads there, foreign text.
        style: CSS classes.
        strength: how opaque it is, from 0 to 1.
    """

    x: float
    y: float
    title: str
    style: str = "c0"
    strength: float = 1.0


@dataclass(frozen=True)
class LegendEntry:
    """What a colour means, and a number that goes with it."""

    style: str
    name: str
    value: str = ""


@dataclass(frozen=True)
class Hover:
    """What the pointer reads off a chart of lines.

    Attributes:
        x_label: of the x axis.
        low: x at the left end of the plot.
        high: x at its right end.
        xs: where there are values.
        lines: values at each x, None where a line has none; as many lines as the legend has entries, in its order.
    """

    x_label: str
    low: float
    high: float
    xs: Sequence[float]
    lines: Sequence[Sequence[float | None]]


def draw_marks(marks: Sequence[Mark]) -> str:
    """Return dots; each says on hovering what it is."""
    return "".join(
        f'<circle class="mark {mark.style}" cx="{coordinate(x_at(mark.x))}" cy="{coordinate(y_at(mark.y))}" '
        f'r="{4.2 if "best" in mark.style else 3.1}"'
        f'{f""" opacity="{mark.strength:.2f}" """ if mark.strength < 1 else ""}>'
        f"<title>{html_attribute(mark.title)}</title></circle>"
        for mark in marks
    )


def draw_line(points: Sequence[tuple[float, float]], style: str, title: str = "") -> str:
    """Return a line through points given as shares of both axes; a missing y breaks it.

    Example:
        >>> draw_line([(0.0, 0.0), (1.0, 1.0)], "c1")
        '<path class="thread c1" d="M46 162L388 8"/>'
    """
    parts, command = [], "M"
    for x, y in points:
        if not math.isfinite(y):
            command = "M"
            continue
        parts.append(f"{command}{coordinate(x_at(x))} {coordinate(y_at(y))}")
        command = "L"
    if not parts:
        return ""
    path = f'<path class="thread {style}" d="{"".join(parts)}"'
    return f"{path}><title>{html_attribute(title)}</title></path>" if title else f"{path}/>"


def draw_chart(x: Axis, y: Axis, body: str, label: str, hover: Hover | None = None) -> str:
    """Return a chart as an `<svg>` element.

    Args:
        x: the x axis.
        y: the y axis.
        body: marks and lines.
        label: what a screen reader says; foreign text.
        hover: what the script reads off, where the chart has that.
    """
    reach = ""
    if hover is not None:
        reach = (
            f' tabindex="0" data-x0="{hover.low:.10g}" data-x1="{hover.high:.10g}" '
            f'data-left="{LEFT:.0f}" data-right="{WIDTH - RIGHT:.0f}"'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img"{reach} aria-label="{html_attribute(label)}">'
        f'{draw_frame(x, y)}{body}<path class="cursor" d=""/></svg>'
    )


def figure(
    title: str,
    unit: str,
    chart: str,
    *,
    legend: Sequence[LegendEntry] = (),
    hint: str = "",
    hover: Hover | None = None,
    style: str = "",
) -> str:
    """Return a chart with its title, unit, legend and a sentence on how to read it. All texts may be foreign."""
    entries = "".join(
        f'<li class="{entry.style}"><i></i><span>{html_text(entry.name)}</span> <b>{html_text(entry.value)}</b></li>'
        for entry in legend
    )
    data = ""
    if hover is not None:
        table = [list(map(number, hover.xs)), *(list(map(number, line)) for line in hover.lines)]
        values = json.dumps(table, separators=(",", ":"), allow_nan=False)
        data = f" data-x=\"{html_attribute(hover.x_label)}\" data-points='{values}'"
    classes = f' class="{style}"' if style else ""
    return (
        f"<figure{classes}{data}><figcaption><h3>{html_text(title)}</h3> <small>{html_text(unit)}</small></figcaption>"
        + (f'<ul class="legend">{entries}</ul>' if entries else "")
        + f'<div class="plot">{chart}</div>'
        + (f'<p class="hint">{html_text(hint)}</p>' if hint else "")
        + "</figure>"
    )
