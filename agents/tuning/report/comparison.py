"""The best configuration against the base one on fresh seeds: the figure that says whether a lead is luck."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rlenvs.agents.reporting.formatting import format_number, typeset
from rlenvs.agents.reporting.reading import finite
from rlenvs.agents.tuning.report.axes import Axis, number_axis
from rlenvs.agents.tuning.report.figures import LegendEntry, Mark, draw_chart, draw_line, draw_marks, figure


@dataclass(frozen=True)
class ComparisonView:
    """What `comparison.json` says.

    Attributes:
        metric: what was measured.
        maximize: whether more is better.
        seeds: fresh ones, the same for both.
        base: the metric of the base configuration by seed.
        best: of the best configuration.
        mean: mean of best minus base.
        low: lower end of its confidence interval; NaN where there is none.
        high: upper end.
        confidence: of the interval, such as 0.95.
        unit: what a seed stands for.
    """

    metric: str
    maximize: bool
    seeds: tuple[int, ...]
    base: tuple[float, ...]
    best: tuple[float, ...]
    mean: float
    low: float
    high: float
    confidence: float
    unit: str = "fresh seed"

    @classmethod
    def read(cls, data: Mapping[str, Any] | None, maximize: bool = True) -> Self | None:
        """Return the view of plain data; None where it is not that of a comparison."""
        if data is None:
            return None
        lists = [data.get(key) for key in ("seeds", "base", "best")]
        if not all(isinstance(values, list | tuple) and values for values in lists):
            return None
        seeds, base, best = ([finite(value) for value in values] for values in lists if values)
        pairs = [(s, a, b) for s, a, b in zip(seeds, base, best, strict=False) if None not in (s, a, b)]
        if not pairs:
            return None
        numbers = {key: finite(data.get(key)) for key in ("mean", "low", "high", "confidence")}
        filled = {key: math.nan if value is None else value for key, value in numbers.items()}
        columns = list(zip(*pairs, strict=True))
        return cls(
            metric=str(data.get("metric", "value")),
            maximize=maximize,
            seeds=tuple(int(value or 0) for value in columns[0]),
            base=tuple(float(value or 0.0) for value in columns[1]),
            best=tuple(float(value or 0.0) for value in columns[2]),
            unit=str(data.get("unit", "fresh seed")),
            **filled,
        )

    @property
    def interval(self) -> str:
        """The difference with its interval, in words."""
        mean = format_number(self.mean, signed=True)
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return typeset(mean)
        low, high = (format_number(value, signed=True) for value in (self.low, self.high))
        share = f"{100 * self.confidence:.3g} % interval " if math.isfinite(self.confidence) else ""
        return typeset(f"{mean} ({share}{low} to {high})")

    @property
    def verdict(self) -> tuple[str, bool]:
        """What it says about the best configuration, and whether that is a warning."""
        count = len(self.seeds)
        seeds = f"{count} {self.unit}{'s' if count > 1 else ''}"
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return (
                f"On {seeds} the difference to the base configuration is {self.interval}; one seed tells no interval.",
                True,
            )
        better, worse = (self.low > 0, self.high < 0) if self.maximize else (self.high < 0, self.low > 0)
        if better:
            return f"On {seeds} the best configuration beats the base one: {self.interval}.", False
        if worse:
            return (
                f"On {seeds} the best configuration is worse than the base one: {self.interval}. Its trial was lucky.",
                True,
            )
        return (
            f"On {seeds} the lead over the base configuration may be chance: {self.interval} includes 0. "
            "More of them, or more seeds per trial, would tell."
        ), True


def comparison_charts(view: ComparisonView) -> list[str]:
    """Return both configurations seed by seed, and the difference with its interval."""
    return [_by_seed(view), *([_difference(view)] if math.isfinite(view.low) and math.isfinite(view.high) else [])]


def _by_seed(view: ComparisonView) -> str:
    count = len(view.seeds)
    ticks = tuple((float(at), str(seed)) for at, seed in enumerate(view.seeds) if at % (-(-count // 8)) == 0)
    x, y = Axis(-0.5, count - 0.5, ticks), number_axis([*view.base, *view.best])
    threads, marks = [], []
    for at, (seed, base, best) in enumerate(zip(view.seeds, view.base, view.best, strict=True)):
        place, before, after = x.share(at) or 0.0, y.share(base) or 0.0, y.share(best) or 0.0
        threads.append(draw_line([(place, before), (place, after)], "c7"))
        said = f"{seed}: base {format_number(base)}, best {format_number(best)}"
        marks += [Mark(place, before, said, "c7"), Mark(place, after, said, "c2")]
    means = [sum(values) / count for values in (view.base, view.best)]
    legend = [
        LegendEntry("c7", "base", typeset(format_number(means[0]))),
        LegendEntry("c2", "best", typeset(format_number(means[1]))),
    ]
    label = f"{view.metric} of base and best configuration on {count} {view.unit}s"
    return figure(
        "Base and best, seed by seed", f"{view.metric} by {view.unit}; means in the legend",
        draw_chart(x, y, "".join(threads) + draw_marks(marks), label), legend=legend,
        hint="No trial of the study has seen them.",
    )  # fmt: skip


def _difference(view: ComparisonView) -> str:
    differences = [best - base for base, best in zip(view.base, view.best, strict=True)]
    x = number_axis([0.0, view.low, view.high, *differences])
    y = Axis(0.0, 1.0, ())
    marks = [
        Mark(x.share(value) or 0.0, 0.3, f"{seed}: {format_number(value, signed=True)}", "c7")
        for seed, value in zip(view.seeds, differences, strict=True)
    ]
    low, high, zero = (x.share(value) or 0.0 for value in (view.low, view.high, 0.0))
    body = draw_line([(zero, 0.0), (zero, 1.0)], "c7") + draw_line([(low, 0.65), (high, 0.65)], "c2 wide")
    marks.append(Mark(x.share(view.mean) or 0.0, 0.65, f"mean {view.interval}", "c2 best"))
    return figure(
        "Best minus base", f"difference in {view.metric}; paired by seed",
        draw_chart(x, y, body + draw_marks(marks), f"difference {view.interval}"),
        legend=[LegendEntry("c2", "mean and interval", view.interval), LegendEntry("c7", "each seed")],
        hint="An interval to one side of 0 is what tells a gain from a lucky trial.",
    )  # fmt: skip
