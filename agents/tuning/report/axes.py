"""Axes of the charts of a study: numbers, numbers on a logarithmic scale, and labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rlenvs.agents.reporting.formatting import format_number, typeset
from rlenvs.agents.reporting.markup import html_attribute, shorten
from rlenvs.agents.reporting.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, coordinate, nice_ticks, tick_label

MAX_LABELS = 6
LABEL_CHARACTERS = 14
MARGIN = 0.04  # of the axis, so that no mark sits on its end
DECADE_STEPS = (1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        low: at its start.
        high: at its end, above `low`.
        ticks: values with what is written there.
        log: whether equal factors are equally far apart.
        labels: of a choice, whose values are then their places in this list.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False
    labels: tuple[str, ...] = ()

    def share(self, value: Any) -> float | None:
        """Return where a value lies, from 0 at the start of the axis to 1 at its end; None for what is no place."""
        if self.labels:
            text = choice_label(value)
            number = float(self.labels.index(text)) if text in self.labels else math.nan
        else:
            number = float(value) if isinstance(value, int | float) else math.nan
        if not math.isfinite(number) or (self.log and number <= 0):
            return None
        if self.log:
            return math.log(number / self.low) / math.log(self.high / self.low)
        return (number - self.low) / (self.high - self.low)


def number_axis(values: Sequence[float]) -> Axis:
    """Return an axis with round ticks that covers values, which are finite.

    Example:
        >>> [text for _, text in number_axis([0.1, 0.9]).ticks]
        ['0', '0.2', '0.4', '0.6', '0.8', '1.0']
    """
    ticks = nice_ticks(min(values), max(values))
    step = ticks[1] - ticks[0]
    return Axis(ticks[0], ticks[-1], tuple((tick, tick_label(tick, step)) for tick in ticks))


def whole_axis(low: float, high: float) -> Axis:
    """Return an axis of whole numbers from `low` to `high`, with some room at both ends.

    Example:
        >>> [text for _, text in whole_axis(0, 40).ticks]
        ['0', '10', '20', '30', '40']
    """
    high = max(high, low + 1)
    ticks = nice_ticks(low, high, whole=True)
    step, reach = ticks[1] - ticks[0], MARGIN / 2 * (high - low)
    shown = tuple((tick, tick_label(tick, step)) for tick in ticks if low - reach <= tick <= high + reach)
    return Axis(low - reach, high + reach, shown)


def axis_of(distribution: BaseDistribution) -> Axis:
    """Return the axis of a parameter: its whole range, so that a look tells where in it trials were made."""
    if isinstance(distribution, CategoricalDistribution):
        labels = tuple(dict.fromkeys(map(choice_label, distribution.choices)))
        every = -(-len(labels) // MAX_LABELS)
        shown = tuple(
            (float(at), shorten(label, LABEL_CHARACTERS)) for at, label in enumerate(labels) if at % every == 0
        )
        return Axis(-0.5, len(labels) - 0.5, shown, labels=labels)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high = float(distribution.low), float(distribution.high)
    if low == high:
        low, high = low - 0.5, high + 0.5
    if distribution.log and low > 0:
        reach = (high / low) ** MARGIN
        return Axis(low / reach, high * reach, tuple(log_ticks(low, high)), log=True)
    reach = MARGIN * (high - low)
    ticks = [tick for tick in nice_ticks(low, high) if low - reach <= tick <= high + reach]
    step = ticks[1] - ticks[0] if len(ticks) > 1 else 1.0
    return Axis(low - reach, high + reach, tuple((tick, tick_label(tick, step)) for tick in ticks))


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return ticks of a logarithmic axis: powers of ten, and where those are few 2 and 5 times them.

    Example:
        >>> [text for _, text in log_ticks(0.5, 20.0)]
        ['0.5', '1', '2', '5', '10', '20']
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    tens = [10.0**power for power in range(first, last + 1) if low * 0.999 <= 10.0**power <= high * 1.001]
    if len(tens) > MAX_LABELS:
        tens = tens[:: -(-len(tens) // MAX_LABELS)]
    if len(tens) >= 3:
        return [(tick, f"1e{round(math.log10(tick))}" if not 1e-3 <= tick <= 1e4 else f"{tick:g}") for tick in tens]
    fine = [step * 10.0**power for power in range(first, last + 1) for step in DECADE_STEPS]
    within = [tick for tick in fine if low * 0.999 <= tick <= high * 1.001]
    if len(within) < 2:  # a range within one step
        within = [low, high]
    return [(tick, f"{tick:.3g}") for tick in within[: 2 * MAX_LABELS]]


def x_at(share: float) -> float:
    """Return where on a chart a share of the x axis lies."""
    return LEFT + share * (WIDTH - RIGHT - LEFT)


def y_at(share: float) -> float:
    """Return where on a chart a share of the y axis lies."""
    return HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP)


def draw_frame(x: Axis, y: Axis) -> str:
    """Return grid lines and what is written at the ticks of both axes.

    Foreign text is escaped as in attributes: the marks that `html_text` puts around escapes would end the drawing.
    """
    parts = []
    for value, text in y.ticks:
        at = coordinate(y_at(y.share(value) or 0.0))
        zero = ' class="zero"' if value == 0 else ""
        parts.append(f'<path{zero} d="M{LEFT:.0f} {at}H{WIDTH - RIGHT:.0f}"/>')
        parts.append(f'<text class="y" x="{LEFT - 7:.0f}" y="{at}" dy=".32em">{escape(text)}</text>')
    for value, text in ticks_of(x):
        at = coordinate(x_at(x.share(value) or 0.0))
        parts.append(f'<path class="tick" d="M{at} {HEIGHT - BOTTOM:.0f}v4"/>')
        parts.append(f'<text class="x" x="{at}" y="{HEIGHT - 10:.0f}">{html_attribute(text)}</text>')
    return f'<g class="grid" aria-hidden="true">{"".join(parts)}</g>'


def ticks_of(axis: Axis) -> list[tuple[Any, str]]:
    """Return the ticks of an axis with values that its `share` takes."""
    if axis.labels:
        return [(axis.labels[int(at)], text) for at, text in axis.ticks]
    return list(axis.ticks)


def tail(name: str, limit: int) -> str:
    """Shorten a dot path from its front: what tells parameters apart stands at their ends.

    Example:
        >>> tail("rewards.reward_shaping.length.initial_weight", 24)
        '…g.length.initial_weight'
    """
    text = " ".join(name.split())
    return text if len(text) <= limit else f"…{text[1 - limit :]}"


def choice_label(choice: Any) -> str:
    """Return what a choice is called, as YAML has it.

    Example:
        >>> choice_label(None), choice_label(0.25), choice_label("z_score")
        ('null', '0.25', 'z_score')
    """
    return "null" if choice is None else str(choice).lower() if isinstance(choice, bool) else str(choice)


def written(value: Any) -> str:
    """Write a parameter or a value for a page; not escaped yet.

    Example:
        >>> written(0.123456), written(12), written("z_score"), written(True), written(None)
        ('0.123', '12', 'z_score', 'true', 'null')
    """
    if value is None or isinstance(value, bool):
        return choice_label(value)
    if isinstance(value, int):
        return typeset(str(value))
    return typeset(format_number(value)) if isinstance(value, float) else str(value)
