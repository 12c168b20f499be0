"""Drives jobs on workers, in the thread that asks: no thread of its own, so an interrupt ends everything at once."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rlenvs.sandbox.execution import Watch
from rlenvs.sandbox.jobs import Job
from rlenvs.sandbox.worker import Worker, WorkerDiedError

ATTEMPTS = 3
"""Workers that may die under a job before it is asked whether the job kills them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A job, and how often it was begun."""

    job: Job
    attempt: int = 1


class Engine:
    """Runs jobs to their end, as many at a time as there are workers.

    Args:
        workers: exchanged in place where one dies.
        replace: gives a new worker for one that is gone.
        give_up: finishes a job under which worker after worker died.
    """

    def __init__(
        self, workers: list[Worker], replace: Callable[[Worker], Worker], give_up: Callable[[Job], None]
    ) -> None:
        self.workers = workers
        self.replace = replace
        self.give_up = give_up
        self.watch = Watch()
        self.idle = list(range(len(workers)))
        self.waiting: deque[Turn] = deque()
        self.running: dict[int, Turn] = {}

    def run(self, jobs: Sequence[Job]) -> None:
        """Finish jobs, in any order. Whatever interrupts it ends everything that runs."""
        self.waiting.extend(map(Turn, jobs))
        try:
            while self.waiting or self.running:
                while self.waiting and self.idle:
                    self.begin(self.idle.pop(), self.waiting.popleft())
                self.watch.wait(self.patience())
                for place in list(self.running):
                    self.go_on(place)
        finally:
            for execution in set(self.watch.executions.values()):
                execution.close()

    def patience(self) -> float:
        """Return for how many seconds there is nothing to do unless something comes."""
        jobs = [turn.job for turn in self.running.values()]
        if any(job.wants_to_go_on for job in jobs):
            return 0.0
        return min((each.next_look for job in jobs for each in job.executions), default=0.0) - time.monotonic()

    def begin(self, place: int, turn: Turn) -> None:
        """Start a job on a worker."""
        self.running[place] = turn
        try:
            turn.job.begin(self.workers[place], self.watch)
        except WorkerDiedError:
            self.lose(place)

    def go_on(self, place: int) -> None:
        """Let a job see what came and what time it is."""
        job = self.running[place].job
        now = time.monotonic()
        try:
            for execution in job.executions:
                execution.expire(now)
            if job.step():
                del self.running[place]
                self.idle.append(place)
            elif any(execution.is_lost for execution in job.executions):
                self.lose(place)
        except WorkerDiedError:
            self.lose(place)

    def lose(self, place: int) -> None:
        """Replace a worker that died, and have its job begun again."""
        turn = self.running.pop(place)
        for execution in turn.job.executions:
            execution.close()
        self.workers[place] = self.replace(self.workers[place])
        self.idle.append(place)
        if turn.attempt < ATTEMPTS:
            self.waiting.appendleft(Turn(turn.job, turn.attempt + 1))
        else:
            self.give_up(turn.job)
