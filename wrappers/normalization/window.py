"""Statistics of the last W values, exact after any number of evictions, in O(1) amortised time per value.

Nothing is ever subtracted: running sums and Welford with removal lose everything once a large value has left the
window. Instead the window is the tail of one finished block of W values and the head of the current one. The
statistics of every tail are tabulated once per block, those of the head grow by one value at a time, and two parts
are merged by the rule of Chan, Golub & LeVeque (1979). It is the two-stack sliding-window aggregation of Tangwongsan,
Hirzel & Schneider (2015) with the flips at fixed places.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlenvs.errors import ConfigError
from rlenvs.wrappers.base import FloatArray

Moments = tuple[int, float, float]
"""Count, mean and sum of squared deviations from the mean."""


def expect_keys(state: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Refuse the statistics of another strategy, as a resumed run with a changed configuration has.

    Raises:
        ConfigError: they are.
    """
    if state.keys() != own.keys():
        raise ConfigError(f"saved statistics have {sorted(state)}, this normalisation needs {sorted(own)}")


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Return the moments of two samples together.

    Example:
        >>> merge_moments((2, 1.0, 2.0), (1, 4.0, 0.0))  # {0, 2} and {4}
        (3, 2.0, 8.0)
    """
    count = a[0] + b[0]
    if count == 0:
        return 0, 0.0, 0.0
    delta, share = b[1] - a[1], b[0] / count
    return count, a[1] + delta * share, a[2] + b[2] + delta * delta * a[0] * share


def moments_of(values: FloatArray) -> Moments:
    """Return the moments of a sample, by two passes."""
    if not len(values):
        return 0, 0.0, 0.0
    mean = float(values.mean())
    deviations = values - mean
    return len(values), mean, float(deviations @ deviations)


class Window(ABC):
    """The last `size` values: the tail of a finished block and the head of the current one.

    Args:
        size: number of values, >= 1.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._finished = np.empty(0)
        self._current = np.empty(size)
        self._filled = 0
        self._begin_block()

    def __len__(self) -> int:
        return self.size if len(self._finished) else self._filled

    @property
    def values(self) -> FloatArray:
        """The values in the window, oldest first."""
        return np.concatenate([self._finished[self._filled :], self._current[: self._filled]])

    def push(self, value: float) -> None:
        """Add one value; the oldest leaves a full window."""
        self._current[self._filled] = value
        self._filled += 1
        self._extend_head(value)
        if self._filled == self.size:
            self._roll()

    def push_many(self, values: FloatArray) -> None:
        """Add values, oldest first."""
        while len(values):
            room = self.size - self._filled
            chunk, values = values[:room], values[room:]
            self._current[self._filled : self._filled + len(chunk)] = chunk
            self._filled += len(chunk)
            self._forget_head()
            if self._filled == self.size:
                self._roll()

    def state_dict(self) -> dict[str, Any]:
        """Return the window as plain data."""
        return {"finished": self._finished[self._filled :].tolist(), "current": self._current[: self._filled].tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to a window of another size, or to something else.
        """
        expect_keys(state, self.state_dict())
        filled, count = len(state["current"]), len(state["current"]) + len(state["finished"])
        if filled >= self.size or (state["finished"] and count != self.size):
            raise ConfigError(f"saved statistics have a window of other than {self.size} values ({count} are in it)")
        self._filled = len(state["current"])
        self._current = np.empty(self.size)
        self._current[: self._filled] = state["current"]
        gone = np.zeros(self._filled if state["finished"] else 0)
        self._finished = np.concatenate([gone, np.array(state["finished"], dtype=np.float64)])
        self._begin_block()
        self._forget_head()

    def _roll(self) -> None:
        self._finished, self._current = self._current, np.empty(self.size)
        self._filled = 0
        self._begin_block()

    @abstractmethod
    def _begin_block(self) -> None:
        """Forget what is known of both blocks: a block has been finished."""

    @abstractmethod
    def _extend_head(self, value: float) -> None:
        """Take one value into the statistics of the head."""

    @abstractmethod
    def _forget_head(self) -> None:
        """Note that the statistics of the head have to be taken anew."""


class MomentWindow(Window):
    """Mean and variance of the last `size` values.

    Example:
        >>> window = MomentWindow(2)
        >>> for value in (1e9, 1.0, 3.0):
        ...     window.push(value)
        >>> window.moments()
        (2, 2.0, 2.0)
    """

    _mean: float
    _squares: float
    _stale: bool
    _tails: list[Moments]

    def moments(self) -> Moments:
        """Return count, mean and sum of squared deviations; O(1) where values come one at a time."""
        if self._stale:
            self._take_head()
        head = (self._filled, self._mean, self._squares)
        if not len(self._finished):
            return head
        if not self._tails:
            self._tabulate()
        return merge_moments(self._tails[self._filled], head)

    def standardize(self, value: float, warmup: int, floor: float, epsilon: float, center: bool) -> float:
        """Return (value - mean) / (max(deviation, floor) + epsilon) of the values so far, and then push `value`.

        In one piece, because it runs for every component in every step: asking, computing and pushing one after the
        other would take twice as long.

        Args:
            value: any finite number.
            warmup: with fewer values than this, `value` is returned as it is; >= 1.
            floor: smallest standard deviation that is divided by.
            epsilon: added to it.
            center: whether the mean is subtracted.

        Example:
            >>> window = MomentWindow(3)
            >>> [window.standardize(x, 2, 0.5, 0.0, True) for x in (1.0, 3.0, 4.0)]
            [1.0, 3.0, 2.0]
        """
        filled, head, squares, tails = self._filled, self._mean, self._squares, self._tails
        if self._stale or (not tails and len(self._finished)):
            self.moments()
            return self.standardize(value, warmup, floor, epsilon, center)
        if tails:
            count, mean, spread = tails[filled]
            delta, share = head - mean, filled / (count + filled)
            spread += squares + delta * delta * count * share
            mean += delta * share
            count += filled
        else:
            count, mean, spread = filled, head, squares
        self._current[filled] = value
        self._filled = filled = filled + 1
        delta = value - head
        self._mean = head = head + delta / filled
        self._squares = squares + delta * (value - head)
        if filled == self.size:
            self._roll()
        if count < warmup:
            return value
        scale = math.sqrt(spread / count)
        return (value - mean if center else value) / ((scale if scale > floor else floor) + epsilon)

    def moments_afresh(self) -> Moments:
        """Return the same from the values themselves; cheaper where many values come at a time."""
        return moments_of(self.values)

    def _begin_block(self) -> None:
        self._mean = self._squares = 0.0
        self._stale = False
        self._tails = []

    def _extend_head(self, value: float) -> None:
        delta = value - self._mean
        self._mean += delta / self._filled
        self._squares += delta * (value - self._mean)

    def _forget_head(self) -> None:
        self._stale = True

    def _take_head(self) -> None:
        """Add the values one by one, so that the result does not depend on how they came."""
        filled, self._filled = self._filled, 0
        self._mean = self._squares = 0.0
        for value in self._current[:filled].tolist():
            self._filled += 1
            self._extend_head(value)
        self._stale = False

    def _tabulate(self) -> None:
        mean = squares = 0.0
        tails: list[Moments] = [(0, 0.0, 0.0)]
        for count, value in enumerate(reversed(self._finished.tolist()), start=1):
            delta = value - mean
            mean += delta / count
            squares += delta * (value - mean)
            tails.append((count, mean, squares))
        tails.reverse()
        self._tails = tails


class RangeWindow(Window):
    """Smallest and largest of the last `size` values.

    Example:
        >>> window = RangeWindow(2)
        >>> for value in (9.0, 1.0, 3.0):
        ...     window.push(value)
        >>> window.range()
        (1.0, 3.0)
    """

    _low: float
    _high: float
    _stale: bool
    _tails: list[tuple[float, float]]

    def range(self) -> tuple[float, float]:
        """Return minimum and maximum; (inf, -inf) of an empty window."""
        if self._stale:
            head = self._current[: self._filled]
            self._low, self._high = float(head.min()), float(head.max())
            self._stale = False
        if not len(self._finished):
            return self._low, self._high
        if not self._tails:
            backwards = self._finished[::-1]
            lows = np.minimum.accumulate(backwards)[::-1].tolist()
            highs = np.maximum.accumulate(backwards)[::-1].tolist()
            self._tails = list(zip(lows, highs, strict=True))
        low, high = self._tails[self._filled]
        return min(low, self._low), max(high, self._high)

    def _begin_block(self) -> None:
        self._low, self._high = float("inf"), float("-inf")
        self._stale = False
        self._tails = []

    def _extend_head(self, value: float) -> None:
        self._low, self._high = min(self._low, value), max(self._high, value)

    def _forget_head(self) -> None:
        self._stale = self._filled > 0
