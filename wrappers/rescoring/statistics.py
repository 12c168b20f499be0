"""Numbers about scores: how two columns go together, and how well a score tells right responses from wrong ones.

NaN is the answer wherever a question has none: a column that never changes goes together with nothing.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers.base import FloatArray

BoolArray = npt.NDArray[np.bool_]


class Separation(NamedTuple):
    """How well a score tells right responses from wrong ones.

    Attributes:
        auc: probability that a right response gets more than a wrong one, a tie counting half; NaN without both kinds.
        error: its standard error, for responses that are independent; NaN with fewer than two of a kind.
    """

    auc: float
    error: float


def constant(values: FloatArray) -> bool:
    """Return whether fewer than two different values are there."""
    return len(values) == 0 or bool((values == values[0]).all())


def pearson(x: FloatArray, y: FloatArray) -> float:
    """Return the correlation of two columns in [-1, 1]; with a column of 0 and 1 the point-biserial one.

    Args:
        x: `[N]` finite numbers.
        y: `[N]` finite numbers.

    Example:
        >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0]))
        1.0
        >>> pearson(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0]))
        nan
    """
    if constant(x) or constant(y):
        return float("nan")
    # Scaled first, so that the squares of very large and very small numbers are numbers too.
    u, v = (x / np.abs(x).max(), y / np.abs(y).max())
    u, v = u - u.mean(), v - v.mean()
    size = float(np.sqrt((u @ u) * (v @ v)))
    return float(np.clip((u @ v) / size, -1.0, 1.0)) if size > 0.0 else float("nan")


def midranks(values: FloatArray) -> FloatArray:
    """Return the ranks from 1 to N, equal values sharing the mean of theirs.

    Example:
        >>> midranks(np.array([0.5, 0.1, 0.5])).tolist()
        [2.5, 1.0, 2.5]
    """
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: FloatArray = (last - (counts - 1) / 2.0)[inverse]
    return ranks


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Return the correlation of the ranks of two columns, in [-1, 1].

    Example:
        >>> round(spearman(np.array([1.0, 2.0, 3.0]), np.array([1.0, 8.0, 27.0])), 12)
        1.0
    """
    return pearson(midranks(x), midranks(y))


def kendall(x: FloatArray, y: FloatArray) -> float:
    """Return Kendall's tau-b: (concordant - discordant) pairs, over the geometric mean of the pairs untied in each.

    Discordant pairs are counted by Knight's method (1966) in O(N log^2 N).

    Args:
        x: `[N]` finite numbers.
        y: `[N]` finite numbers.

    Example:
        >>> round(kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])), 12)
        0.333333333333
    """
    count = len(x)
    _, a = np.unique(x, return_inverse=True)
    _, b = np.unique(y, return_inverse=True)
    pairs = count * (count - 1) // 2
    tied_x, tied_y = _tied_pairs(a), _tied_pairs(b)
    if pairs in (tied_x, tied_y):  # a constant column, or no pair at all
        return float("nan")
    tied_both = _tied_pairs(a * (int(b.max()) + 1) + b)
    discordant = _inversions(b[np.lexsort((b, a))])
    concordant = pairs - tied_x - tied_y + tied_both - discordant
    return float((concordant - discordant) / (np.sqrt(pairs - tied_x) * np.sqrt(pairs - tied_y)))


def separation(scores: FloatArray, right: BoolArray) -> Separation:
    """Return how well a score tells right responses from wrong ones (the area under the ROC curve).

    The standard error is that of DeLong et al. (1988).

    Args:
        scores: `[N]` finite numbers.
        right: `[N]` bool.

    Example:
        >>> separation(np.array([0.9, 0.4, 0.4, 0.1]), np.array([True, True, False, False])).auc
        0.875
    """
    good, bad = _placements(scores, right)
    if not len(good) or not len(bad):
        return Separation(float("nan"), float("nan"))
    return Separation(float(good.mean()), _standard_error(good, bad))


def separation_gain(first: FloatArray, second: FloatArray, right: BoolArray) -> Separation:
    """Return by how much a second score separates better than a first one on the same responses.

    `auc` is the difference in [-1, 1]; its error counts that both judge the same responses (DeLong et al. 1988).

    Args:
        first: `[N]` finite numbers.
        second: `[N]` finite numbers.
        right: `[N]` bool.
    """
    good_1, bad_1 = _placements(first, right)
    good_2, bad_2 = _placements(second, right)
    if not len(good_1) or not len(bad_1):
        return Separation(float("nan"), float("nan"))
    good, bad = good_2 - good_1, bad_2 - bad_1
    return Separation(float(good.mean()), _standard_error(good, bad))


def shares_of_variance(parts: FloatArray, total: FloatArray) -> FloatArray:
    """Return cov(part, total) / var(total) of each part; where the parts add up to the total, they add up to 1.

    Args:
        parts: `[N, K]`.
        total: `[N]`.

    Returns:
        `[K]`, NaN where the total never changes.
    """
    if constant(total):
        return np.full(parts.shape[1], np.nan)
    centred = total - total.mean()
    shares: FloatArray = centred @ (parts - parts.mean(axis=0)) / (centred @ centred)
    return shares


def _placements(scores: FloatArray, right: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return of each right response the share of wrong ones below it, of each wrong one that of right ones above."""
    good, bad = scores[right], scores[~right]
    if not len(good) or not len(bad):
        return good, bad
    ranks = midranks(scores)
    below = (ranks[right] - midranks(good)) / len(bad)
    above = 1.0 - (ranks[~right] - midranks(bad)) / len(good)
    return below, above


def _standard_error(good: FloatArray, bad: FloatArray) -> float:
    if len(good) < 2 or len(bad) < 2:
        return float("nan")
    return float(np.sqrt(good.var(ddof=1) / len(good) + bad.var(ddof=1) / len(bad)))


def _tied_pairs(codes: npt.NDArray[Any]) -> int:
    counts = np.unique(codes, return_counts=True)[1].astype(object)  # Python integers: no overflow
    return int((counts * (counts - 1) // 2).sum()) if len(counts) else 0


def _inversions(codes: npt.NDArray[Any]) -> int:
    """Return the number of pairs in which a larger code stands before a smaller one.

    Bit by bit from the highest: among codes that agree in all higher bits, a 1 before a 0 is an inversion.
    """
    order, found = codes.astype(np.int64), 0
    for bit in range(int(order.max()).bit_length() - 1, -1, -1):
        group = order >> (bit + 1)
        order = order[np.argsort(group, kind="stable")]
        group, ones = order >> (bit + 1), (order >> bit) & 1
        before = np.cumsum(ones) - ones
        starts = np.searchsorted(group, group, side="left")
        found += int(((before - before[starts]) * (1 - ones)).sum())
    return found
