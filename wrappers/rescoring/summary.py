"""What re-scored responses say about a reward: its parts, and how they go with the truth."""

import math
from dataclasses import dataclass

import numpy as np

from rlenvs.wrappers.base import OK, STATUSES, FloatArray
from rlenvs.wrappers.rescoring.statistics import (
    BoolArray,
    Separation,
    constant,
    pearson,
    separation,
    shares_of_variance,
)
from rlenvs.wrappers.rescoring.table import Scores

BINS = 8
QUANTILES = (0.25, 0.5, 0.75)
ROUNDING = 1e-12


@dataclass(frozen=True)
class Distribution:
    """Where N values lie; the population's standard deviation. All NaN without values."""

    count: int
    mean: float
    std: float
    minimum: float
    quartiles: tuple[float, float, float]
    maximum: float
    histogram: tuple[int, ...]
    """Counts in equal bins from minimum to maximum; one bin where all values are equal."""


@dataclass(frozen=True)
class Agreement:
    """How a column goes with the truth, over the responses whose true grade is known.

    Attributes:
        right: mean over right responses.
        wrong: mean over wrong ones.
        pearson: correlation with the true grade.
        separation: how well the column tells right from wrong.
    """

    right: float
    wrong: float
    pearson: float
    separation: Separation

    @property
    def gap(self) -> float:
        """What being right is worth: the difference of the means."""
        return self.right - self.wrong


@dataclass(frozen=True)
class ComponentSummary:
    """One component.

    Attributes:
        name: of the component.
        weights: lowest and highest weight; they differ where a schedule moved it.
        values: distribution of the raw values, masked errors left out.
        contribution: mean of what it adds to the reward.
        share: of the variance of the shaped reward, cov(contribution, total) / var(total).
        statuses: count of each status.
        raw: how the raw values go with the truth, masked errors left out.
        paid: how the contributions go with it.
    """

    name: str
    weights: tuple[float, float]
    values: Distribution
    contribution: float
    share: float
    statuses: dict[str, int]
    raw: Agreement
    paid: Agreement


@dataclass(frozen=True)
class TotalSummary:
    """The shaped reward.

    Attributes:
        values: its distribution.
        truth: how it goes with the true grade.
        overpaid: share of wrong responses that are paid no less than the average right one.
        underpaid: share of right responses that are paid no more than the average wrong one.
    """

    values: Distribution
    truth: Agreement
    overpaid: float
    underpaid: float

    @property
    def separation(self) -> Separation:
        """How well the reward tells right from wrong."""
        return self.truth.separation


@dataclass(frozen=True)
class ScoreSummary:
    """A reward as a whole.

    Attributes:
        responses: how many were scored.
        right: how many are right.
        wrong: how many are wrong.
        components: the parts, in their order.
        total: their sum.
        stored: how many responses have a stored reward.
        same: how many of these have the same reward now, to 1e-9.
        largest_change: largest absolute difference to a stored reward; NaN where none was stored.
    """

    responses: int
    right: int
    wrong: int
    components: list[ComponentSummary]
    total: TotalSummary
    stored: int
    same: int
    largest_change: float


def summarize(scores: Scores) -> ScoreSummary:
    """Return what a reward looks like on these responses."""
    known = scores.known
    right = known & scores.right
    shares = shares_of_variance(scores.contributions, scores.total)
    components = [_component(scores, column, float(share)) for column, share in enumerate(shares)]
    change = np.abs(scores.total - scores.paid)[~np.isnan(scores.paid)]
    return ScoreSummary(
        responses=len(scores),
        right=int(right.sum()),
        wrong=int((known & ~right).sum()),
        components=components,
        total=_total(scores),
        stored=len(change),
        same=int((change <= 1e-9).sum()),
        largest_change=float(change.max()) if len(change) else math.nan,
    )


def distribution(values: FloatArray) -> Distribution:
    """Return where values lie.

    Example:
        >>> distribution(np.array([0.0, 0.0, 1.0, 3.0])).quartiles
        (0.0, 0.5, 1.5)
    """
    if not len(values):
        nan = math.nan
        return Distribution(0, nan, nan, nan, (nan, nan, nan), nan, ())
    low, high = float(values.min()), float(values.max())
    if low == high:  # what rounding makes of the mean of equal numbers is no spread
        return Distribution(len(values), low, 0.0, low, (low, low, low), high, (len(values),))
    first, median, third = (float(value) for value in np.quantile(values, QUANTILES))
    place = np.minimum(((values - low) / (high - low) * BINS).astype(np.int64), BINS - 1)
    bins = tuple(np.bincount(place, minlength=BINS).tolist())
    return Distribution(len(values), float(values.mean()), float(values.std()), low, (first, median, third), high, bins)


def agreement(values: FloatArray, truth: FloatArray, right: BoolArray) -> Agreement:
    """Return how values go with the truth; `truth` without NaN."""
    good, bad = values[right], values[~right]
    # A column that never changes separates nothing; 0.5 would claim that it was tried and failed.
    undecided = Separation(math.nan, math.nan)
    return Agreement(
        right=float(good.mean()) if len(good) else math.nan,
        wrong=float(bad.mean()) if len(bad) else math.nan,
        pearson=pearson(values, truth),
        separation=undecided if constant(values) else separation(values, right),
    )


def _component(scores: Scores, column: int, share: float) -> ComponentSummary:
    raw, paid = scores.raw[:, column], scores.contributions[:, column]
    valued, known = ~np.isnan(raw), scores.known
    both = valued & known
    counts = np.bincount(scores.codes[:, column], minlength=len(STATUSES)).tolist()
    return ComponentSummary(
        name=scores.names[column],
        weights=(float(scores.weights[0, column]), float(scores.weights[1, column])),
        values=distribution(raw[valued]),
        contribution=float(paid.mean()),
        share=share,
        statuses={status: count for status, count in zip(STATUSES, counts, strict=True) if count or status == OK},
        raw=agreement(raw[both], scores.truth[both], scores.right[both]),
        paid=agreement(paid[known], scores.truth[known], scores.right[known]),
    )


def _total(scores: Scores) -> TotalSummary:
    known = scores.known
    total, right = scores.total[known], scores.right[known]
    truth = agreement(total, scores.truth[known], right)
    good, bad = total[right], total[~right]
    both = len(good) and len(bad)
    # Equal rewards are equal, whatever the rounding of their mean.
    slack = ROUNDING * max(abs(truth.right), abs(truth.wrong)) if both else 0.0
    return TotalSummary(
        values=distribution(scores.total),
        truth=truth,
        overpaid=float((bad >= truth.right - slack).mean()) if both else math.nan,
        underpaid=float((good <= truth.wrong + slack).mean()) if both else math.nan,
    )
