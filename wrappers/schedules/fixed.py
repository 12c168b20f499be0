"""Schedules that stand still, rise, fade by factors, or go in steps."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import finite_number, whole_number
from rlenvs.wrappers.schedules.base import settle_count, settle_numbers


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
