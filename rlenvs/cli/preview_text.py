"""The preview of a reward's weights as lines of text: a chart per weight, the rules, and a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlenvs.cli.line_chart import display_width, dots_per_column, draw, fit, wrap
from rlenvs.cli.output import is_unicode, printable

if TYPE_CHECKING:
    from rlenvs.wrappers.schedules.base import Schedule

__all__ = ["Line", "PreviewText"]

ROWS = 4
NARROWEST, WIDEST = 30, 100
LONGEST_NAME, SHORTEST_NAME = 16, 4


@dataclass(frozen=True)
class Line:
    """One line of output.

    Args:
        text: what it says.
        colour: index of the component that it belongs to; None for lines of no component.
    """

    text: str
    colour: int | None = None


class PreviewText:
    """Lays the preview out for a terminal.

    Args:
        schedules: name of the component -> its schedule.
        steps: environment steps of the run, >= 1.
        width: columns of the terminal.
        encoding: encoding of the output; characters that it lacks are escaped, and charts fall back to ASCII.
    """

    def __init__(self, schedules: "Mapping[str, Schedule]", steps: int, width: int, encoding: str) -> None:
        from rlenvs.wrappers.preview.sampling import fixed_schedules, reactive_schedules

        self.steps = steps
        self.encoding = encoding
        self.unicode = is_unicode(encoding)
        self.width = min(max(width, NARROWEST), WIDEST)
        self.colours = {name: index for index, name in enumerate(schedules)}
        self.fixed = fixed_schedules(schedules)
        self.reactive = reactive_schedules(schedules)
        self.ranges = {name: self._range(schedule) for name, schedule in self.fixed.items()}

    def lines(self, title: str) -> Iterator[Line]:
        """Yield the whole preview."""
        yield from self._wrapped(f"{printable(title, self.encoding)}: weights over {self.steps:,} environment steps")
        moving = [end for low, high in self.ranges.values() if low < high for end in (low, high)]
        margin = max((len(_label(end)) for end in moving), default=0) + 1
        for name, schedule in self.fixed.items():
            yield Line("")
            yield from self._chart(name, schedule, margin)
        if self.reactive:
            yield Line("")
            yield Line("decided by the run:")
            for name, schedule in self.reactive.items():
                yield from self._caption(name, schedule, indent="  ")
        if self.fixed:
            yield Line("")
            yield from (Line(row) for row in self._table())

    def _chart(self, name: str, schedule: "Schedule", margin: int) -> Iterator[Line]:
        """Yield the caption of a weight and its curve; one that never moves needs no curve."""
        from rlenvs.wrappers.preview.sampling import sample

        yield from self._caption(name, schedule)
        low, high = self.ranges[name]
        if low == high:
            return
        labels = [_label(high), *[""] * (ROWS - 2), _label(low)]
        columns = sample(schedule, self.steps, (self.width - margin - 2) * dots_per_column(self.unicode))
        spans = [(min(w for _, w in column), max(w for _, w in column)) for column in columns]
        edge = "│" if self.unicode else "|"
        colour = self.colours[name]
        for label, row in zip(labels, draw(spans, low, high, ROWS, unicode=self.unicode), strict=True):
            yield Line(f"{label:>{margin}} {edge}{row}".rstrip(), colour)
        end = f"step {self.steps:,}"
        yield Line(f"{'':{margin}} 0{end:>{self.width - margin - 2}}", colour)

    def _range(self, schedule: "Schedule") -> tuple[float, float]:
        """Return the ends of the weight's axis, which holds 0; both the same for a weight that never moves."""
        from rlenvs.wrappers.preview.sampling import sample

        weights = [weight for column in sample(schedule, self.steps, self.width) for _, weight in column]
        low, high = min(weights), max(weights)
        return (low, high) if low == high else (min(low, 0.0), max(high, 0.0))

    def _caption(self, name: str, schedule: "Schedule", indent: str = "") -> Iterator[Line]:
        from rlenvs.wrappers.preview.sampling import describe

        text = f"{printable(name, self.encoding)}: {printable(describe(schedule), self.encoding)}"
        yield from self._wrapped(text, indent, self.colours[name])

    def _table(self) -> Iterator[str]:
        """Yield the weights at 0, 10, ... 100 % of the run, in as many blocks as the width needs."""
        from rlenvs.wrappers.preview.sampling import table_steps

        steps = table_steps(self.steps)
        first = ["step", *(f"{step:,}" for step in steps)]
        room = self.width - _width(first)
        longest = max(min(LONGEST_NAME, room - 2), SHORTEST_NAME)
        columns = [
            [fit(printable(name, self.encoding), longest, unicode=self.unicode), *(_label(schedule(t)) for t in steps)]
            for name, schedule in self.fixed.items()
        ]
        for number, block in enumerate(_blocks(columns, room)):
            if number:
                yield ""
            for row in zip(first, *block, strict=True):
                cells = zip(row, [first, *block], strict=True)
                yield "  ".join(" " * (_width(column) - display_width(cell)) + cell for cell, column in cells)

    def _wrapped(self, text: str, indent: str = "", colour: int | None = None) -> Iterator[Line]:
        yield from (Line(row, colour) for row in wrap(text, self.width, indent=indent, hang=4))


def _label(weight: float) -> str:
    return f"{weight:.4g}"


def _width(column: Sequence[str]) -> int:
    return max(map(display_width, column))


def _blocks(columns: Sequence[Sequence[str]], room: int) -> Iterator[list[Sequence[str]]]:
    """Split columns into runs that fit; a single column that does not fit stands alone."""
    block: list[Sequence[str]] = []
    used = 0
    for column in columns:
        needed = _width(column) + 2
        if block and used + needed > room:
            yield block
            block, used = [], 0
        block.append(column)
        used += needed
    yield block
