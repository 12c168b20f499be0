"""Line charts as inline SVG: axes with round ticks, lines that break at gaps, nothing that needs a library.

Charts are drawn in their own units (`WIDTH` x `HEIGHT`) and scale with the page. Colours are CSS variables of the page.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeAlias

from rlenvs.agents.reporting.formatting import MINUS

WIDTH, HEIGHT = 400.0, 190.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 8.0, 28.0
MAX_POINTS = 600  # more than the pixels of a chart can tell apart
MARKED_POINTS = 60  # up to here each point gets a dot
COLOURS = 8
LARGEST = 1e150  # a span of larger numbers would overflow
SMALLEST = 1e-100  # below it everything is 0
STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line.

    Args:
        name: Its name in the legend.
        points: (x, y) in order of x. A y that is NaN or infinite breaks the line.
        colour: Index into the page's palette; from 8 on the palette repeats, dashed.
    """

    name: str
    points: Sequence[Point]
    colour: int = 0


@dataclass(frozen=True)
class Scale:
    """A linear map from [low, high] to [start, end].

    Example:
        >>> Scale(0.0, 10.0, 100.0, 200.0)(2.5)
        125.0
    """

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Map a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def nice_step(span: float, target: int, *, whole: bool = False) -> float:
    """Return a round distance between ticks: 1, 2, 2.5 or 5 times a power of ten.

    Args:
        span: Length of the axis, above 0.
        target: About how many intervals to make.
        whole: Whether only whole numbers are wanted.
    """
    rough = span / target
    power = 10.0 ** math.floor(math.log10(rough))
    choices = [factor * power for factor in STEPS]
    if whole:
        choices = [step for step in [*choices, 20 * power] if step >= 1 and step == round(step)] or [1.0]
    return next((step for step in choices if step >= rough * 0.999), choices[-1])


def clamp(value: float) -> float:
    """Limit a finite value to what can be drawn."""
    return min(LARGEST, max(-LARGEST, value))


def widened(low: float, high: float, *, whole: bool = False) -> tuple[float, float]:
    """Return an interval that can be drawn: a constant is set in the middle of one."""
    size = max(abs(low), abs(high))
    if size < SMALLEST:
        return -1.0, 1.0
    if high - low > size * 1e-9:
        return low, high
    reach = max(0.1 * size, 1.0 if whole else 0.0)
    return low - reach, high + reach


