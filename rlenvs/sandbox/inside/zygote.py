"""A worker: loads the modules that are allowed, locks itself, and forks one process per execution.

It reads requests from its control socket. Each carries the descriptors of one execution; one of them is the lease, on
which the worker says how the execution ended, and on which a byte or the end of the stream means: kill it. So no
execution outlives the process that asked for it, whatever becomes of that one.
"""

import _signal  # type: ignore[import-not-found] # without the enumerations of `signal`, for which children would pay
import contextlib
import ctypes
import gc
import os
import random
import resource
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from rlenvs.sandbox import frames, kernel
from rlenvs.sandbox.codec import decode, encode
from rlenvs.sandbox.inside import calls, child, dense, modules, scratch, single
from rlenvs.sandbox.limits import Limits

Confine = child.Confine
MESSAGE_BYTES = 1 << 16
FORK = ctypes.PyDLL(None, use_errno=True).fork
"""Called with the interpreter's lock held, so that the child has it too."""
GIVEN = 4
"""Descriptors of an execution: its lease, its channel, stdout and stderr; one more if it has stdin."""
MOST_REQUESTS = 256
REPORT = frames.REPORT


def main(descriptor: int) -> NoReturn:
    """Serve until the other end of the control socket is closed."""
    hear_signals()
    control = socket.socket(fileno=descriptor)
    settings = decode(control.recv(MESSAGE_BYTES))
    try:
        confine = single.hand_over(settings) if settings.get("command") else prepare(settings, warm=True)
    except BaseException as error:  # noqa: BLE001 - reported to the grader, which raises it
        control.send(encode({"failure": f"{type(error).__name__}: {error!s:.2000}"}))
        os._exit(1)
    control.send(encode({"ready": True}))
    plan = settings.get("plan")
    Zygote(control, confine, plan is not None and plan["scratch_mb"] > 0).serve()


def hear_signals() -> None:
    """Undo what the grader does about signals, which processes inherit: it may block or ignore the end of a child."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def be_first_to_go() -> None:
    """Have the kernel end executions, not the grader, where the machine runs out of memory; take every descriptor."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("1000")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def prepare(settings: dict[str, Any], *, warm: bool = False) -> Confine:
    """Load what is allowed, lock this process, and return what locks a child further.

    Args:
        settings: what this worker was told.
        warm: run a small program here first: of use to all children, at the price of some of them.
    """
    be_first_to_go()
    extras = settings["extras"]
    whole = settings["preload_all"]
    policy = modules.Policy(settings["allowed"], extras)
    sys.meta_path.insert(0, policy)
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # threads do not survive a fork
    modules.preload(sorted(policy.allowed - extras.keys()) if whole else modules.CORE, whole=whole)
    modules.preload(list(extras), whole=True)
    modules.add_exits()
    os.environ.clear()
    os.chdir("/")
    confine = lock(settings["plan"])
    sys.argv[:] = [""]
    policy.hide()
    if warm:
        calls.warm_up()
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    gc.collect()
    dense.fill_holes()
    gc.freeze()
    gc.disable()
    return confine


def lock(fields: dict[str, Any] | None) -> Confine:
    """Lock this process as planned; without a plan nothing is locked, and only resources are limited."""
    if fields is None:
        return lambda mode, limits, siblings: lambda: child.limit_resources(limits)
    readable, hidden = kernel.interpreter_paths()
    plan = kernel.Plan(**{**fields, "readable": (*readable, *fields["readable"]), "hidden": hidden})
    kernel.enter(plan)
    return lambda mode, limits, siblings: kernel.confining(plan, limits, siblings=siblings)


def fork() -> int:
    """Fork as C does: the hooks of `threading` and `random` cost more than the fork, and here nothing needs them.

    They put right what other threads leave behind, and this process has none. The generator of `random` keeps its
    state, so that every execution draws the same numbers.

    Raises:
        OSError: there cannot be another process.
    """
    pid: int = FORK()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def become_child(mode: str, given: list[int], lock: Callable[[], None]) -> NoReturn:
    """Go on as an execution."""
    try:
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        child.run(mode, given, lock)
    finally:
        os._exit(child.EXIT_BROKEN)


