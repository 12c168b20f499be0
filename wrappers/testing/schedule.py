"""What every schedule must be, so that the weight of a step is known, resumes and can be drawn beforehand."""

import json
import math
import pickle
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.testing.checks import Conformance, expect, parameters_of, through_a_file

ENDS = ("initial_weight", "min_weight", "max_weight", "values")


class ScheduleConformance(Conformance, ABC):
    """Checks of one schedule; subclasses say which. A reactive schedule gets the checks of its state too.

    Example:
        >>> from rlenvs.wrappers import LinearSchedule
        >>> class Checked(ScheduleConformance):
        ...     def schedule(self) -> Schedule:
        ...         return LinearSchedule(initial_weight=1.0, min_weight=0.2, decay_steps=100, start_step=50)
        >>> "test_it_starts_when_it_says" in Checked.run()
        True
    """

    @abstractmethod
    def schedule(self) -> Schedule:
        """Return a new schedule; every call returns an equal one in its initial state."""

    def bounds(self) -> tuple[float, float]:
        """Return the smallest and the largest weight; by default of the ends that it has as attributes."""
        schedule, ends = self.schedule(), []
        for name in ENDS:
            value = getattr(schedule, name, None)
            ends += list(value) if isinstance(value, Sequence) else [] if value is None else [value]
        expect(bool(ends), f"{type(schedule).__name__} names no weight ({', '.join(ENDS)}): override bounds()")
        return min(ends), max(ends)

    def steps(self) -> Sequence[int]:
        """Return clocks to look at: the beginning densely, then far out."""
        return [*range(200), *(10**power + off for power in range(3, 15) for off in (-1, 0, 1))]

    def observations(self) -> Sequence[Sequence[float]]:
        """Return what a reactive schedule is shown, one sequence of values per step."""
        return [[], [0.0], [1.0, -1.0], [1e9], [-1e9], *([float(k % 3)] * 4 for k in range(30))]

    def test_it_is_a_function_of_the_clock(self) -> None:
        """The same step has the same weight, whatever was asked before."""
        schedule, steps = self.schedule(), list(self.steps())
        first = [schedule(step) for step in steps]
        again = [schedule(step) for step in reversed(steps)][::-1]
        for step, one, other in zip(steps, first, again, strict=True):
            expect(one == other, f"the weight at step {step} was {one!r} and then {other!r}")

    def test_every_weight_is_finite_and_between_its_bounds(self) -> None:
        """No step, however late, has a weight outside."""
        schedule = self.schedule()
        for step in self.steps():
            self._expect_within(schedule(step), f"at step {step}")

    def test_it_starts_when_it_says(self) -> None:
        """Until `start_step` the weight stands still."""
        schedule = self.schedule()
        start = int(getattr(schedule, "start_step", 0))
        for step in (start // 2, max(start - 1, 0), start):
            expect(
                schedule(step) == schedule(0),
                f"the weight moves before start_step {start}: {schedule(0)} at 0, {schedule(step)} at {step}",
            )

    def test_it_survives_pickling_and_equals_its_like(self) -> None:
        """A copy in another process is the same schedule."""
        schedule = self.schedule()
        copy = pickle.loads(pickle.dumps(schedule))  # noqa: S301 - the bytes were made in this very line
        expect(copy == schedule, "a pickled schedule is not equal to itself: use a dataclass")
        expect(self.schedule() == schedule, "two schedules of the same parameters are not equal: use a dataclass")
        for step in self.steps():
            expect(copy(step) == schedule(step), f"a pickled schedule has another weight at step {step}")

    def test_its_parameters_are_plain_and_build_it_again(self) -> None:
        """Its attributes hold what a configuration needs."""
        schedule = self.schedule()
        again = type(schedule)(**json.loads(json.dumps(parameters_of(schedule))))
        expect(again == schedule, "the schedule built from its parameters is another one")

    def test_what_it_watches_is_a_name(self) -> None:
        """A reactive schedule says what it wants to see, and what it does with it."""
        schedule = self.schedule()
        if isinstance(schedule, ReactiveSchedule):
            watched = schedule.watches("own")
            expect(isinstance(watched, str) and bool(watched), f"watches() must return a name, got {watched!r}")
            expect(bool(schedule.rule().strip()), "rule() must say in a sentence what moves the weight")

    def test_what_it_sees_keeps_the_weight_between_its_bounds(self) -> None:
        """Whatever a reactive schedule is shown, values that are not finite included."""
        schedule = self.schedule()
        if not isinstance(schedule, ReactiveSchedule):
            return
        for step, values in enumerate([*self.observations(), [math.nan], [math.inf, -math.inf, 0.5]]):
            schedule.observe(values, step)
            for later in (step, step + 1, step + 10**6):
                self._expect_within(schedule(later), f"at step {later}, after {list(values)!r:.40}")

    def test_its_state_is_plain_and_resumes_to_the_same_weights(self) -> None:
        """A fresh reactive schedule with the saved state goes on as the saved one does."""
        schedule = self.schedule()
        if not isinstance(schedule, ReactiveSchedule):
            return
        shown = list(self.observations())
        _show(schedule, shown[: len(shown) // 2], 0)
        resumed: Any = self.schedule()
        resumed.load_state_dict(through_a_file(schedule.state_dict(), "state_dict()"))
        for which in (schedule, resumed):
            _show(which, shown[len(shown) // 2 :], len(shown) // 2)
        for step in self.steps():
            expect(resumed(step) == schedule(step), f"the resumed schedule has another weight at step {step}")

    def _expect_within(self, weight: float, where: str) -> None:
        low, high = self.bounds()
        slack = self.tolerance * max(1.0, abs(low), abs(high))
        expect(type(weight) in (float, int) and math.isfinite(weight), f"the weight {where} is {weight!r}")
        expect(low - slack <= weight <= high + slack, f"the weight {where} is {weight}, outside [{low}, {high}]")


def _show(schedule: ReactiveSchedule, shown: Sequence[Sequence[float]], first: int) -> None:
    for offset, values in enumerate(shown):
        schedule.observe(values, first + offset)
