"""What a chart of a report is made of."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from rlenvs.agents.reporting.svg import LARGEST, Series, thin_out

Rows: TypeAlias = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class Panel:
    """One chart.

    Args:
        title: What it shows.
        unit: Unit of the y axis, in words.
        series: Its lines; without any point the panel is left out and named in a note.
        percent: Whether y holds shares in [0, 1].
        zero: Whether the y axis must include 0.
        x_label: Name of the x axis.
        hint: One sentence on how to read it.
    """

    title: str
    unit: str
    series: Sequence[Series]
    percent: bool = False
    zero: bool = False
    x_label: str = "iteration"
    hint: str = ""


@dataclass(frozen=True)
class Section:
    """Charts that answer one question."""

    anchor: str
    title: str
    panels: Sequence[Panel] = field(default_factory=tuple)


def metric_series(rows: Rows, key: str, name: str, colour: int, x: str = "iteration") -> Series:
    """Return one metric as a line, thinned out to what a chart can show; empty when no row has it."""
    points = [(row[x], row[key]) for row in rows if key in row and abs(row.get(x, math.nan)) <= LARGEST]
    return Series(name, thin_out(points), colour)


def panel(rows: Rows, title: str, unit: str, lines: Sequence[tuple[str, str]], **options: bool | str) -> Panel:
    """Make a panel of some metrics, given as (key, name)."""
    series = [metric_series(rows, key, name, index) for index, (key, name) in enumerate(lines)]
    return Panel(
        title,
        unit,
        [line for line in series if line.points],
        percent=bool(options.get("percent")),
        zero=bool(options.get("zero")),
        hint=str(options.get("hint", "")),
    )
