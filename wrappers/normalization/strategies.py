"""Bringing components of different scales together: what `Normalization` configures and what does it.

Every strategy uses statistics from before the values that it normalises, except those that compare the rows of one
batch (`batch`, `group`, `rank`), which keep no statistics at all. Both give the same numbers again when a run is
repeated or resumed.

A scale is never smaller than `floor`: once a policy succeeds almost always, the standard deviation of its reward goes
to 0, and dividing by it would turn noise into the largest signal.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.normalization.window import MomentWindow, RangeWindow, expect_keys, moments_of
from rlenvs.wrappers.parameters import whole_number

BoolArray = npt.NDArray[np.bool_]
Strategy = Literal["none", "z_score", "min_max", "running", "ema", "batch", "group", "rank"]
ROW_STRATEGIES = ("batch", "group", "rank")


@dataclass(frozen=True, slots=True)
class Normalization:
    """How the values of one component, or the reduced sum, are normalised.

    | strategy | y of a value x | statistics of |
    |---|---|---|
    | `none` | x | nothing |
    | `z_score` | (x - mean) / s | the last `window` values |
    | `running` | (x - mean) / s | all values so far |
    | `ema` | (x - mean) / s | all values so far, each weighing `decay` times the next |
    | `min_max` | (x - low) / (max(high - low, floor) + epsilon), cut to [0, 1] | the last `window` values |
    | `batch` | (x - mean) / s | this batch |
    | `group` | (x - mean) / s | the rows of this batch with the same prompt (as GDPO, Liu et al. 2026) |
    | `rank` | centred rank in this batch, in [-1/2, 1/2] (Salimans et al. 2017) | this batch |

    with s = max(standard deviation, floor) + epsilon and the population's standard deviation.

    Attributes:
        strategy: see above.
        window: values that `z_score` and `min_max` look back on, >= 1.
        epsilon: added to every scale, >= 0.
        warmup: values that must have been seen before a strategy with statistics begins, >= 1; until then values
            pass as they are.
        floor: smallest standard deviation or range that is divided by, > 0.
        decay: weight of a value relative to the next one with `ema`, in (0, 1).
        clip: normalised values are cut to [-clip, clip]; None for no limit.
        center: whether the mean is subtracted. Without, a normalisation only scales, which is the one that leaves the
            optimal policy of episodes of different lengths alone.

    Raises:
        ParameterError: a value out of range.

    Example:
        >>> normalizer = Normalization("z_score", warmup=2, floor=0.5, epsilon=0.0).build()
        >>> [normalizer.one(x) for x in (1.0, 3.0, 4.0)]
        [1.0, 3.0, 2.0]
    """

    strategy: Strategy = "none"
    window: int = 1000
    epsilon: float = 1e-8
    warmup: int = 10
    floor: float = 0.01
    decay: float = 0.99
    clip: float | None = None
    center: bool = True

    def __post_init__(self) -> None:
        if self.strategy not in ("none", *_NORMALIZERS):
            known = ", ".join(("none", *_NORMALIZERS))
            raise ParameterError("strategy", f"must be one of {known}, got {self.strategy!r}")
        if self.window < 1:
            raise ParameterError("window", f"must be >= 1, got {self.window}")
        if self.warmup < 1:
            raise ParameterError("warmup", f"must be >= 1, got {self.warmup}")
        for field in ("window", "warmup"):  # NaN and fractions are left
            whole_number(field, getattr(self, field), 1)
        if self.strategy in ("z_score", "min_max") and self.warmup > self.window:
            raise ParameterError("warmup", f"must be <= window ({self.window}), got {self.warmup}")
        if not 0.0 <= self.epsilon < math.inf:
            raise ParameterError("epsilon", f"must be finite and >= 0, got {self.epsilon}")
        if not 0.0 < self.floor < math.inf:
            raise ParameterError("floor", f"must be finite and > 0, got {self.floor}")
        if not 0.0 < self.decay < 1.0:
            raise ParameterError("decay", f"must lie in (0, 1), got {self.decay}")
        if self.clip is not None and not 0.0 < self.clip < math.inf:
            raise ParameterError("clip", f"must be finite and > 0, got {self.clip}")

    @property
    def compares_rows(self) -> bool:
        """Whether a value depends on the other rows of its batch, so that a batch of one says nothing."""
        return self.strategy in ROW_STRATEGIES

    def build(self) -> "Normalizer | None":
        """Return what normalises, None for `none`."""
        return None if self.strategy == "none" else _NORMALIZERS[self.strategy](self)


class Normalizer(ABC):
    """Normalises the values of one component and learns from them.

    Args:
        spec: what to do.

    Attributes:
        frozen: True keeps the statistics as they are, as an evaluation wants.
    """

    def __init__(self, spec: Normalization) -> None:
        self.spec = spec
        self.frozen = False
        self._limit = math.inf if spec.clip is None else spec.clip

    def one(self, value: float, learn: bool = True) -> float:
        """Normalise one value, then take it into the statistics.

        Args:
            value: any finite number.
            learn: False for a value that stands in for a failed one.
        """
        normalized = self._one(value)
        if learn and not self.frozen:
            self._learn_one(value)
        return min(max(normalized, -self._limit), self._limit)

    def batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        """Normalise N values, then take them into the statistics.

        Args:
            values: `[N]`; NaN where an error is masked, and NaN it stays.
            learn: `[N]`, False for values that stand in for failed ones and for NaN.
            groups: returns the prompt of each row.
        """
        normalized = self._batch(values, learn, groups)
        if not self.frozen:
            self._learn_many(values if learn.all() else values[learn])
        if self.spec.clip is not None:
            normalized = np.clip(normalized, -self._limit, self._limit)
        return normalized

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics as plain data."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - most have none
        """Restore what `state_dict` returned."""

    @abstractmethod
    def _one(self, value: float) -> float: ...

    @abstractmethod
    def _batch(
        self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]"
    ) -> FloatArray: ...

    def _learn_one(self, value: float) -> None:  # noqa: B027 - strategies that compare rows learn nothing
        pass

    def _learn_many(self, values: FloatArray) -> None:  # noqa: B027
        pass


def standardizing(moments: tuple[float, float, float], spec: Normalization) -> tuple[float, float]:
    """Return shift and scale of (x - shift) / scale from (weighted) count, mean and sum of squared deviations.

    Example:
        >>> standardizing((4, 2.0, 1.0), Normalization(epsilon=0.0))
        (2.0, 0.5)
    """
    deviation = math.sqrt(moments[2] / moments[0])
    scale = (deviation if deviation > spec.floor else spec.floor) + spec.epsilon
    return (moments[1] if spec.center else 0.0), scale


class WindowStandardizer(Normalizer):
    """`z_score`: statistics of the last `window` values."""

    def __init__(self, spec: Normalization) -> None:
        super().__init__(spec)
        self._window = MomentWindow(spec.window)
        self._warmup, self._floor, self._epsilon, self._center = spec.warmup, spec.floor, spec.epsilon, spec.center
        self._unlimited = spec.clip is None

    def one(self, value: float, learn: bool = True) -> float:
        """Normalise one value, then take it into the statistics."""
        if learn and not self.frozen:
            value = self._window.standardize(value, self._warmup, self._floor, self._epsilon, self._center)
        else:
            value = self._one(value)
        return value if self._unlimited else min(max(value, -self._limit), self._limit)

    def _one(self, value: float) -> float:
        if len(self._window) < self.spec.warmup:
            return value
        shift, scale = standardizing(self._window.moments(), self.spec)
        return (value - shift) / scale

    def _batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        if len(self._window) < self.spec.warmup:
            return values.copy()
        shift, scale = standardizing(self._window.moments_afresh(), self.spec)
        return (values - shift) / scale

    def _learn_many(self, values: FloatArray) -> None:
        self._window.push_many(values)

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics as plain data."""
        return self._window.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._window.load_state_dict(state)


