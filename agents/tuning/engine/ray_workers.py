"""Workers as tasks of a Ray cluster that runs already, wherever it finds room for them.

The study is shared through its storage alone, so that must be one that every node reaches: a database, a storage
server, or a journal on a file system that all nodes have.
"""

import contextlib
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import optuna

from rlenvs.agents.tuning.engine.attempt import Objective
from rlenvs.agents.tuning.engine.crew import END_S, LOOK_S, Crew, accompany, job_maker
from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.job import Job
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.storage import CONNECT_S, absolute_url, open_storage, storage_failures
from rlenvs.agents.tuning.engine.worker import serve, told, understood
from rlenvs.errors import RlenvsError, StudyError, TuningError
from rlenvs.extras import require

if TYPE_CHECKING:
    from rlenvs.agents.tuning.engine.running import Watch

__all__ = ["run_on_ray"]

SESSION = "rlenvs:session:{session}"
"""User attribute of a study: what the workers of this session are to do."""

FINISH = "finish"
"""They begin no new trial."""

END = "end"
"""They give their trials back."""

LONGEST_LOOK_S = 1.0
"""Seconds between two looks of a task at what it is to do."""


def serve_task(data: bytes, session: str) -> dict[str, Any] | None:
    """Be a worker; return why it gave up, or None."""
    key = SESSION.format(session=session)
    try:
        job = Job.loads(data)
        with Interrupts() as interrupts, _ended_from_afar(job.plan, key):
            serve(job, interrupts, lambda study: key in study.user_attrs)
    except KeyboardInterrupt:
        return None
    except RlenvsError as error:
        return told(error)
    return None


@contextlib.contextmanager
def _ended_from_afar(plan: StudyPlan, key: str) -> Iterator[None]:
    """Send this process a SIGTERM when the session asks for it, while the body runs.

    Ray's own way to cancel a task only sets a flag, which an objective that sleeps or waits does not see.
    """
    returned = threading.Event()

    def look() -> None:
        study: optuna.Study | None = None
        while not returned.wait(min(LONGEST_LOOK_S, plan.heartbeat_s)):
            with contextlib.suppress(*storage_failures()):
                study = study or optuna.load_study(study_name=plan.name, storage=open_storage(plan.storage))
                if study.user_attrs.get(key) == END:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

    thread = threading.Thread(target=look, name="waits to be told to end", daemon=True)
    thread.start()
    try:
        yield
    finally:
        returned.set()
        thread.join(LONGEST_LOOK_S)


class RayCrew(Crew):
    """Workers that are tasks of a cluster.

    Args:
        count: how many.
        job: returns the job of a worker that starts now.
        ray: the module.
        study: the study.
    """

    def __init__(self, count: int, job: Callable[[], bytes], ray: Any, study: optuna.Study) -> None:
        super().__init__(count, job)
        self.ray = ray
        self.study = study
        self.session = uuid.uuid4().hex[:12]
        # A task that Ray ran again by itself would come after the session is over, too.
        self.task = ray.remote(num_cpus=1, max_retries=0)(serve_task)
        self.references: list[Any] = []

    def start(self) -> None:
        """Ask for every task."""
        data = self.job()
        self.references = [self.task.remote(data, self.session) for _ in range(self.count)]

    def look(self, *, ending: bool) -> bool:
        """See how the tasks are; say whether any is still at work."""
        ready, self.references = self._wait(0)
        for reference in ready:
            try:
                report = self.ray.get(reference)
            except self.ray.exceptions.TaskCancelledError:
                continue
            except self.ray.exceptions.RayTaskError:
                raise
            except self.ray.exceptions.RayError as error:
                if not ending:
                    self._start_again(error)
                continue
            if report is not None:
                raise understood(report)
        return bool(self.references)

    def pause(self) -> None:
        """Wait until it is worth looking again."""
        self._wait(LOOK_S)

    def stop(self) -> None:
        """Tell them to begin no new trial."""
        self._tell(FINISH)

    def _wait(self, seconds: float) -> tuple[list[Any], list[Any]]:
        if not self.references:
            return [], []
        ready, running = self.ray.wait(self.references, num_returns=len(self.references), timeout=seconds)
        return ready, running

    def _start_again(self, error: Exception) -> None:
        if self.count_death():
            reason = str(error).strip().partition("\n")[0]
            raise TuningError(
                f"the workers keep dying ({reason}): {self.deaths} times since a trial last finished"
            ) from error
        self.references.append(self.task.remote(self.job(), self.session))

    def _tell(self, what: str) -> None:
        self.study.set_user_attr(SESSION.format(session=self.session), what)

    def end(self) -> None:
        """Have the tasks give their trials back and end; kill who does not."""
        if not self.references:
            return
        with contextlib.suppress(*storage_failures()):
            self._tell(END)
        deadline = time.monotonic() + END_S
        while self.references and time.monotonic() < deadline:
            self.references = self.ray.wait(self.references, timeout=LOOK_S)[1]

    def kill(self) -> None:
        """End them at once."""
        for reference in self.references:
            self.ray.cancel(reference, force=True)
        self.references = []


def run_on_ray(
    plan: StudyPlan,
    function: Objective,
    watch: "Watch",
    until: Callable[[], bool],
    interrupts: Interrupts,
    *,
    workers: int,
    address: str,
) -> None:
    """Work on a study with tasks of a Ray cluster until it is done. Each task takes one CPU of the cluster.

    Args:
        plan: what the study is; its storage is a URL that every node reaches.
        function: the objective.
        watch: tells of finished trials.
        until: begin no new trial once this is true.
        interrupts: asks everybody to end.
        workers: how many tasks.
        address: of the cluster; `auto`: the one of this machine. A connection that exists already is used.

    Raises:
        MissingExtraError: Ray is not installed.
        StudyError: there is no cluster there.
        RlenvsError: a worker gave up, or they keep dying.
        KeyboardInterrupt: everybody was asked to end; running trials were given back.
    """
    ray = require("ray", "ray", "--ray")
    # Tasks run in folders of Ray's.
    shared = plan.replace(storage=absolute_url(str(plan.storage)))
    connected_before = ray.is_initialized()
    if not connected_before:
        _connect(ray, address)
    try:
        crew = RayCrew(workers, job_maker(shared, function, watch), ray, watch.study)
        accompany(crew, watch, until, interrupts)
    finally:
        if not connected_before:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Connect to a cluster that runs.

    Raises:
        StudyError: there is none, or none of its nodes takes work.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        try:
            # Ray itself would try for minutes.
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        except OSError as error:
            raise StudyError(f"no Ray cluster at {address!r}: {error.strerror or error}") from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
        # The address of a cluster that has ended may lie around, and is connected to for a while.
        workable = any(node["Alive"] and node["Resources"].get("CPU", 0) >= 1 for node in ray.nodes())
    except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise StudyError(f"no Ray cluster at {address!r}: {reason}") from error
    if not workable:
        ray.shutdown()
        raise StudyError(f"no Ray cluster at {address!r}: none of its nodes has a CPU to give")
