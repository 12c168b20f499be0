"""Drives jobs on workers, in the thread that asks: no thread of its own, so an interrupt ends everything at once."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from rlenvs.sandbox.execution import Watch
from rlenvs.sandbox.jobs import Job
from rlenvs.sandbox.worker import Worker, WorkerDiedError

ATTEMPTS = 3
"""Workers that may die under a job before it is asked whether the job kills them."""


def drive(
    jobs: Sequence[Job],
    workers: list[Worker],
    replace: Callable[[Worker], Worker],
    give_up: Callable[[Job], None],
) -> None:
    """Run jobs to their end, as many at a time as there are workers.

    Args:
        jobs: finished in any order.
        workers: exchanged in place where one dies.
        replace: gives a new worker for one that is gone.
        give_up: finishes a job under which worker after worker died.
    """
    watch = Watch()
    waiting = deque((job, 1) for job in jobs)
    idle = list(range(len(workers)))
    running: dict[int, tuple[Job, int]] = {}

    def lost(place: int, job: Job, attempt: int) -> None:
        for execution in job.executions:
            execution.close()
        workers[place] = replace(workers[place])
        idle.append(place)
        if attempt < ATTEMPTS:
            waiting.appendleft((job, attempt + 1))
        else:
            give_up(job)

    try:
        while waiting or running:
            while waiting and idle:
                (job, attempt), place = waiting.popleft(), idle.pop()
                running[place] = (job, attempt)
                try:
                    job.begin(workers[place], watch)
                except WorkerDiedError:
                    del running[place]
                    lost(place, job, attempt)
            deadlines = [each.deadline for job, _ in running.values() for each in job.executions]
            watch.wait(min(deadlines, default=time.monotonic()) - time.monotonic())
            now = time.monotonic()
            for place, (job, attempt) in list(running.items()):
                try:
                    for execution in job.executions:
                        execution.expire(now)
                    done = job.step()
                    gone = not done and any(execution.is_lost for execution in job.executions)
                except WorkerDiedError:
                    done, gone = False, True
                if done or gone:
                    del running[place]
                if done:
                    idle.append(place)
                elif gone:
                    lost(place, job, attempt)
    finally:
        for job, _ in running.values():
            for execution in job.executions:
                execution.close()