class RunningStandardizer(Normalizer):
    """`running` and `ema`: statistics of everything so far, recent values weighing more with `ema`.

    Weighted incremental mean and squares as West (1979): W = d W' + 1, mean = mean' + (x - mean') / W,
    S = d S' + (x - mean') (x - mean), with d = 1 for `running`.
    """

    def __init__(self, spec: Normalization) -> None:
        super().__init__(spec)
        self._decay = spec.decay if spec.strategy == "ema" else 1.0
        self._seen = 0
        self._weight = self._mean = self._squares = 0.0

    def _one(self, value: float) -> float:
        if self._seen < self.spec.warmup:
            return value
        shift, scale = standardizing((self._weight, self._mean, self._squares), self.spec)
        return (value - shift) / scale

    def _batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        if self._seen < self.spec.warmup:
            return values.copy()
        shift, scale = standardizing((self._weight, self._mean, self._squares), self.spec)
        return (values - shift) / scale

    def _learn_one(self, value: float) -> None:
        self._seen += 1
        self._weight = self._decay * self._weight + 1.0
        delta = value - self._mean
        self._mean += delta / self._weight
        self._squares = self._decay * self._squares + delta * (value - self._mean)

    def _learn_many(self, values: FloatArray) -> None:
        if not len(values):
            return
        fade = self._decay ** np.arange(len(values) - 1, -1, -1, dtype=np.float64)
        weight = float(fade.sum())
        mean = float(fade @ values) / weight
        deviations = values - mean
        squares = float(fade @ (deviations * deviations))
        left = self._decay ** len(values)
        old_weight, delta = self._weight * left, mean - self._mean
        total = old_weight + weight
        self._mean += delta * weight / total
        self._squares = self._squares * left + squares + delta * delta * old_weight * weight / total
        self._weight = total
        self._seen += len(values)

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics as plain data."""
        return {"seen": self._seen, "weight": self._weight, "mean": self._mean, "squares": self._squares}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        expect_keys(state, self.state_dict())
        self._seen = int(state["seen"])
        self._weight, self._mean, self._squares = (float(state[key]) for key in ("weight", "mean", "squares"))


class WindowScaler(Normalizer):
    """`min_max`: smallest and largest of the last `window` values."""

    def __init__(self, spec: Normalization) -> None:
        super().__init__(spec)
        self._window = RangeWindow(spec.window)

    def _affine(self) -> tuple[float, float]:
        low, high = self._window.range()
        return low, max(high - low, self.spec.floor) + self.spec.epsilon

    def _one(self, value: float) -> float:
        if len(self._window) < self.spec.warmup:
            return value
        low, scale = self._affine()
        return min(max((value - low) / scale, 0.0), 1.0)

    def _batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        if len(self._window) < self.spec.warmup:
            return values.copy()
        low, scale = self._affine()
        return np.clip((values - low) / scale, 0.0, 1.0)

    def _learn_one(self, value: float) -> None:
        self._window.push(value)

    def _learn_many(self, values: FloatArray) -> None:
        self._window.push_many(values)

    def state_dict(self) -> dict[str, Any]:
        """Return the statistics as plain data."""
        return self._window.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self._window.load_state_dict(state)


class _RowComparer(Normalizer):
    """What compares the rows of a batch has nothing to say about a batch of one."""

    def _one(self, value: float) -> float:
        return 0.0


class BatchStandardizer(_RowComparer):
    """`batch`: statistics of this batch; a row that alone has a value gets 0."""

    def _batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        count, mean, squares = moments_of(values[learn])
        if count < 2:  # as `one`; a stand-in beside a single value would be judged by the floor alone
            return values * 0.0
        scale = max(math.sqrt(squares / count), self.spec.floor) + self.spec.epsilon
        return (values - (mean if self.spec.center else 0.0)) / scale


class GroupStandardizer(_RowComparer):
    """`group`: statistics of the rows with the same prompt; a row that is alone with its prompt gets 0."""

    def _batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        numbers: dict[Hashable, int] = {}
        group = np.array([numbers.setdefault(key, len(numbers)) for key in groups()], dtype=np.int64)
        member, sample = group[learn], values[learn]
        count = np.maximum(np.bincount(member, minlength=len(numbers)), 1)
        mean = np.bincount(member, sample, len(numbers)) / count
        squares = np.bincount(member, (sample - mean[member]) ** 2, len(numbers))
        scale = np.maximum(np.sqrt(squares / count), self.spec.floor) + self.spec.epsilon
        shift = mean[group] if self.spec.center else 0.0
        normalized: FloatArray = np.where(count[group] > 1, (values - shift) / scale[group], values * 0.0)
        return normalized


class RankNormalizer(_RowComparer):
    """`rank`: average rank among the counted rows, centred: (rank - (n - 1) / 2) / (n - 1)."""

    def _batch(self, values: FloatArray, learn: BoolArray, groups: "Callable[[], Sequence[Hashable]]") -> FloatArray:
        sample = np.sort(values[learn])
        if len(sample) < 2:
            return values * 0.0
        below = np.searchsorted(sample, values, side="left")
        at_most = np.searchsorted(sample, values, side="right")
        rank = np.clip((below + at_most - 1) / 2.0, 0.0, len(sample) - 1.0)
        centred: FloatArray = np.where(np.isnan(values), np.nan, rank / (len(sample) - 1) - 0.5)
        return centred


_NORMALIZERS: Mapping[str, type[Normalizer]] = {
    "z_score": WindowStandardizer,
    "min_max": WindowScaler,
    "running": RunningStandardizer,
    "ema": RunningStandardizer,
    "batch": BatchStandardizer,
    "group": GroupStandardizer,
    "rank": RankNormalizer,
}
NORMALIZATION_STRATEGIES: tuple[str, ...] = ("none", *_NORMALIZERS)
"""Every strategy by name."""

_USED_BY: Mapping[str, frozenset[str]] = {
    "none": frozenset(),
    "z_score": frozenset({"window", "epsilon", "warmup", "floor", "clip", "center"}),
    "min_max": frozenset({"window", "epsilon", "warmup", "floor", "clip"}),
    "running": frozenset({"epsilon", "warmup", "floor", "clip", "center"}),
    "ema": frozenset({"epsilon", "warmup", "floor", "clip", "center", "decay"}),
    "batch": frozenset({"epsilon", "floor", "clip", "center"}),
    "group": frozenset({"epsilon", "floor", "clip", "center"}),
    "rank": frozenset({"clip"}),
}


def fields_used_by(strategy: str) -> frozenset[str]:
    """Return the fields of `Normalization` that a strategy looks at, so that a configuration can refuse the others."""
    return _USED_BY[strategy]