def nice_ticks(low: float, high: float, target: int = 4, *, whole: bool = False) -> list[float]:
    """Return round ticks that cover [low, high]: the first is at or below it, the last at or above it.

    Args:
        low: Smallest value, finite.
        high: Largest value, finite, at least `low`.
        target: About how many intervals to make.
        whole: Whether only whole numbers are wanted.

    Example:
        >>> nice_ticks(0.03, 0.94)
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    low, high = widened(clamp(low), clamp(high), whole=whole)
    step = nice_step(high - low, target, whole=whole)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, last + 1)]


def tick_label(value: float, step: float) -> str:
    """Write a tick with as many digits as its step needs.

    Example:
        >>> tick_label(0.5, 0.25), tick_label(20_000.0, 5_000.0), tick_label(2e-5, 1e-5), tick_label(3.0, 1.0)
        ('0.50', '20k', '2e-5', '3')
    """
    if abs(value) < step * 1e-6:
        return "0"
    sign, size = (MINUS if value < 0 else ""), abs(value)
    if size >= 1e15 or step < 1e-4:
        mantissa, _, exponent = f"{size:.1e}".partition("e")
        return f"{sign}{mantissa.removesuffix('.0')}e{int(exponent)}"
    for limit, suffix in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= limit:
            unit = 1e3 if suffix == "k" else limit
            return f"{sign}{size / unit:.6g}{suffix}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(step * 10**digits - round(step * 10**digits)) > 1e-6:  # 0.25 needs one digit more than 0.2
        digits += 1
    return f"{sign}{size:.{digits}f}"


def line_path(points: Sequence[Point], x: Callable[[float], float], y: Callable[[float], float]) -> str:
    """Return the SVG path of a line that starts anew after each gap.

    Args:
        points: Values; a y that is NaN or infinite is a gap.
        x: Maps an x to the drawing.
        y: Maps a y to the drawing.

    Example:
        >>> line_path([(0, 0), (1, 1), (2, float("nan")), (3, 3)], lambda v: v, lambda v: v)
        'M0 0L1 1M3 3'
    """
    parts = []
    command = "M"
    for px, py in points:
        if not math.isfinite(py):
            command = "M"
            continue
        parts.append(f"{command}{coordinate(x(px))} {coordinate(y(py))}")
        command = "L"
    return "".join(parts)


def coordinate(value: float) -> str:
    """Write a coordinate with one decimal, without a needless `.0`."""
    return f"{value:.1f}".removesuffix(".0")


def thin_out(points: Sequence[Point], limit: int = MAX_POINTS) -> list[Point]:
    """Keep at most `limit` points: lowest and highest of each slice, so that no spike is lost. Gaps are kept."""
    if len(points) <= limit:
        return list(points)
    slices = max(1, limit // 3)
    kept: list[Point] = []
    for index in range(slices):
        part = points[index * len(points) // slices : (index + 1) * len(points) // slices]
        solid = [at for at, point in enumerate(part) if math.isfinite(point[1])]
        chosen = {at for at, point in enumerate(part) if not math.isfinite(point[1])}
        chosen = {min(chosen)} if chosen else set()
        if solid:
            chosen |= {min(solid, key=lambda at: part[at][1]), max(solid, key=lambda at: part[at][1])}
        kept.extend(part[at] for at in sorted(chosen))
    return kept


@dataclass(frozen=True)
class Axes:
    """Scales and ticks of a chart."""

    x: Scale
    y: Scale
    x_ticks: Sequence[float]
    y_ticks: Sequence[float]


def make_axes(series: Sequence[Series], *, zero: bool = False) -> Axes | None:
    """Fit axes to the finite values of some lines; None when there are none.

    Args:
        series: The lines.
        zero: Whether the y axis must include 0.
    """
    points = [point for line in series for point in line.points if math.isfinite(point[1])]
    if not points:
        return None
    values = [clamp(y) for _, y in points] + ([0.0] if zero else [])
    steps = [x for x, _ in points]
    low, high = widened(min(steps), max(steps), whole=True)
    y_ticks = nice_ticks(min(values), max(values))
    x_step = nice_step(high - low, 5, whole=True)
    x_ticks = [index * x_step for index in range(math.ceil(low / x_step), math.floor(high / x_step) + 1)]
    return Axes(
        Scale(low, high, LEFT, WIDTH - RIGHT),
        Scale(y_ticks[0], y_ticks[-1], HEIGHT - BOTTOM, TOP),
        x_ticks,
        y_ticks,
    )


def draw_axes(axes: Axes, x_label: str, *, percent: bool = False) -> str:
    """Return grid lines, tick labels and the name of the x axis."""
    parts = []
    y_step = axes.y_ticks[1] - axes.y_ticks[0]
    for tick in axes.y_ticks:
        at = coordinate(axes.y(tick))
        zero = ' class="zero"' if abs(tick) < y_step * 1e-6 else ""
        label = tick_label(100 * tick, 100 * y_step) + "%" if percent else tick_label(tick, y_step)
        parts.append(f'<path{zero} d="M{LEFT:.0f} {at}H{WIDTH - RIGHT:.0f}"/>')
        parts.append(f'<text class="y" x="{LEFT - 7:.0f}" y="{at}" dy=".32em">{label}</text>')
    x_step = axes.x_ticks[1] - axes.x_ticks[0] if len(axes.x_ticks) > 1 else 1.0
    reserved = WIDTH - RIGHT - 6.6 * len(x_label) - 20  # the name of the axis stands at its end
    for tick in axes.x_ticks:
        x = axes.x(tick)
        parts.append(f'<path class="tick" d="M{coordinate(x)} {HEIGHT - BOTTOM:.0f}v4"/>')
        if x <= reserved:
            label = tick_label(tick, x_step)
            parts.append(f'<text class="x" x="{coordinate(x)}" y="{HEIGHT - 10:.0f}">{label}</text>')
    parts.append(f'<text class="axis" x="{WIDTH - RIGHT:.0f}" y="{HEIGHT - 10:.0f}">{escape(x_label)}</text>')
    return f'<g class="grid" aria-hidden="true">{"".join(parts)}</g>'


def draw_series(line: Series, axes: Axes) -> str:
    """Return one line, with a dot on each point when they are few or stand alone."""

    def clamped(value: float) -> float:
        return axes.y(clamp(value))

    dash = " dashed" if line.colour >= COLOURS else ""
    path = line_path(line.points, axes.x, clamped)
    solid = [point for point in line.points if math.isfinite(point[1])]
    few = len(solid) <= MARKED_POINTS and not dash  # dots would fill the gaps of a dashed line
    dotted = solid if few else lonely_points(line.points)
    dots = "".join(f"M{coordinate(axes.x(x))} {coordinate(clamped(y))}h0" for x, y in dotted)
    colour = f"c{line.colour % COLOURS}"
    marks = f'<path class="dots" d="{dots}"/>' if dots else ""
    return f'<g class="line {colour}{dash}"><path d="{path}"/>{marks}</g>'


def lonely_points(points: Sequence[Point]) -> list[Point]:
    """Return the points with a gap on both sides: a line of one point cannot be seen."""
    solid = [False, *(math.isfinite(y) for _, y in points), False]
    return [
        point
        for index, point in enumerate(points, start=1)
        if solid[index] and not solid[index - 1] and not solid[index + 1]
    ]


def line_chart(
    series: Sequence[Series], *, label: str, x_label: str = "iteration", percent: bool = False, zero: bool = False
) -> str:
    """Return a chart as an `<svg>` element; an empty string when no line has a finite value.

    Args:
        series: The lines.
        label: What a screen reader says.
        x_label: Name of the x axis.
        percent: Whether y holds shares in [0, 1] to write as percentages.
        zero: Whether the y axis must include 0.
    """
    axes = make_axes(series, zero=zero)
    if axes is None:
        return ""
    lines = "".join(draw_series(line, axes) for line in series)
    scale = f'data-x0="{axes.x.low:.10g}" data-x1="{axes.x.high:.10g}"'
    return (
        f'<svg viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img" tabindex="0" {scale} '
        f'data-left="{LEFT:.0f}" data-right="{WIDTH - RIGHT:.0f}" aria-label="{escape(label)}">'
        f'{draw_axes(axes, x_label, percent=percent)}{lines}<path class="cursor" d=""/></svg>'
    )
