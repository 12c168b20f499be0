"""A worker process: `python -m rlenvs.agents.tuning.worker PARENT REPORT`, fed by whoever started it.

On its standard input come the length of the job, the job, and nothing more until it is to begin no new trial, which a
single byte says. What makes the worker give up is written to the file REPORT, as JSON.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rlenvs.agents.tuning.interrupts import Interrupts
from rlenvs.agents.tuning.job import Job
from rlenvs.agents.tuning.joining import check_identity, quiet
from rlenvs.agents.tuning.loop import work
from rlenvs.agents.tuning.storage import open_storage, storage_failures
from rlenvs.errors import RlenvsError, StorageError
from rlenvs.processes import die_with

__all__ = ["GAVE_UP", "serve"]

GAVE_UP = 3
"""Exit code of a worker that wrote its reason to the report; starting it again would not help."""

INTERRUPTED = 130
LENGTH_BYTES = 8


def serve(job: Job, interrupts: Interrupts, stopped: Callable[[], bool]) -> None:
    """Work on the study of a job until nothing is left to do.

    Raises:
        KeyboardInterrupt: the worker was asked to end; its trial was given back.
        StudyError: the study is not the one of the job.
        StorageError: the storage is gone.
        TuningError: every trial fails.
    """
    import optuna

    deadline = None if job.seconds is None else time.monotonic() + job.seconds
    with quiet():
        try:
            storage = open_storage(job.plan.storage)
            study = optuna.load_study(study_name=job.plan.name, storage=storage)
            check_identity(study, job.plan)
            work(
                job.plan,
                study,
                job.function,
                interrupts=interrupts,
                until=lambda: stopped() or (deadline is not None and time.monotonic() >= deadline),
                finished_before=job.finished_before,
            )
        except storage_failures() as error:
            if isinstance(error, StorageError):
                raise
            reason = str(error.__cause__ or error).strip().partition("\n")[0]
            raise StorageError(f"the storage of study {job.plan.name!r} is gone: {reason}") from error


def _take_input() -> int:
    """Keep the pipe of the parent to ourselves, so that an objective that reads its input finds it empty."""
    pipe = os.dup(0)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    return pipe


def _watch(pipe: int, stop: threading.Event) -> None:
    def wait() -> None:
        with contextlib.suppress(OSError):
            os.read(pipe, 1)
        stop.set()

    threading.Thread(target=wait, name="waits to be told to stop", daemon=True).start()


def main(parent: int, report: Path) -> int:
    """Run a worker process; return its exit code."""
    die_with(parent)
    pipe = _take_input()
    with Interrupts() as interrupts:
        try:
            with open(pipe, "rb", closefd=False, buffering=0) as file:
                job = Job.loads(_read(file.read, int.from_bytes(_read(file.read, LENGTH_BYTES))))
            stop = threading.Event()
            _watch(pipe, stop)
            serve(job, interrupts, stop.is_set)
        except KeyboardInterrupt:
            return INTERRUPTED
        except RlenvsError as error:
            notes = getattr(error, "__notes__", [])
            report.write_text(json.dumps({"kind": type(error).__name__, "message": str(error), "notes": notes}))
            return GAVE_UP
    return 0


def _read(read: Callable[[int], bytes], count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = read(count - len(data))
        if not more:
            raise SystemExit("whoever started this worker ended before it had said what to do")
        data += more
    return data


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
