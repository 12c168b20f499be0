"""The pool that runs programs: workers, shared by all threads, safe under `fork`."""

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Collection, Sequence
from types import TracebackType
from typing import Any, Literal

from rlenvs.errors import ParameterError, SandboxError
from rlenvs.sandbox import kernel
from rlenvs.sandbox.duel import Duel, DuelJob, DuelResult
from rlenvs.sandbox.engine import ATTEMPTS, Engine
from rlenvs.sandbox.execution import live
from rlenvs.sandbox.jobs import CallsJob, Job, make_job
from rlenvs.sandbox.limits import Limits, check_limits
from rlenvs.sandbox.program import Program
from rlenvs.sandbox.result import Result
from rlenvs.sandbox.session import Session
from rlenvs.sandbox.settings import worker_settings
from rlenvs.sandbox.worker import ANSWER_SECONDS, Worker, WorkerDiedError, steady

Tier = Literal["A", "B", "unsafe", "bubblewrap"]
REACHABLE: dict[str, tuple[Literal["A", "B"], ...]] = {"A": ("A", "B"), "B": ("B",)}
"""Tiers that a machine can enter, the best one first, by what the probe finds."""
MOST_SCRATCH_MB = 1 << 20
HARMLESS = Program("def solve(x):\n    return x + 1", [[1]], limits=Limits(wall_s=30.0))
"""Shows whether workers die of themselves or of what they were given."""


