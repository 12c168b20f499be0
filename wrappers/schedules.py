"""Weights over time. A schedule is a pure function of the reward clock with plain parameters.

The clock counts environment steps since training began, for all sub-environments together.
"""

from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """Weight of a component as a function of the reward clock."""

    def __call__(self, step: int) -> float:
        """Return the weight at `step` (environment steps, >= 0)."""


@dataclass(frozen=True, slots=True)
class ConstantSchedule:
    """w(t) = w0.

    Example:
        >>> ConstantSchedule(0.5)(1_000)
        0.5
    """

    initial_weight: float = 1.0

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        return self.initial_weight


@dataclass(frozen=True, slots=True)
class LinearSchedule:
    """w(t) = w0 - (w0 - w_min) * min(max(t - start, 0) / decay_steps, 1).

    Example:
        >>> schedule = LinearSchedule(initial_weight=1.0, min_weight=0.2, decay_steps=100, start_step=50)
        >>> [round(schedule(t), 6) for t in (0, 50, 100, 150, 1_000)]
        [1.0, 1.0, 0.6, 0.2, 0.2]
    """

    initial_weight: float
    min_weight: float
    decay_steps: int
    start_step: int = 0

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        progress = min(max(step - self.start_step, 0) / self.decay_steps, 1.0)
        return self.initial_weight + (self.min_weight - self.initial_weight) * progress


@dataclass(frozen=True, slots=True)
class ExponentialSchedule:
    """w(t) = max(w0 * rate^(max(t - start, 0) / decay_steps), w_min), 0 < rate <= 1.

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

    def __call__(self, step: int) -> float:
        """Return the weight at `step`."""
        periods = max(step - self.start_step, 0) / self.decay_steps
        decayed: float = self.initial_weight * self.decay_rate**periods
        return max(decayed, self.min_weight)
