"""A worker process: `python -m rlenvs.agents.tuning.engine.worker PARENT JOB REPORT`, started by a session of tuning.

JOB is a file that says what to do. When its standard input is closed the worker begins no new trial. What makes it give
up is written to the file REPORT, as JSON.
"""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna

from rlenvs import errors
from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.job import Job
from rlenvs.agents.tuning.engine.joining import check_identity, quiet
from rlenvs.agents.tuning.engine.loop import work
from rlenvs.agents.tuning.engine.storage import open_storage, storage_failures
from rlenvs.errors import RlenvsError, StorageError
from rlenvs.processes import die_with

__all__ = ["GAVE_UP", "serve"]

GAVE_UP = 3
"""Exit code of a worker that wrote its reason to the report; starting it again would not help."""

INTERRUPTED = 130


def told(error: RlenvsError) -> dict[str, Any]:
    """Return why a worker gives up, as plain JSON."""
    return {"kind": type(error).__name__, "message": str(error), "notes": getattr(error, "__notes__", [])}


def understood(report: Mapping[str, Any]) -> Exception:
    """Return the error that a worker told of."""
    error: Exception = getattr(errors, report["kind"], errors.TuningError)(report["message"])
    for note in report["notes"]:
        error.add_note(note)
    return error


def serve(job: Job, interrupts: Interrupts, stopped: Callable[[optuna.Study], bool]) -> None:
    """Work on the study of a job until nothing is left to do.

    Args:
        job: what to do.
        interrupts: asks the worker to end.
        stopped: says of the study whether no new trial is to begin.

    Raises:
        KeyboardInterrupt: the worker was asked to end; its trial was given back.
        StudyError: the study is not the one of the job.
        StorageError: the storage is gone.
        TuningError: every trial fails.
    """
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
                until=lambda: stopped(study) or (deadline is not None and time.monotonic() >= deadline),
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


def main(parent: int, job_file: Path, report: Path) -> int:
    """Run a worker process; return its exit code."""
    die_with(parent)
    stop = threading.Event()
    _watch(_take_input(), stop)
    with Interrupts() as interrupts:
        try:
            job = Job.loads(job_file.read_bytes())
            serve(job, interrupts, lambda study: stop.is_set())
        except KeyboardInterrupt:
            return INTERRUPTED
        except RlenvsError as error:
            report.write_text(json.dumps(told(error)))
            return GAVE_UP
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])))
