"""How the weighted components of a step become one number.

N transitions, K components (potentials are added afterwards and are no part of this). A reducer gets the weighted
values, the raw ones, and which of them count: a component that failed under the policy `mask` counts nowhere, and a
transition for which nothing counts gets 0.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import compress
from operator import mul
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from rlenvs.errors import ParameterError
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.registry import Registry

BoolArray = npt.NDArray[np.bool_]
ReducerClass = TypeVar("ReducerClass", bound="type[Reducer]")

SUM_TOLERANCE = 1e-9  # alpha and beta come as decimals: 0.1 + 0.9 is not 1 to the last bit


class Reducer(ABC):
    """Turns weighted components into shaped rewards.

    A reducer is bound to the names of the columns before its first use, and says besides the total what each
    component contributed to it; the contributions of a row sum to its total.
    """

    def bind(self, names: Sequence[str]) -> None:  # noqa: B027 - most reducers need no names
        """Learn the names of the K columns.

        Raises:
            ParameterError: the reducer was given a name that none of the columns has.
        """

    @abstractmethod
    def __call__(self, weighted: FloatArray, raw: FloatArray, counted: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Reduce N transitions.

        Args:
            weighted: `[N, K]` weight times normalised value, 0 where not counted.
            raw: `[N, K]` what the components returned; NaN where not counted.
            counted: `[N, K]` False where an error is masked.

        Returns:
            `[N]` totals and `[N, K]` contributions.
        """

    @abstractmethod
    def one(self, weighted: list[float], raw: list[float], counted: list[bool]) -> tuple[float, list[float]]:
        """Reduce one transition of K components without arrays; gives the numbers that `__call__` gives."""


reducer_registry: Registry[Reducer] = Registry("reducer")


def register_reducer(name: str) -> Callable[[ReducerClass], ReducerClass]:
    """Register a `Reducer` subclass under the name that configurations use.

    Args:
        name: the name in configurations.
    """
    return reducer_registry.decorator(name)


