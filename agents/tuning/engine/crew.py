"""Workers elsewhere, as the session sees them: started, started again when they die, and told when to end."""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING

from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.job import Job

if TYPE_CHECKING:
    from rlenvs.agents.tuning.engine.attempt import Objective
    from rlenvs.agents.tuning.engine.plan import StudyPlan
    from rlenvs.agents.tuning.engine.running import Watch

__all__ = ["Crew", "accompany", "job_maker"]

LOOK_S = 0.1
"""Seconds between two looks at the workers."""

END_S = 30.0
"""Seconds that workers have to give their trials back."""

DEATHS_PER_WORKER = 5
"""Workers may die as often as it takes, as long as trials finish in between; so often each without any is a defect."""

DONE_S = 2.0
"""Seconds that workers have to see that the study is done; who does not is busy with a trial that was taken away."""


class Crew(ABC):
    """The workers of one session.

    Args:
        count: how many.
        job: returns the job of a worker that starts now.

    Attributes:
        deaths: how often one died since a trial finished last.
    """

    def __init__(self, count: int, job: Callable[[], bytes]) -> None:
        self.count = count
        self.job = job
        self.deaths = 0

    @abstractmethod
    def start(self) -> None:
        """Start every worker."""

    @abstractmethod
    def look(self, *, ending: bool) -> bool:
        """See how the workers are; say whether any is still at work.

        Args:
            ending: workers that die are not started again.

        Raises:
            RlenvsError: one of them gave up.
            TuningError: they keep dying.
        """

    @abstractmethod
    def pause(self) -> None:
        """Wait until it is worth looking again."""

    @abstractmethod
    def stop(self) -> None:
        """Tell them to begin no new trial."""

    @abstractmethod
    def end(self) -> None:
        """Have them give their trials back and end."""

    @abstractmethod
    def kill(self) -> None:
        """End them at once."""

    def count_death(self) -> bool:
        """Note that a worker died; say whether they do so too often."""
        self.deaths += 1
        return self.deaths > DEATHS_PER_WORKER * self.count


def accompany(crew: Crew, watch: "Watch", until: Callable[[], bool], interrupts: Interrupts) -> None:
    """Have a crew work on a study until it is done, and end it whatever happens.

    Args:
        crew: not yet started.
        watch: tells of finished trials.
        until: begin no new trial once this is true.
        interrupts: asks everybody to end.

    Raises:
        RlenvsError: a worker gave up, or they keep dying.
        KeyboardInterrupt: everybody was asked to end; running trials were given back.
    """
    try:
        crew.start()
        _look_after(crew, watch, until, interrupts)
    finally:
        try:
            crew.end()
        finally:
            crew.kill()


def _look_after(crew: Crew, watch: "Watch", until: Callable[[], bool], interrupts: Interrupts) -> None:
    ending = False
    done = Since()
    while True:
        count = watch.count
        ledger = watch.look()
        if watch.count != count:
            crew.deaths = 0
        at_work = crew.look(ending=ending or ledger.done)
        if not at_work or done.seconds(ledger.done) > DONE_S:
            return
        if not ending and until():
            ending = True
            crew.stop()
        with interrupts.exposed():
            crew.pause()


def job_maker(plan: "StudyPlan", function: "Objective", watch: "Watch") -> Callable[[], bytes]:
    """Return what makes the job of a worker that starts now, with the time that is left."""
    began = time.monotonic()

    def job() -> bytes:
        left = None if plan.timeout_s is None else max(0.0, plan.timeout_s - (time.monotonic() - began))
        return Job(plan, function, watch.finished_before, left).dumps()

    return job


class Since:
    """For how long something has been true."""

    def __init__(self) -> None:
        self._began: float | None = None

    def seconds(self, now: bool) -> float:
        """Return for how long it has been true, given whether it is now."""
        if not now:
            self._began = None
        elif self._began is None:
            self._began = time.monotonic()
        return 0.0 if self._began is None else time.monotonic() - self._began