class SandboxPool:
    r"""Runs code that nobody trusts, in processes that can do nothing but compute.

    Every execution is a process of its own, forked from a worker that is locked, and ends with its result. What is
    expected of the code never enters these processes; from them comes length-capped plain data alone.

    Args:
        workers: processes that executions are forked from, so many run at a time; None takes one per available core.
        limits: for programs that bring none.
        modules: names to add to what the code may import: of the standard library, or of installed packages ("numpy").
        tier: "A" (namespaces, a private root, Landlock, seccomp) or "B" (Landlock, seccomp) to demand it; None takes
            the best that this machine can enter.
        scratch_mb: size of a folder `/box` that the code may write to; tier A alone has one. It is empty when an
            execution starts; sessions, beside which others run, cannot have one.
        unsafe: run without isolation where neither tier can be entered. For code that is trusted, and nothing else.

    Raises:
        SandboxError: the code cannot be isolated here.
        ParameterError: an argument cannot be used.

    Example:
        >>> with SandboxPool(workers=1) as pool:  # doctest: +SKIP
        ...     result = pool.run("def solve(x):\n    return 2 * x", [[4], [0.5]])
        >>> [outcome.value for outcome in result.outcomes]  # doctest: +SKIP
        [8, 1.0]
    """

    def __init__(
        self,
        workers: int | None = None,
        limits: Limits | None = None,
        *,
        modules: Sequence[str] | None = None,
        tier: Literal["A", "B"] | None = None,
        scratch_mb: int = 0,
        unsafe: bool = False,
    ) -> None:
        if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
            raise ParameterError("workers", f"must be a whole number >= 1 or None, got {workers!r}")
        if tier not in (None, "A", "B"):
            raise ParameterError("tier", f'must be "A", "B" or None, got {tier!r}')
        named = isinstance(modules, Collection) and all(isinstance(name, str) for name in modules)
        if modules is not None and (isinstance(modules, str) or not named):
            raise ParameterError("modules", f"must be a list of names, got {modules!r}")
        if not isinstance(scratch_mb, int) or isinstance(scratch_mb, bool) or not 0 <= scratch_mb <= MOST_SCRATCH_MB:
            raise ParameterError(
                "scratch_mb", f"must be a whole number from 0 to {MOST_SCRATCH_MB}, got {scratch_mb!r}"
            )
        check_limits(limits)
        self.limits = limits if limits is not None else Limits()
        self.modules = tuple(modules or ())
        self.tier: Tier = choose_tier(tier, unsafe=unsafe)
        self.scratch_mb = scratch_mb
        if scratch_mb and self.tier != "A":
            raise ParameterError("scratch_mb", f"needs tier A, this pool is {self.tier}: nothing else bounds a folder")
        self.size = workers if workers is not None else len(os.sched_getaffinity(0))
        self.settings_of(None)  # a module that is not installed is reported now
        self.workers: list[Worker] = []
        self.idle: list[Worker] = []
        self.changed = threading.Condition()
        self.is_closed = False
        with steady:
            pools.add(self)

    def run(
        self, code: str, inputs: Sequence[Any], *, entry_point: str | None = "solve", limits: Limits | None = None
    ) -> Result:
        """Run one program. For the arguments see `Program`.

        Raises:
            ParameterError: the code or an input is not of the right form.
            SandboxError: no worker can be started.
        """
        return self.run_batch([Program(code, inputs, entry_point, limits)])[0]

    def run_batch(self, programs: Sequence[Program]) -> list[Result]:
        """Run programs, as many at a time as there are workers. The results come in the order of the programs.

        Raises:
            ParameterError: an input is not of the right form.
            SandboxError: no worker can be started.
        """
        for position, program in enumerate(programs):
            if not isinstance(program, Program):
                raise ParameterError(f"programs[{position}]", f"must be a Program, got {type(program).__name__}")
        jobs = [make_job(program, self.limits, self.tier) for program in programs]
        self.finish([job for job in jobs if job.result is None])
        results = [job.result for job in jobs]
        assert all(result is not None for result in results)
        return [result for result in results if result is not None]

    def duel(
        self,
        test_code: str,
        candidate_code: str,
        entry_point: str,
        *,
        setup_code: str = "",
        limits: Limits | None = None,
    ) -> DuelResult:
        """Hold assertions against a solution. For the arguments see `Duel`.

        Raises:
            SandboxError: no worker can be started.
        """
        return self.duel_batch([Duel(test_code, candidate_code, entry_point, setup_code, limits)])[0]

    def duel_batch(self, duels: Sequence[Duel]) -> list[DuelResult]:
        """Hold assertions against solutions, as many at a time as there are workers; the order is kept.

        Raises:
            SandboxError: no worker can be started.
        """
        for position, duel in enumerate(duels):
            if not isinstance(duel, Duel):
                raise ParameterError(f"duels[{position}]", f"must be a Duel, got {type(duel).__name__}")
        jobs = [DuelJob(duel, self.limits, self.tier) for duel in duels]
        self.finish([job for job in jobs if job.result is None])
        return [job.result for job in jobs if job.result is not None]

    def session(self, limits: Limits | None = None) -> Session:
        """Start a session: cells that share their state. Sessions share workers with everything else.

        Raises:
            ParameterError: the pool has a scratch folder, which a session would share with what runs beside it.
            SandboxError: no worker can be started.
        """
        check_limits(limits)
        if self.scratch_mb:
            raise ParameterError(
                "scratch_mb", "must be 0 in a pool whose sessions are used: they would share the folder"
            )
        for _ in range(ATTEMPTS):
            with self.changed:
                if self.is_closed:
                    raise SandboxError("the sandbox pool is closed: make a new one")
                for worker in [each for each in self.idle if each.is_gone]:
                    self.discard(worker)
                if len(self.workers) < self.size:
                    self.idle.append(self.start_worker())
                alive = [each for each in self.workers if not each.is_gone]
                if not alive:  # all are being replaced
                    self.changed.wait(ANSWER_SECONDS)
                    continue
                worker = min(alive, key=lambda each: len(each.seats))
                seat = worker.seat()
            try:
                worker.wait_until_ready()
                return Session(worker, limits or self.limits, self.tier, seat)
            except WorkerDiedError:
                continue
        raise SandboxError("workers of the sandbox die on this machine")

    def finish(self, jobs: Sequence[Job]) -> None:
        """Run jobs to their end on as many idle workers as there are; wait for the first."""
        if not jobs:
            return
        workers: list[Worker] = []
        try:
            self.borrow(len(jobs), workers)
            for place, worker in enumerate(workers):
                workers[place] = self.readied(worker)
            Engine(workers, self.replace, self.give_up).run(jobs)
        finally:
            self.give_back(workers)

    def borrow(self, most: int, taken: list[Worker]) -> None:
        """Take idle workers out of the pool into a list: one at least, as many as are free at most."""
        with self.changed:
            while True:
                if self.is_closed:
                    raise SandboxError("the sandbox pool is closed: make a new one")
                for worker in [each for each in self.idle if each.is_gone]:
                    self.discard(worker)
                while len(self.idle) < most and len(self.workers) < self.size:
                    self.idle.append(self.start_worker())
                if self.idle:
                    break
                self.changed.wait()
            taken += self.idle[:most]
            del self.idle[:most]

    def give_back(self, workers: Sequence[Worker]) -> None:
        """Put workers into the pool again."""
        with self.changed:
            for worker in workers:
                if self.is_closed or worker.is_gone or worker not in self.workers:
                    self.discard(worker)
                elif worker not in self.idle:  # an interrupt may have come while it was taken
                    self.idle.append(worker)
            self.changed.notify_all()

    def replace(self, worker: Worker) -> Worker:
        """Return a new worker for one that is gone or doubtful."""
        with self.changed:
            self.discard(worker)
            made = self.start_worker()
        return self.readied(made)

    def readied(self, worker: Worker) -> Worker:
        """Return a worker when it has locked itself, or another one if it dies before that.

        Raises:
            SandboxError: one says why it cannot, or they all die.
        """
        try:
            for _ in range(ATTEMPTS):
                try:
                    worker.wait_until_ready()
                    return worker
                except WorkerDiedError as error:
                    problem = error
                    with self.changed:
                        self.discard(worker)
                        if self.is_closed:
                            break
                        worker = self.start_worker()
            raise SandboxError(f"workers of the sandbox die while they start: {problem}")
        except BaseException:  # an interrupt too: nobody else knows of it, and it would keep its place for good
            with self.changed:
                self.discard(worker)
            raise

    def start_worker(self) -> Worker:
        """Start a worker; it is not ready yet."""
        uid = None
        with steady:
            if self.tier != "unsafe" and kernel.can_become_another():
                uid = kernel.free_uid(
                    frozenset(each.uid for pool in pools for each in pool.workers if each.uid is not None)
                )
            worker = Worker(self.settings_of(uid), uid)
            self.workers.append(worker)
        return worker

    def settings_of(self, uid: int | None) -> bytes:
        """Return what a worker of this pool is told."""
        return self.settings_for(self.tier, uid)

    def settings_for(self, tier: str, uid: int | None) -> bytes:
        """Return what a worker of a tier is told."""
        return worker_settings(tier, self.modules, self.scratch_mb, uid)

    def discard(self, worker: Worker) -> None:
        """End a worker for good."""
        worker.kill()
        if worker in self.workers:
            self.workers.remove(worker)
        if worker in self.idle:
            self.idle.remove(worker)

    def give_up(self, job: Job) -> None:
        """Finish a job that worker after worker died of: by its doing if it started and a harmless one goes through."""
        if not any(execution.has_started for execution in job.executions):
            job.fail("error", "it never started: its limits are too low, or the system lacks memory or processes")
            return
        harmless = CallsJob(HARMLESS, self.limits, self.tier)
        with self.changed:
            worker = self.start_worker()
        try:
            worker = self.readied(worker)
            Engine([worker], lambda _: worker, lambda lost: lost.fail("error", "")).run([harmless])
        finally:
            with self.changed:
                self.discard(worker)
        if harmless.result is not None and harmless.result.status == "ok":
            job.fail("crash", "ended every worker that it was given to")
        else:
            job.fail("error", "workers of the sandbox die on this machine, whatever they run")

    def close(self) -> None:
        """End every worker. A program that still runs on another thread ends with "error"."""
        with self.changed:
            self.is_closed = True
            for worker in list(self.workers):
                self.discard(worker)
            self.changed.notify_all()

    def abandon(self) -> None:
        """Let go of workers that belong to the parent of this process; new ones are made when they are needed."""
        self.changed = threading.Condition()
        for worker in self.workers:
            worker.abandon()
        self.workers, self.idle = [], []

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def choose_tier(wanted: Literal["A", "B"] | None, *, unsafe: bool) -> Tier:
    """Return the tier that a pool runs in.

    Raises:
        SandboxError: this machine cannot enter it, or any.
    """
    if not sys.platform.startswith("linux"):
        raise SandboxError(f"the sandbox needs Linux, this is {sys.platform}")
    probe = kernel.probe()
    reachable = REACHABLE.get(probe.tier, ())
    if wanted in reachable:
        return wanted
    missing = "; ".join(probe.missing) or "unknown"
    if wanted is not None:
        raise SandboxError(f"this machine cannot enter tier {wanted} of the sandbox: {missing}")
    if reachable:
        return reachable[0]
    if unsafe:
        return "unsafe"
    raise SandboxError(
        f"code cannot be isolated on this machine: {missing}; run rlenvs doctor for what to change, or write out "
        f"unsafe=True for code that you trust"
    )


pools: "weakref.WeakSet[SandboxPool]" = weakref.WeakSet()
default: SandboxPool | None = None
default_lock = threading.Lock()


def default_pool() -> SandboxPool:
    """Return the pool of this process, made when it is first asked for.

    Raises:
        SandboxError: the code cannot be isolated here.
    """
    global default
    with default_lock:
        if default is None or default.is_closed:
            default = SandboxPool()
        return default


def set_default_pool(pool: SandboxPool | None) -> None:
    """Let `default_pool` return this pool; None lets it make one when it is next asked for."""
    global default
    if pool is not None and not isinstance(pool, SandboxPool):
        raise ParameterError("pool", f"must be a SandboxPool or None, got {type(pool).__name__}")
    with default_lock:
        default = pool


def close_all() -> None:
    """End the workers of every pool of this process."""
    for pool in list(pools):
        pool.close()


def forget_in_child() -> None:
    """After a fork: the workers are the parent's, and another thread may have held a lock."""
    global default_lock
    default_lock = threading.Lock()
    for execution in list(live):
        execution.close()
    for pool in list(pools):
        pool.abandon()


atexit.register(close_all)
os.register_at_fork(after_in_child=forget_in_child)
