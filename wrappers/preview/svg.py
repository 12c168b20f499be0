"""The weights of a reward over a run as one SVG file that stands alone, readable on light and dark pages."""

import math
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from rlenvs.wrappers.preview.sampling import Sample, fixed_schedules, outline, reactive_schedules, sample
from rlenvs.wrappers.schedules.base import Schedule

WIDTH = 760
LEFT, RIGHT, TOP, PLOT_HEIGHT = 62, 24, 46, 270
LINE_HEIGHT = 20
LETTER, CAPITAL, WIDE = 7.3, 9.0, 12.0  # pixels that a letter takes at 12 px in the wider of the common fonts
LARGEST = 5e307  # a span of larger weights would overflow
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
# After Okabe and Ito: darkened for a light page and lightened for a dark one, told apart by colour-blind readers.
LIGHT = ("#0068a8", "#c75000", "#00845f", "#b5578e", "#5b4fa8", "#a87400", "#3892c9", "#6b6f75")
DARK = ("#5aaee8", "#f08a4b", "#3fc597", "#e09ac6", "#a99df0", "#e3b341", "#a3d5f5", "#a6abb1")
MINUS = "\u2212"
DASHES = ("", "7 5", "2 4", "9 3 2 3", "14 4", "4 10")


@dataclass(frozen=True)
class Line:
    """One weight: its name, its points, and how it is drawn.

    Args:
        name: name of the component.
        points: (step, weight) pairs.
        colour: index into the palette.
        dash: index into the dash patterns.
    """

    name: str
    points: Sequence[Sample]
    colour: int
    dash: int

    @property
    def attributes(self) -> str:
        """Class and dash pattern of the drawn line."""
        dash = DASHES[self.dash]
        return f'class="line c{self.colour}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def schedules_svg(schedules: Mapping[str, Schedule], steps: int, title: str = "Reward weights") -> str:
    """Draw all weights over a run.

    Weights that react to the run have no line; their rules stand below the legend.

    Args:
        schedules: name of the component -> its schedule.
        steps: environment steps of the run, >= 1.
        title: what stands above the chart.

    Returns:
        A whole SVG document.

    Example:
        >>> from rlenvs.wrappers.schedules.ramps import LinearSchedule
        >>> schedules_svg({"format": LinearSchedule(1.0, 0.0, 100)}, steps=125).startswith("<svg")
        True
    """
    lines = _lines(fixed_schedules(schedules), steps)
    rules = [f"{name}: {schedule.rule()}" for name, schedule in reactive_schedules(schedules).items()]
    plot = _Plot(steps, [weight for line in lines for _, weight in line.points])
    top = TOP + PLOT_HEIGHT + 50
    legend, top = _legend(lines, plot.left, top)
    notes, top = _notes(rules, plot.left, top)
    names = ", ".join(schedules)
    room = (WIDTH - RIGHT - plot.left) * 12 / 15  # the title is set at 15 px
    height = top + 4
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-labelledby="title desc">\n'
        f'<title id="title">{_safe(title)}</title>\n'
        f'<desc id="desc">{_safe(f"Weights of {names} over {steps:,} environment steps")}</desc>\n'
        f"<style>{_style()}</style>\n"
        f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>\n'
        f'<text class="title" x="{plot.left}" y="26">{_safe(_short(title, room))}</text>\n'
        f"{plot.axes()}\n"
        + "".join(f'<path {line.attributes} d="{plot.path(line.points)}"/>\n' for line in lines)
        + f"{legend}{notes}</svg>\n"
    )