class Zygote:
    """Forks executions and watches them.

    Args:
        control: where requests come from.
        confine: locks a child.
        has_scratch: whether there is a scratch folder to keep clean.
    """

    def __init__(self, control: socket.socket, confine: Confine, has_scratch: bool) -> None:
        self.control = control
        self.confine = confine
        self.has_scratch = has_scratch
        self.leases: dict[int, int] = {}
        self.threads: dict[int, int] = {}
        self.requests: dict[tuple[bytes, int], tuple[str, int, Callable[[], None]]] = {}
        self.poll = select.poll()
        self.wake, self.waker = os.pipe()
        for end in (self.wake, self.waker):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self.waker, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, ignore)
        for watched in (control.fileno(), self.wake):
            self.poll.register(watched, select.POLLIN)

    def serve(self) -> NoReturn:
        """Answer requests until there are no more."""
        while True:
            for ready, _ in self.poll.poll():
                if ready == self.control.fileno():
                    self.receive()
                elif ready == self.wake:
                    os.read(self.wake, MESSAGE_BYTES)
                else:
                    self.kill(ready)
            self.reap()

    def receive(self) -> None:
        """Take one request and fork its execution."""
        message, descriptors, _, _ = socket.recv_fds(self.control, MESSAGE_BYTES, 8)
        if not message:
            for pid in self.leases.values():
                os.kill(pid, signal.SIGKILL)
            os._exit(0)
        if len(descriptors) < GIVEN:  # this process has no more: the lease is gone, and that says enough
            for descriptor in descriptors:
                os.close(descriptor)
            return
        request = (message, sum(self.threads.values()))
        if request not in self.requests:
            self.learn(*request)
        mode, threads, lock = self.requests[request]
        lease, *given = descriptors
        try:
            pid = fork()
        except OSError as error:
            os.write(lease, str(error).encode())
            os.close(lease)
        else:
            if pid == 0:
                become_child(mode, given, lock)
            self.leases[lease] = pid
            self.threads[lease] = threads
            self.poll.register(lease, select.POLLIN)
        for descriptor in given:
            os.close(descriptor)

    def learn(self, message: bytes, siblings: int) -> None:
        """Prepare what a request asks for: the same one comes again and again."""
        if len(self.requests) >= MOST_REQUESTS:
            self.requests.clear()
        mode, fields = decode(message)
        limits = Limits(**fields)
        self.requests[message, siblings] = (mode, limits.threads, self.confine(mode, limits, siblings))

    def kill(self, lease: int) -> None:
        """End the execution of a lease that is called in."""
        self.poll.unregister(lease)
        os.kill(self.leases[lease], signal.SIGKILL)

    def reap(self) -> None:
        """Say how executions ended."""
        while self.leases:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            for lease, owner in list(self.leases.items()):
                if owner == pid:
                    del self.leases[lease], self.threads[lease]
                    self.end(lease, REPORT.pack(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss))
            if self.has_scratch and not self.leases:
                self.clean()

    def clean(self) -> None:
        """Empty the scratch folder, which nobody uses now, or end: a new worker has a new one."""
        try:
            scratch.empty(kernel.SCRATCH_FOLDER)
        except OSError:
            os._exit(1)

    def end(self, lease: int, report: bytes) -> None:
        """Send the report of an execution and give its lease back."""
        with contextlib.suppress(KeyError):  # it was called in before
            self.poll.unregister(lease)
        with contextlib.suppress(OSError):  # nobody waits for it any more
            os.write(lease, report)
        os.close(lease)


def ignore(*_: object) -> None:
    """Handle a signal whose arrival alone matters."""
