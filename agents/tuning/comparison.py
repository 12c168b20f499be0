"""Is the best configuration better than the one that a study began with, on seeds that no trial has used?

The best of many noisy trials looks better than it is: it was chosen for its luck too. So it is measured again, on fresh
seeds, side by side with the base. Both get the same seeds, and the interval is that of the differences by seed.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rlenvs.errors import ConfigError
from rlenvs.extras import require
from rlenvs.suggestions import did_you_mean

__all__ = ["Comparison", "Measure", "compare_on_fresh_seeds", "paired_comparison"]

CONFIDENCE = 0.95

Measure = Callable[[dict[str, Any], int], Mapping[str, float]]
"""Configuration and seed -> metrics."""


@dataclass(frozen=True)
class Comparison:
    """Two configurations on the same N seeds.

    Attributes:
        metric: what was measured.
        seeds: `[N]`.
        base: `[N]` values of the configuration that the study began with.
        best: `[N]` values of its best one.
        mean: mean of best - base.
        low: lower end of its confidence interval; None where one seed says nothing of the spread.
        high: upper end.
        confidence: of the interval, in (0, 1).
    """

    metric: str
    seeds: tuple[int, ...]
    base: tuple[float, ...]
    best: tuple[float, ...]
    mean: float
    low: float | None
    high: float | None
    confidence: float = CONFIDENCE

    @property
    def decided(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low is not None and self.high is not None and not self.low <= 0.0 <= self.high

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def compare_on_fresh_seeds(
    base: Mapping[str, Any],
    best: Mapping[str, Any],
    measure: Measure,
    metric: str,
    seeds: Sequence[int],
    confidence: float = CONFIDENCE,
) -> Comparison:
    """Measure two configurations on the same seeds and compare them.

    Args:
        base: plain data of the configuration that the study began with.
        best: of its best one.
        measure: trains and measures once.
        metric: what to compare.
        seeds: those that no trial has used, at least one.
        confidence: of the interval, in (0, 1).

    Raises:
        ConfigError: there are no seeds, or the metric was not measured.

    Example:
        >>> measure = lambda config, seed: {"return/greedy": config["weight"] + 0.1 * (seed % 2) * config["weight"]}
        >>> found = compare_on_fresh_seeds({"weight": 1.0}, {"weight": 2.0}, measure, "return/greedy", [10, 11])
        >>> round(found.mean, 6), found.base
        (1.05, (1.0, 1.1))
    """
    if not seeds:
        raise ConfigError("fresh seeds: expected at least one")
    values = [[_value(measure(dict(config), seed), metric) for config in (base, best)] for seed in seeds]
    pairs = list(zip(*values, strict=True))
    return paired_comparison(metric, seeds, pairs[0], pairs[1], confidence)


def paired_comparison(
    metric: str, seeds: Sequence[int], base: Sequence[float], best: Sequence[float], confidence: float = CONFIDENCE
) -> Comparison:
    """Return the comparison of values that are there; the interval is Student's of the paired differences.

    Args:
        metric: what was measured.
        seeds: `[N]`.
        base: `[N]` values.
        best: `[N]` values.
        confidence: of the interval, in (0, 1).

    Raises:
        ConfigError: the confidence is out of its range.
    """
    if not 0.0 < confidence < 1.0:
        raise ConfigError(f"confidence must be in (0, 1), got {confidence}")
    gains = [after - before for before, after in zip(base, best, strict=True)]
    count, mean = len(gains), math.fsum(gains) / len(gains)
    low = high = None
    if count > 1:
        stats = require("scipy.stats", "tune", "a comparison on fresh seeds")
        error = math.sqrt(math.fsum((gain - mean) ** 2 for gain in gains) / (count - 1) / count)
        reach = float(stats.t.ppf((1 + confidence) / 2, count - 1)) * error
        low, high = mean - reach, mean + reach
    return Comparison(metric, tuple(seeds), tuple(base), tuple(best), mean, low, high, confidence)


def _value(measured: Mapping[str, float], metric: str) -> float:
    if metric not in measured:
        known = sorted(measured)
        raise ConfigError(f"metric {metric!r} was not measured{did_you_mean(metric, known)} ({', '.join(known)})")
    return float(measured[metric])