def ticks(low: float, high: float, target: int) -> list[float]:
    """Return round numbers that cover [low, high] in about `target` intervals.

    Args:
        low: smallest value.
        high: largest value, above `low`.
        target: about how many intervals, >= 1.

    Example:
        >>> ticks(0.0, 0.94, 4)
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    rough = (high - low) / target
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in ROUND if factor * power >= rough * 0.999), 10.0 * power)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


class _Plot:
    """Maps steps and weights to the drawing."""

    def __init__(self, steps: int, weights: Sequence[float]) -> None:
        clamped = [min(max(weight, -LARGEST), LARGEST) for weight in weights]
        low, high = min(clamped, default=0.0), max(clamped, default=1.0)
        low, high = min(low, 0.0), max(high, 0.0)
        if high - low < 1e-100:  # all weights are 0
            high = 1.0
        self.steps = steps
        self.y_ticks = ticks(low, high, 5)
        self.low, self.high = self.y_ticks[0], self.y_ticks[-1]
        self.left = max(LEFT, math.ceil(max(_text_width(_label(tick)) for tick in self.y_ticks)) + 30)

    def x(self, step: float) -> float:
        return self.left + (WIDTH - self.left - RIGHT) * (step / self.steps)

    def y(self, weight: float) -> float:
        share = (min(max(weight, self.low), self.high) - self.low) / (self.high - self.low)
        return TOP + PLOT_HEIGHT * (1.0 - share)

    def path(self, points: Sequence[Sample]) -> str:
        places = (f"{_number(self.x(step))} {_number(self.y(weight))}" for step, weight in points)
        return "M" + "L".join(places)

    def axes(self) -> str:
        parts = []
        for tick in self.y_ticks:
            y = _number(self.y(tick))
            kind = "zero" if tick == 0 else "grid"
            parts.append(f'<path class="{kind}" d="M{self.left} {y}H{WIDTH - RIGHT}"/>')
            parts.append(f'<text class="end" x="{self.left - 8}" y="{y}" dy=".32em">{_label(tick)}</text>')
        bottom = TOP + PLOT_HEIGHT
        for tick in ticks(0, self.steps, 5):
            if tick > self.steps or tick != int(tick):
                continue
            x = _number(self.x(tick))
            parts.append(f'<path class="tick" d="M{x} {bottom}v5"/>')
            parts.append(f'<text class="middle" x="{x}" y="{bottom + 18}">{_label(tick)}</text>')
        middle = (self.left + WIDTH - RIGHT) // 2
        parts.append(f'<text class="middle" x="{middle}" y="{bottom + 36}">environment steps</text>')
        half = TOP + PLOT_HEIGHT // 2
        parts.append(f'<text class="middle" transform="translate(15 {half}) rotate(-90)">weight</text>')
        return "\n".join(parts)


def _lines(schedules: Mapping[str, Schedule], steps: int) -> list[Line]:
    """Sample the schedules; lines that lie on each other or share a colour are dashed differently."""
    lines: list[Line] = []
    columns = (WIDTH - LEFT - RIGHT) // 2
    for index, (name, schedule) in enumerate(schedules.items()):
        points = outline(sample(schedule, steps, columns))
        colour = index % len(LIGHT)
        taken = {line.dash for line in lines if line.points == points or line.colour == colour}
        dash = next((dash for dash in range(len(DASHES)) if dash not in taken), 0)
        lines.append(Line(name, points, colour, dash))
    return lines


def _legend(lines: Sequence[Line], left: int, top: int) -> tuple[str, int]:
    """Draw the names in rows; returns the drawing and where the next part begins."""
    parts, x = [], float(left)
    for line in lines:
        name = _short(line.name, WIDTH - RIGHT - left - 34)
        width = 34 + _text_width(name) + 18
        if x > left and x + width - 18 > WIDTH - RIGHT:
            x, top = float(left), top + LINE_HEIGHT
        parts.append(f'<path {line.attributes} d="M{_number(x)} {top + 6}h26"/>')
        parts.append(f'<text x="{_number(x + 34)}" y="{top + 6}" dy=".32em">{_safe(name)}</text>')
        x += width
    return "".join(f"{part}\n" for part in parts), top + (LINE_HEIGHT if lines else 0)


def _notes(rules: Sequence[str], left: int, top: int) -> tuple[str, int]:
    """Write the rules of the weights without a line; returns the drawing and where the next part begins."""
    if not rules:
        return "", top
    width = int((WIDTH - left - RIGHT) / LETTER)
    rows = ["Decided by the run:"]
    for rule in rules:
        rows += textwrap.wrap(rule, width, subsequent_indent="   ")
    parts = []
    for row in rows:
        top += LINE_HEIGHT - 3
        parts.append(f'<text class="note" x="{left}" y="{top}" xml:space="preserve">{_safe(row)}</text>\n')
    return "".join(parts), top + 12


def _style() -> str:
    def theme(page: str, ink: str, faint: str, grid: str, colours: Sequence[str]) -> str:
        strokes = "".join(f".c{index}{{stroke:{colour}}}" for index, colour in enumerate(colours))
        return (
            f".page{{fill:{page}}}text{{fill:{ink}}}.end,.middle,.note{{fill:{faint}}}"
            f".grid{{stroke:{grid}}}.zero,.tick{{stroke:{faint}}}{strokes}"
        )

    return (
        "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif}"
        ".title{font-size:15px;font-weight:600}.end{text-anchor:end}.middle{text-anchor:middle}"
        ".grid,.zero,.tick{fill:none;stroke-width:1}"
        ".line{fill:none;stroke-width:2;stroke-linejoin:round}"
        + theme("#ffffff", "#1d2229", "#5a626d", "#e3e6ea", LIGHT)
        + "@media (prefers-color-scheme:dark){"
        + theme("#14181d", "#e8ebee", "#a2abb5", "#2b323a", DARK)
        + "}"
    )


def _label(value: float) -> str:
    """Write a tick: 25000 as 25k."""
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= abs(value) < 1e15:
            return f"{value / (1e3 if suffix == 'k' else limit):.6g}{suffix}".replace("-", MINUS)
    return f"{value:.6g}".replace("-", MINUS)


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text_width(text: str) -> float:
    """Return how many pixels a text takes at most, at 12 px, in the fonts that are common."""

    def width(letter: str) -> float:
        if letter in "mwMW@%" or unicodedata.east_asian_width(letter) in "WF":
            return WIDE
        return CAPITAL if letter.isupper() else LETTER

    return sum(map(width, text))


def _short(text: str, pixels: float) -> str:
    """Cut a text to what fits into `pixels` at 12 px."""
    if _text_width(text) <= pixels:
        return text
    kept = len(text)
    while kept and _text_width(f"{text[:kept]}…") > pixels:
        kept -= 1
    return f"{text[:kept]}…"


def _safe(text: str) -> str:
    """Escape text; characters that XML does not allow become the replacement character."""
    allowed = (
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "\ufffd"
        for c in text
    )
    return escape("".join(allowed))
