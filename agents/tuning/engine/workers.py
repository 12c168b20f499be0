"""Worker processes on this machine: started, started again when they die, and told when to end."""

import json
import os
import site
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rlenvs import errors
from rlenvs.agents.tuning.engine.attempt import Objective
from rlenvs.agents.tuning.engine.crew import END_S, LOOK_S, Crew, accompany, job_maker
from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.worker import GAVE_UP, INTERRUPTED, understood
from rlenvs.errors import TuningError

if TYPE_CHECKING:
    from rlenvs.agents.tuning.engine.running import Watch

__all__ = ["run_in_processes"]

SHOWN_LINES = 5


class WorkerProcess:
    """One of the workers, in one process after the other.

    Args:
        number: of the worker, from 0.
        folder: for its job and its report.
        log_dir: for what it prints.
    """

    def __init__(self, number: int, folder: Path, log_dir: Path) -> None:
        self.number = number
        self.log = log_dir / f"worker-{number}.log"
        self.job = folder / f"worker-{number}.job"
        self.report = folder / f"worker-{number}.json"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, job: bytes) -> None:
        """Start a process for it."""
        self.stop()
        self.report.unlink(missing_ok=True)
        self.job.write_bytes(job)
        arguments = [str(os.getpid()), str(self.job), str(self.report)]
        command = [sys.executable, "-P", "-m", "rlenvs.agents.tuning.engine.worker", *arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who pass it on
                env={**os.environ, "PYTHONPATH": os.pathsep.join(_import_path())},
            )

    def stop(self) -> None:
        """Tell it to begin no new trial."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def failure(self) -> Exception | None:
        """Return why it gave up; None: it did not."""
        try:
            return understood(json.loads(self.report.read_text()))
        except (OSError, ValueError):
            return None

    def last_lines(self) -> str:
        """Return the end of what it printed, as a note."""
        lines = self.log.read_text(errors="replace").strip().splitlines()[-SHOWN_LINES:]
        return "\n".join([f"worker {self.number} last printed:", *lines]) if lines else ""


def _import_path() -> list[str]:
    """Where a worker finds this package; the rest of our path comes with the job."""
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    root = str(Path(errors.__file__).parents[1])
    # Installed packages are found anyway; ahead of the standard library some would hide parts of it.
    installed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()}
    return given if root in installed else [root, *given]


class ProcessCrew(Crew):
    """Workers that are processes of this machine.

    Args:
        count: how many.
        job: returns the job of a worker that starts now.
        folder: for their jobs and reports.
        log_dir: for what they print.
    """

    def __init__(self, count: int, job: Callable[[], bytes], folder: Path, log_dir: Path) -> None:
        super().__init__(count, job)
        self.workers = [WorkerProcess(number, folder, log_dir) for number in range(count)]

    def start(self) -> None:
        """Start every worker."""
        job = self.job()
        for worker in self.workers:
            worker.start(job)

    def look(self, *, ending: bool) -> bool:
        """See how the workers are; say whether any is still at work."""
        at_work = False
        for worker in self.workers:
            assert worker.process is not None
            code = worker.process.poll()
            if code is None:
                at_work = True
                continue
            if code == GAVE_UP and (failure := worker.failure()) is not None:
                raise failure
            if code not in (0, INTERRUPTED) and not ending:
                self._start_again(worker, code)
                at_work = True
        return at_work

    def pause(self) -> None:
        """Wait until it is worth looking again."""
        time.sleep(LOOK_S)

    def _start_again(self, worker: WorkerProcess, code: int) -> None:
        if self.count_death():
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            error = TuningError(f"the workers keep dying ({how}): {self.deaths} times since a trial last finished")
            if lines := worker.last_lines():
                error.add_note(lines)
            raise error
        worker.start(self.job())

    def stop(self) -> None:
        """Tell them to begin no new trial."""
        for worker in self.workers:
            worker.stop()

    def end(self) -> None:
        """Have them give their trials back and end; kill who does not."""
        for worker in self._alive():
            worker.terminate()
        deadline = time.monotonic() + END_S
        while self._alive() and time.monotonic() < deadline:
            time.sleep(LOOK_S / 4)

    def kill(self) -> None:
        """End them at once."""
        for process in self._alive():
            process.kill()
        for worker in self.workers:
            if worker.process is not None:
                worker.process.wait()
                worker.stop()

    def _alive(self) -> list[subprocess.Popen[bytes]]:
        processes = [worker.process for worker in self.workers if worker.process is not None]
        return [process for process in processes if process.poll() is None]


def run_in_processes(
    plan: StudyPlan,
    function: Objective,
    watch: "Watch",
    until: Callable[[], bool],
    interrupts: Interrupts,
    *,
    workers: int,
    log_dir: Path | None = None,
) -> None:
    """Work on a study with processes of this machine until it is done.

    Args:
        plan: what the study is; its storage is a URL.
        function: the objective.
        watch: tells of finished trials.
        until: begin no new trial once this is true.
        interrupts: asks everybody to end.
        workers: how many processes.
        log_dir: for what they print.

    Raises:
        RlenvsError: a worker gave up, or they keep dying.
        KeyboardInterrupt: everybody was asked to end; running trials were given back.
    """
    with tempfile.TemporaryDirectory(prefix="rlenvs-tune-") as name:
        folder = Path(name)
        logs = folder if log_dir is None else log_dir
        logs.mkdir(parents=True, exist_ok=True)
        crew = ProcessCrew(workers, job_maker(plan, function, watch), folder, logs)
        accompany(crew, watch, until, interrupts)
