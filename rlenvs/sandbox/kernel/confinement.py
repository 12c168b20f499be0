"""The two steps of confinement, in an order that the kernel enforces or that a mistake would undo."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from os import getpid, getppid

from rlenvs.sandbox.kernel import landlock, seccomp
from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import in_turn
from rlenvs.sandbox.kernel.namespaces import die_with_outer, isolate
from rlenvs.sandbox.kernel.plan import Plan, ProcessLimits
from rlenvs.sandbox.kernel.privileges import become, renounce
from rlenvs.sandbox.kernel.process import (
    address_space,
    dying_with_parent,
    hard_limits,
    keep_one_arena,
    limiting,
    set_lasting_limits,
)
from rlenvs.sandbox.kernel.root import SCRATCH_FOLDER
from rlenvs.sandbox.kernel.syscalls import this_architecture


@dataclass(frozen=True)
class _Worker:
    """What a confined worker remembers for its children."""

    plan: Plan
    pid: int
    mapped: int
    own_processes: int | None
    most: dict[int, int]
    child_filter: seccomp.Filter


_workers: list[_Worker] = []
"""At most one: this process, once it has entered."""


def enter(plan: Plan) -> None:
    """Confine this process for good, as the worker of a plan.

    In tier A another process returns than the one that called; that one stays outside, and both end together.

    Every step that fails raises: then nothing of a model may run, and the process should end.

    Args:
        plan: how far.

    Raises:
        KernelError: a step failed, this process has threads, or it has entered already.
    """
    if _workers:
        raise KernelError("entering", "this process is confined already")
    architecture = this_architecture()
    _require_one_thread()
    version = landlock.abi()
    mapped = address_space()
    keep_one_arena()
    outer_lives = isolate(plan) if plan.tier == "A" else None
    os.chdir("/")
    os.umask(0o077)
    rules = landlock.Ruleset(version)
    for path, rights in landlock.read_rules(plan.readable, plan.hidden).items():
        rules.allow(path, rights)
    if plan.scratch_mb:
        rules.allow(SCRATCH_FOLDER, landlock.SCRATCH)
    if plan.tier == "B" and plan.uid is not None:
        become(plan.uid)
    renounce()
    if outer_lives is not None:
        die_with_outer(outer_lives)
    rules.enforce()
    set_lasting_limits()
    seccomp.Filter(seccomp.worker_code(architecture, scratch=bool(plan.scratch_mb))).install()
    child_filter = seccomp.Filter(seccomp.child_code(architecture))
    _workers.append(_Worker(plan, os.getpid(), mapped, _own_processes(plan), hard_limits(), child_filter))


def confine(plan: Plan, limits: ProcessLimits, *, siblings: int = 0) -> None:
    """Confine this process further, for good, as one that runs model text: a child of a worker that has entered.

    Afterwards it can start threads and nothing else, signal itself and nobody else, and ends with its worker.

    Args:
        plan: what the worker entered with.
        limits: of this execution.
        siblings: how many processes and threads the worker's other children may have, which count by user.

    Raises:
        KernelError: a step failed.
    """
    confining(plan, limits, siblings=siblings)()


def confining(plan: Plan, limits: ProcessLimits, *, siblings: int = 0) -> Callable[[], None]:
    """Return what does the work of `confine`, and raises what it raises.

    A worker prepares it, because a child pays for each page that it is the first to write to.

    Raises:
        KernelError: this worker has not entered with this plan.
    """
    if not _workers or _workers[0].plan != plan:
        raise KernelError("confining a child", "its worker has not entered with this plan")
    worker = _workers[0]
    others = None if worker.own_processes is None else worker.own_processes + siblings
    steps = limiting(limits, worker.most, mapped=worker.mapped, processes=others)
    # In tier A the kernel ends a namespace with its first process.
    parent = worker.pid if plan.tier == "B" else None
    if parent is not None:
        steps.insert(0, dying_with_parent())
    fill_in = worker.child_filter.fill_in
    make_calls = in_turn([*steps, worker.child_filter.installing()])

    def lock() -> None:
        fill_in(getpid())
        make_calls()
        if parent is not None and getppid() != parent:
            raise KernelError("dying with the worker", "it has ended")

    return lock


def _own_processes(plan: Plan) -> int | None:
    """How many processes of its user a worker itself accounts for; None if the user may have any number of others."""
    if plan.tier == "A":
        return 2  # the outer process has the same user; users are counted by namespace, or the user is the worker's own
    return 1 if plan.uid is not None else None


def _require_one_thread() -> None:
    try:
        threads = len(os.listdir("/proc/self/task"))
    except OSError:
        threads = threading.active_count()  # no /proc: those of libraries do not show
    if threads != 1:
        raise KernelError("entering", f"the process has {threads} threads; confinement reaches one only")
