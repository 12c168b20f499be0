"""Weights over time. A schedule is a pure function of the reward clock with plain parameters.

The clock counts environment steps since training began, for all sub-environments together. Until `start_step` a weight
stands still; from there it moves without a jump. Schedules that watch the run are in `reactive_schedules`; the names
under which configurations know them all are in `schedule_registry`.
"""

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import finite_number, whole_number


class Schedule(Protocol):
    """Weight of a component as a function of the reward clock."""

    def __call__(self, step: int) -> float:
        """Return the weight at `step` (environment steps, >= 0)."""


class ReactiveSchedule(ABC):
    """A schedule whose weight depends on how the run goes.

    The pipeline asks once for the name to watch, and hands over what it sees after each step; the weight that a step
    is scored with therefore never depends on that step itself.
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the weight at `step` (environment steps, >= 0)."""

    @abstractmethod
    def watches(self, own: str) -> str:
        """Return the name of the component or trainer metric to observe.

        Args:
            own: name of the component whose weight this is.
        """

    @abstractmethod
    def observe(self, values: Sequence[float], step: int) -> None:
        """Take in new values of the watched name.

        Args:
            values: raw values of the watched component, one per transition, errors left out; or one reported metric.
            step: the reward clock at which they were seen.
        """

    @abstractmethod
    def rule(self) -> str:
        """Say in one sentence what moves the weight."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""


def settle_numbers(instance: object, *parameters: str) -> None:
    """Check that fields of a dataclass, frozen or not, are finite numbers, and keep them as plain floats.

    Raises:
        ParameterError: a field that is no number, NaN or infinite.
    """
    for parameter in parameters:
        object.__setattr__(instance, parameter, finite_number(parameter, getattr(instance, parameter)))


def settle_count(instance: object, parameter: str, minimum: int) -> None:
    """Check that a field of a dataclass is a whole number of `minimum` or more, and keep it as a plain int.

    Raises:
        ParameterError: a field that is not.
    """
    object.__setattr__(instance, parameter, whole_number(parameter, getattr(instance, parameter), minimum))


@dataclass(frozen=True, slots=True)
class ConstantSchedule:
    """w(t) = w0.

    Args:
        initial_weight: w0, finite.

    Raises:
        ParameterError: a weight that is not finite.

    Example:
        >>> ConstantSchedule(0.5)(1_000)
        0.5
    """

    initial_weight: float = 1.0

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight")

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        return self.initial_weight

    @property
    def horizon(self) -> int:
        """Step by which a plot has shown all of it."""
        return 0


@dataclass(frozen=True, slots=True)
class RampSchedule(ABC):
    """What schedules between `initial_weight` and a lower `min_weight` have in common.

    Args:
        initial_weight: w0, finite.
        min_weight: the other end, at most `initial_weight`.
        decay_steps: environment steps from one end to the other, >= 1.
        start_step: environment steps before the weight moves, >= 0.

    Raises:
        ParameterError: a parameter outside its range.
    """

    initial_weight: float
    min_weight: float
    decay_steps: int
    start_step: int = 0

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight", "min_weight")
        settle_count(self, "decay_steps", 1)
        settle_count(self, "start_step", 0)
        if self.min_weight > self.initial_weight:
            raise ParameterError(
                "min_weight", f"must be <= initial_weight ({self.initial_weight}), got {self.min_weight}"
            )

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""

    @property
    def horizon(self) -> int:
        """Step by which a plot has shown all of it."""
        return self.start_step + self.decay_steps


@dataclass(frozen=True, slots=True)
class LinearSchedule(RampSchedule):
    """A straight line down: w(t) = (1 - p) * w0 + p * w_min, p = min(max(t - start, 0) / decay_steps, 1).

    Args:
        initial_weight: w0, finite.
        min_weight: w_min, at most `initial_weight`.
        decay_steps: environment steps from w0 to w_min, >= 1.
        start_step: environment steps before the decay begins, >= 0.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = LinearSchedule(initial_weight=1.0, min_weight=0.2, decay_steps=100, start_step=50)
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 150, 1_000)]
        [1.0, 1.0, 0.6, 0.2, 0.2]
    """

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.initial_weight
        if elapsed >= self.decay_steps:
            return self.min_weight
        progress = elapsed / self.decay_steps
        return (1.0 - progress) * self.initial_weight + progress * self.min_weight


@dataclass(frozen=True, slots=True)
class LinearIncreaseSchedule:
    """A straight line up: w(t) = (1 - p) * w0 + p * w_max, p = min(max(t - start, 0) / decay_steps, 1).

    Args:
        initial_weight: w0, finite.
        max_weight: w_max, at least `initial_weight`.
        decay_steps: environment steps from w0 to w_max, >= 1.
        start_step: environment steps before the increase begins, >= 0.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = LinearIncreaseSchedule(initial_weight=0.0, max_weight=2.0, decay_steps=100)
        >>> [schedule(t) for t in (0, 25, 100, 1_000)]
        [0.0, 0.5, 2.0, 2.0]
    """

    initial_weight: float
    max_weight: float
    decay_steps: int
    start_step: int = 0

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight", "max_weight")
        settle_count(self, "decay_steps", 1)
        settle_count(self, "start_step", 0)
        if self.max_weight < self.initial_weight:
            raise ParameterError(
                "max_weight", f"must be >= initial_weight ({self.initial_weight}), got {self.max_weight}"
            )

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.initial_weight
        if elapsed >= self.decay_steps:
            return self.max_weight
        progress = elapsed / self.decay_steps
        return (1.0 - progress) * self.initial_weight + progress * self.max_weight

    @property
    def horizon(self) -> int:
        """Step by which a plot has shown all of it."""
        return self.start_step + self.decay_steps


@dataclass(frozen=True, slots=True)
class ExponentialSchedule:
    """w(t) = max(w0 * rate^(max(t - start, 0) / decay_steps), w_min).

    Args:
        initial_weight: w0, >= 0.
        min_weight: w_min, at most `initial_weight`; below 0 it is never reached.
        decay_rate: factor per `decay_steps`, in (0, 1].
        decay_steps: environment steps per factor, >= 1.
        start_step: environment steps before the decay begins, >= 0.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = ExponentialSchedule(initial_weight=1.0, min_weight=0.1, decay_rate=0.5, decay_steps=100)
        >>> [round(schedule(t), 6) for t in (0, 100, 200, 10_000)]
        [1.0, 0.5, 0.25, 0.1]
    """

    initial_weight: float
    min_weight: float
    decay_rate: float
    decay_steps: int
    start_step: int = 0

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight", "min_weight", "decay_rate")
        settle_count(self, "decay_steps", 1)
        settle_count(self, "start_step", 0)
        if self.initial_weight < 0:
            raise ParameterError("initial_weight", f"must be >= 0 to decay exponentially, got {self.initial_weight}")
        if self.min_weight > self.initial_weight:
            raise ParameterError(
                "min_weight", f"must be <= initial_weight ({self.initial_weight}), got {self.min_weight}"
            )
        if not 0 < self.decay_rate <= 1:
            raise ParameterError("decay_rate", f"must be in (0, 1], got {self.decay_rate}")

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.initial_weight
        decayed: float = self.initial_weight * self.decay_rate ** (elapsed / self.decay_steps)
        return decayed if decayed > self.min_weight else self.min_weight

    @property
    def horizon(self) -> int:
        """Step by which a plot has shown all of it: the floor is reached, or 1 % of the weight is left."""
        floor = max(self.min_weight, 0.01 * self.initial_weight)
        if self.decay_rate == 1 or floor == 0:
            return self.start_step
        periods = math.log(floor / self.initial_weight) / math.log(self.decay_rate)
        return self.start_step + math.ceil(periods * self.decay_steps)


@dataclass(frozen=True, slots=True)
class CosineSchedule(RampSchedule):
    """Half a cosine down: w(t) = w_min + (w0 - w_min) * (1 + cos(pi * p)) / 2, p = min(max(t - start, 0) / steps, 1).

    The annealing of SGDR without restarts (Loshchilov and Hutter, "SGDR", https://arxiv.org/abs/1608.03983).

    Args:
        initial_weight: w0, finite.
        min_weight: w_min, at most `initial_weight`.
        decay_steps: environment steps from w0 to w_min, >= 1.
        start_step: environment steps before the decay begins, >= 0.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = CosineSchedule(initial_weight=1.0, min_weight=0.0, decay_steps=100)
        >>> [round(schedule(t), 6) for t in (0, 25, 50, 100, 1_000)]
        [1.0, 0.853553, 0.5, 0.0, 0.0]
    """

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.initial_weight
        if elapsed >= self.decay_steps:
            return self.min_weight
        left = 0.5 + 0.5 * math.cos(math.pi * (elapsed / self.decay_steps))
        return left * self.initial_weight + (1.0 - left) * self.min_weight


@dataclass(frozen=True, slots=True)
class PolynomialSchedule(RampSchedule):
    """w(t) = w_min + (w0 - w_min) * (1 - p)^power, p = min(max(t - start, 0) / decay_steps, 1).

    Args:
        initial_weight: w0, finite.
        min_weight: w_min, at most `initial_weight`.
        decay_steps: environment steps from w0 to w_min, >= 1.
        start_step: environment steps before the decay begins, >= 0.
        power: > 0; 1 is linear, above 1 falls early, below 1 falls late.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = PolynomialSchedule(initial_weight=1.0, min_weight=0.0, decay_steps=100, power=2.0)
        >>> [round(schedule(t), 6) for t in (0, 50, 100)]
        [1.0, 0.25, 0.0]
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        RampSchedule.__post_init__(self)  # super() does not work in a class that `slots=True` makes anew
        settle_numbers(self, "power")
        if self.power <= 0:
            raise ParameterError("power", f"must be > 0, got {self.power}")

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.initial_weight
        if elapsed >= self.decay_steps:
            return self.min_weight
        left: float = (1.0 - elapsed / self.decay_steps) ** self.power
        return left * self.initial_weight + (1.0 - left) * self.min_weight


@dataclass(frozen=True, slots=True)
class StepSchedule:
    """Pieces of constant weight: `initial_weight` before the first boundary, `values[i]` from `boundaries[i]` on.

    Args:
        initial_weight: weight before the first boundary, finite.
        boundaries: environment steps at which the weight changes, >= 0, strictly increasing, at least one.
        values: the weight from each boundary on, finite, as many as boundaries.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = StepSchedule(initial_weight=1.0, boundaries=[100, 200], values=[0.5, 0.0])
        >>> [schedule(t) for t in (0, 99, 100, 199, 200)]
        [1.0, 1.0, 0.5, 0.5, 0.0]
    """

    initial_weight: float
    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight")
        for parameter in ("boundaries", "values"):
            if isinstance(getattr(self, parameter), str) or not isinstance(getattr(self, parameter), Sequence):
                raise ParameterError(parameter, f"must be a list of numbers, got {getattr(self, parameter)!r}")
        if not self.boundaries:
            raise ParameterError("boundaries", "must hold at least one step")
        if len(self.values) != len(self.boundaries):
            raise ParameterError(
                "values", f"must hold one weight per boundary ({len(self.boundaries)}), got {len(self.values)}"
            )
        boundaries = tuple(whole_number("boundaries", step, 0) for step in self.boundaries)
        object.__setattr__(self, "boundaries", boundaries)
        object.__setattr__(self, "values", tuple(finite_number("values", value) for value in self.values))
        if any(later <= step for step, later in pairwise(boundaries)):
            raise ParameterError("boundaries", f"must increase strictly, got {list(boundaries)}")

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        passed = bisect_right(self.boundaries, step)
        return self.values[passed - 1] if passed else self.initial_weight

    @property
    def horizon(self) -> int:
        """Step by which a plot has shown all of it."""
        return self.boundaries[-1]


@dataclass(frozen=True, slots=True)
class WarmupSchedule(RampSchedule):
    """A straight line from `min_weight` up to `initial_weight`, held from there on.

    w(t) = (1 - p) * w_min + p * w0, p = min(max(t - start, 0) / decay_steps, 1).

    Args:
        initial_weight: w0, the weight once warm, finite.
        min_weight: w_min, the weight at first, at most `initial_weight`.
        decay_steps: environment steps from w_min to w0, >= 1.
        start_step: environment steps before the weight rises, >= 0.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = WarmupSchedule(initial_weight=1.0, min_weight=0.0, decay_steps=100)
        >>> [schedule(t) for t in (0, 50, 100, 1_000)]
        [0.0, 0.5, 1.0, 1.0]
    """

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.min_weight
        if elapsed >= self.decay_steps:
            return self.initial_weight
        progress = elapsed / self.decay_steps
        return (1.0 - progress) * self.min_weight + progress * self.initial_weight


@dataclass(frozen=True, slots=True)
class CyclicSchedule(RampSchedule):
    """A triangle wave: from `initial_weight` down to `min_weight` and back, once per `decay_steps`.

    With phase = ((t - start) mod decay_steps) / decay_steps: w(t) = (1 - p) * w0 + p * w_min, p = 1 - |1 - 2 * phase|.
    The triangular policy of cyclical learning rates (Smith 2017, https://arxiv.org/abs/1506.01186), begun at its top.

    Args:
        initial_weight: w0, the upper end, finite.
        min_weight: w_min, the lower end, at most `initial_weight`.
        decay_steps: environment steps of one whole cycle, >= 1 (with 1 the weight never leaves w0).
        start_step: environment steps before the first cycle, >= 0.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = CyclicSchedule(initial_weight=1.0, min_weight=0.0, decay_steps=100)
        >>> [schedule(t) for t in (0, 25, 50, 75, 100, 125)]
        [1.0, 0.5, 0.0, 0.5, 1.0, 0.5]
    """

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        elapsed = step - self.start_step
        if elapsed <= 0:
            return self.initial_weight
        progress = 1.0 - abs(1.0 - 2.0 * (elapsed % self.decay_steps) / self.decay_steps)
        return (1.0 - progress) * self.initial_weight + progress * self.min_weight

    @property
    def horizon(self) -> int:
        """Step by which a plot has shown all of it: three cycles."""
        return self.start_step + 3 * self.decay_steps
