"""Schedules between `initial_weight` and a lower `min_weight`: straight, curved, rising and to and fro."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from rlenvs.errors import ParameterError
from rlenvs.wrappers.schedules.base import settle_count, settle_numbers


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