class _ScaledSum(Reducer):
    """The sum of the weighted components, each times a factor of its column."""

    _factors: Sequence[float] | None = ()  # of the columns; None: all 1, which needs no names

    def __call__(self, weighted: FloatArray, raw: FloatArray, counted: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Reduce N transitions."""
        contributions = weighted
        if self._factors is not None:
            assert len(self._factors) == weighted.shape[1], "bind() comes first"
            contributions = weighted * np.array(self._factors)
        total: FloatArray = contributions.sum(axis=1)
        return total, contributions

    def one(self, weighted: list[float], raw: list[float], counted: list[bool]) -> tuple[float, list[float]]:
        """Reduce one transition."""
        if self._factors is None:
            return sum(weighted, 0.0), weighted
        assert len(self._factors) == len(weighted), "bind() comes first"
        contributions = list(map(mul, weighted, self._factors))
        return sum(contributions, 0.0), contributions


@register_reducer("weighted_sum")
class WeightedSumReducer(_ScaledSum):
    """The sum of the weighted components: r = sum_k f_k * w_k * x_k.

    Args:
        weights: name -> factor f beside the scheduled weight, finite; names without one get `default_weight`.
        default_weight: factor of the others, finite.

    Raises:
        ParameterError: a factor that is not finite, or (when bound) a name that no component has.

    Example:
        >>> import numpy as np
        >>> x = np.array([[1.0, -0.25], [0.0, 0.5]])
        >>> WeightedSumReducer()(x, x, np.ones_like(x, dtype=bool))[0].tolist()
        [0.75, 0.5]
        >>> WeightedSumReducer({"short": 2.0}).reduce({"right": 1.0, "short": -0.25})
        0.5
    """

    def __init__(self, weights: Mapping[str, float] | None = None, default_weight: float = 1.0) -> None:
        self.weights = {name: finite_number("weights", value) for name, value in (weights or {}).items()}
        self.default_weight = finite_number("default_weight", default_weight)
        if not self.weights and self.default_weight == 1.0:
            self._factors = None

    def bind(self, names: Sequence[str]) -> None:
        """Learn where the named components stand; an unknown name is a `ParameterError`."""
        for name in self.weights:
            _position("weights", name, names)
        factors = [self.weights.get(name, self.default_weight) for name in names]
        self._factors = None if all(factor == 1.0 for factor in factors) else factors

    def reduce(self, rewards: Mapping[str, float]) -> float:
        """Return the weighted sum of named rewards; needs no binding.

        Args:
            rewards: name -> value.
        """
        return float(sum(self.weights.get(name, self.default_weight) * value for name, value in rewards.items()))


@register_reducer("product")
class ProductReducer(Reducer):
    """The product of the weighted components that count: r = prod_k w_k * x_k.

    A weight of 0 makes every reward 0. A product has no single split into shares: each component that counts is said
    to contribute an equal share of it.

    Example:
        >>> ProductReducer().one([0.5, 0.5, 0.0], [0.5, 0.5, float("nan")], [True, True, False])
        (0.25, [0.125, 0.125, 0.0])
    """

    def __call__(self, weighted: FloatArray, raw: FloatArray, counted: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Reduce N transitions."""
        count = counted.sum(axis=1)
        product = np.where(counted, weighted, 1.0).prod(axis=1)
        total: FloatArray = np.where(count > 0, product, 0.0)
        share = total / np.maximum(count, 1)
        return total, np.where(counted, share[:, None], 0.0)

    def one(self, weighted: list[float], raw: list[float], counted: list[bool]) -> tuple[float, list[float]]:
        """Reduce one transition."""
        if False not in counted and weighted:
            total = math.prod(weighted)
            return total, [total / len(weighted)] * len(weighted)
        count = sum(counted)
        if not count:
            return 0.0, [0.0] * len(weighted)
        total = math.prod(compress(weighted, counted))
        return total, [total / count if counts else 0.0 for counts in counted]


@register_reducer("minimum")
class MinimumReducer(Reducer):
    """The smallest weighted component that counts: r = min_k w_k * x_k. It alone contributes; ties go to the first.

    Example:
        >>> MinimumReducer().one([0.5, 0.2, 0.0], [0.5, 0.2, float("nan")], [True, True, False])
        (0.2, [0.0, 0.2, 0.0])
    """

    def __call__(self, weighted: FloatArray, raw: FloatArray, counted: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Reduce N transitions."""
        contributions = np.zeros_like(weighted)
        if weighted.shape[1]:
            rows = np.flatnonzero(counted.any(axis=1))
            lowest = np.where(counted, weighted, np.inf).argmin(axis=1)[rows]
            contributions[rows, lowest] = weighted[rows, lowest]
        total: FloatArray = contributions.sum(axis=1)
        return total, contributions

    def one(self, weighted: list[float], raw: list[float], counted: list[bool]) -> tuple[float, list[float]]:
        """Reduce one transition."""
        contributions = [0.0] * len(weighted)
        if True not in counted:
            return 0.0, contributions
        total = min(weighted) if False not in counted else min(compress(weighted, counted))
        column = weighted.index(total)
        while not counted[column]:  # a masked component stands in the row as 0, which may be the minimum's value
            column = weighted.index(total, column + 1)
        contributions[column] = total
        return total, contributions


@register_reducer("gate")
class GateReducer(Reducer):
    """The sum of the weighted components, the others only where the gate's raw value is above a threshold.

    r = w_g * x_g + [x_g > threshold] * sum_{k != g} w_k * x_k. A gate that is masked is closed.

    Args:
        gate: name of the component that gates the others.
        threshold: the raw value it must exceed, finite.

    Raises:
        ParameterError: a threshold that is not finite, or (when bound) a name that no component has.

    Example:
        >>> reducer = GateReducer("right")
        >>> reducer.bind(["right", "short"])
        >>> reducer.one([1.0, 0.5], [1.0, 0.5], [True, True]), reducer.one([0.0, 0.5], [0.0, 0.5], [True, True])
        ((1.5, [1.0, 0.5]), (0.0, [0.0, 0.0]))
    """

    def __init__(self, gate: str, threshold: float = 0.0) -> None:
        self.gate = _name("gate", gate)
        self.threshold = finite_number("threshold", threshold)
        self._column = -1

    def bind(self, names: Sequence[str]) -> None:
        """Learn where the named components stand; an unknown name is a `ParameterError`."""
        self._column = _position("gate", self.gate, names)

    def __call__(self, weighted: FloatArray, raw: FloatArray, counted: BoolArray) -> tuple[FloatArray, FloatArray]:
        """Reduce N transitions."""
        assert self._column >= 0, "bind() comes first"
        is_open = counted[:, self._column] & (raw[:, self._column] > self.threshold)
        passed = np.repeat(is_open[:, None], weighted.shape[1], axis=1)
        passed[:, self._column] = True
        contributions = np.where(passed, weighted, 0.0)
        total: FloatArray = contributions.sum(axis=1)
        return total, contributions

    def one(self, weighted: list[float], raw: list[float], counted: list[bool]) -> tuple[float, list[float]]:
        """Reduce one transition."""
        column = self._column
        assert column >= 0, "bind() comes first"
        if counted[column] and raw[column] > self.threshold:
            return sum(weighted), weighted
        contributions = [0.0] * len(weighted)
        contributions[column] = weighted[column]
        return weighted[column], contributions


@register_reducer("hybrid")
class HybridReducer(_ScaledSum):
    """A convex mix of heuristics and reward models: r = alpha * sum(heuristics) + beta * sum(models).

    Args:
        model: names of the components that are reward models, at least one; all others are heuristics.
        alpha: share of the heuristics, in [0, 1].
        beta: share of the models; 1 - alpha when None, and alpha + beta must be 1.

    Raises:
        ParameterError: shares that do not sum to 1, or (when bound) a name that no component has.

    Example:
        >>> reducer = HybridReducer(model=["judge"], alpha=0.75)
        >>> reducer.bind(["right", "judge"])
        >>> reducer.one([1.0, 0.5], [1.0, 0.5], [True, True])
        (0.875, [0.75, 0.125])
    """

    def __init__(self, model: Sequence[str], alpha: float = 0.5, beta: float | None = None) -> None:
        if isinstance(model, str) or not model:
            raise ParameterError("model", f"must be a list of at least one component name, got {model!r}")
        self.model = [_name("model", name) for name in model]
        if len(set(self.model)) < len(self.model):
            raise ParameterError("model", f"must name each component once, got {self.model}")
        self.alpha = _share("alpha", alpha)
        self.beta = 1.0 - self.alpha if beta is None else _share("beta", beta)
        if abs(self.alpha + self.beta - 1.0) > SUM_TOLERANCE:
            raise ParameterError("beta", f"must be 1 - alpha ({1.0 - self.alpha:g}), got {self.beta:g}")

    def bind(self, names: Sequence[str]) -> None:
        """Learn where the named components stand; an unknown name is a `ParameterError`."""
        for name in self.model:
            _position("model", name, names)
        self._factors = [self.beta if name in self.model else self.alpha for name in names]


def _share(parameter: str, value: object) -> float:
    share = finite_number(parameter, value)
    if not 0.0 <= share <= 1.0:
        raise ParameterError(parameter, f"must be in [0, 1], got {value}")
    return share


def _name(parameter: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ParameterError(parameter, f"must be the name of a component, got {value!r}")
    return value


def _position(parameter: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        known = ", ".join(names) or "none"
        raise ParameterError(
            parameter, f"names no reward component: {name!r}{did_you_mean(name, names)} (known: {known})"
        )
    return list(names).index(name)
