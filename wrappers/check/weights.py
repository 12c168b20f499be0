"""Which weights a schedule can give, without running it."""

from dataclasses import dataclass, replace

from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.schedules.fixed import ExponentialSchedule
from rlenvs.wrappers.schedules.ramps import CyclicSchedule

__all__ = ["WeightPath"]

FAR = 2**62  # further than any run; every schedule has arrived, or goes round in circles


@dataclass(frozen=True, slots=True)
class WeightPath:
    """The weights of one schedule.

    Attributes:
        start: weight at step 0.
        end: weight that it settles at; None where it never settles, or nobody knows before the run.
        lowest: smallest weight that it can reach.
        highest: largest weight that it can reach.
        settled_at: step by which it has arrived, within 1 % if `gradual`; None like `end`.
        gradual: whether it comes closer for ever.

    Example:
        >>> from rlenvs.wrappers.schedules.ramps import LinearSchedule
        >>> path = WeightPath.of(LinearSchedule(1.0, 0.0, decay_steps=300, start_step=100))
        >>> path.ends_at_zero, path.settled_at, str(path)
        (True, 400, '1 -> 0')
    """

    start: float
    end: float | None
    lowest: float
    highest: float
    settled_at: int | None
    gradual: bool = False

    @classmethod
    def of(cls, schedule: Schedule) -> "WeightPath":
        """Return the weights that `schedule` can give."""
        keys = ("initial_weight", "min_weight", "max_weight")
        named = [getattr(schedule, key) for key in keys if hasattr(schedule, key)]
        reached = [schedule(0), *named, *getattr(schedule, "values", ())]
        if isinstance(schedule, ExponentialSchedule):  # a floor below 0 is never reached
            reached = [schedule(0), schedule(FAR)]
        settles = not isinstance(schedule, CyclicSchedule | ReactiveSchedule)
        return cls(
            start=schedule(0),
            end=schedule(FAR) if settles else None,
            lowest=min(reached),
            highest=max(reached),
            settled_at=int(getattr(schedule, "horizon", 0)) if settles else None,
            gradual=isinstance(schedule, ExponentialSchedule) and schedule.min_weight <= 0,
        )

    def times(self, factor: float) -> "WeightPath":
        """Return the weights with what a reducer multiplies them by.

        Example:
            >>> from rlenvs.wrappers.schedules.fixed import ConstantSchedule
            >>> WeightPath.of(ConstantSchedule(0.5)).times(0.0).is_zero
            True
        """
        low, high = sorted((factor * self.lowest, factor * self.highest))
        end = None if self.end is None else factor * self.end + 0.0
        return replace(self, start=factor * self.start + 0.0, end=end, lowest=low + 0.0, highest=high + 0.0)

    @property
    def is_zero(self) -> bool:
        """Whether the weight is 0 throughout."""
        return self.lowest == self.highest == 0.0

    @property
    def moves(self) -> bool:
        """Whether the weight can change."""
        return self.lowest != self.highest

    @property
    def ends_at_zero(self) -> bool:
        """Whether the weight is not always 0 and settles at it."""
        return self.end == 0.0 and not self.is_zero

    @property
    def arrival(self) -> str:
        """When it settles, as a clause."""
        if self.settled_at is None:
            return "it never settles"
        left = f"1 % of the weight is left at step {self.settled_at:,}"
        return left if self.gradual else f"the weight is {self.end:g} from step {self.settled_at:,} on"

    def __str__(self) -> str:
        if not self.moves:
            return f"{self.start:g}"
        if self.end is None:
            return f"{self.start:g} in [{self.lowest:g}, {self.highest:g}]"
        return f"{self.start:g} -> {self.end:g}"
