"""The side of the process that asks: a pool of workers, shared by all threads, safe under `fork`."""

import atexit
import importlib.util
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from rlenvs.errors import GraderError, MissingExtraError
from rlenvs.graders.deadline.checks import CHECKS, Reply, Request
from rlenvs.graders.deadline.frames import FRAME, MESSAGE_BYTES

START_SECONDS = 120.0
CONTROL_SECONDS = 30.0
REPLY_BYTES = 1 << 16
WORKERS = max(4, min(8, os.cpu_count() or 1))
"""Processes of a pool: also on two cores several, so that answers that run into the deadline do not hold up others."""


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The text made its check exceed a limit."""

    limit: str
    """"time", "memory", or "crash": it ended every worker that was given it, and other texts do not."""


class DeadlineMissedError(Exception):
    """No reply in time."""


class WorkerDiedError(Exception):
    """The worker ended, or said what no worker says."""


class Nursery:
    """The process that workers are forked from, as its parent sees it.

    Raises:
        GraderError: it cannot start.
    """

    def __init__(self, kind: str) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # -P: a file of the working directory must not stand in for a module.
            command = [sys.executable, "-P", "-m", "rlenvs.graders.deadline.worker", kind, str(theirs.fileno())]
            self.process = subprocess.Popen(
                [*command, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
        self.control = ours
        self.lock = threading.Lock()
        try:
            reply = self.receive(START_SECONDS)
        except (OSError, ValueError) as error:
            self.close()
            raise GraderError(f"the {kind} checker did not start: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise
        if not reply.get("ready"):
            self.close()
            raise GraderError(f"the {kind} checker did not start: {reply.get('failure', 'it ended')}")

    def receive(self, seconds: float) -> dict[str, Any]:
        """Read one message; {} at the end of the connection."""
        self.control.settimeout(seconds)
        message = self.control.recv(MESSAGE_BYTES)
        reply: dict[str, Any] = json.loads(message) if message else {}
        return reply

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Send a request and return its reply.

        Raises:
            WorkerDiedError: the nursery is gone.
        """
        with self.lock:
            try:
                self.control.settimeout(CONTROL_SECONDS)
                socket.send_fds(self.control, [json.dumps(request).encode()], descriptors)
                reply = self.receive(CONTROL_SECONDS)
            except OSError:
                reply = {}
            except BaseException:
                self.control.close()  # interrupted: its reply must not be taken for that of the next request
                raise
            if not reply:
                self.control.close()
                raise WorkerDiedError("its nursery is gone")
            return reply

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be asked any more."""
        return self.control.fileno() < 0 or self.process.poll() is not None

    def close(self) -> None:
        """End the nursery and with it every worker."""
        self.control.close()
        try:
            self.process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def abandon(self) -> None:
        """Forget a nursery that belongs to the parent of this process."""
        self.control.close()
        self.process.returncode = 0  # nothing that this process could wait for


class Worker:
    """One worker, as its parent sees it.

    Raises:
        WorkerDiedError: it could not be forked.
    """

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        try:
            with theirs:
                self.pid = int(nursery.ask({"do": "fork"}, [theirs.fileno()])["pid"])
        except BaseException:
            self.channel.close()
            raise

    @property
    def is_gone(self) -> bool:
        """Whether it ended while nobody asked it anything, or speaks unasked, which ends it too."""
        poll = select.poll()
        poll.register(self.channel, select.POLLIN)
        return bool(poll.poll(0))

    def ask(self, request: Request, seconds: float) -> Reply:
        """Send a request and return its reply.

        Raises:
            DeadlineMissedError: it takes longer.
            WorkerDiedError: the worker ended, or its reply is none.
        """
        deadline = time.monotonic() + seconds
        body = json.dumps(request).encode()
        rest = memoryview(FRAME.pack(len(body)) + body)
        while rest:
            self.wait(select.POLLOUT, deadline)
            try:
                rest = rest[self.channel.send(rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise WorkerDiedError(str(error)) from error
        (size,) = FRAME.unpack(self.read(FRAME.size, deadline))
        if size > REPLY_BYTES:
            raise WorkerDiedError("sent a reply without end")
        try:
            reply = json.loads(self.read(size, deadline))
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise WorkerDiedError("sent what is no reply")
        return reply

    def read(self, size: int, deadline: float) -> bytes:
        """Read exactly so many bytes."""
        received = bytearray()
        while len(received) < size:
            self.wait(select.POLLIN, deadline)
            try:
                chunk = self.channel.recv(size - len(received))
            except BlockingIOError:
                continue
            except OSError:
                chunk = b""
            if not chunk:
                raise WorkerDiedError("ended")
            received += chunk
        return bytes(received)

    def wait(self, event: int, deadline: float) -> None:
        """Wait until the channel is ready."""
        poll = select.poll()
        poll.register(self.channel, event)
        # The channel first: a reply that is there came in time, however late this process looks for it.
        if not poll.poll(max(0.0, (deadline - time.monotonic()) * 1000.0)):
            raise DeadlineMissedError

    def end(self) -> str:
        """Kill it, and say how it had ended."""
        self.channel.close()
        try:
            return str(self.nursery.ask({"do": "end", "pid": self.pid})["fate"])
        except WorkerDiedError:
            return "ended with its nursery"


class DeadlinePool:
    """Workers for one kind of check, started when they are needed and kept.

    Args:
        kind: a key of `CHECKS`.
        size: most workers at a time; a request waits where all of them are busy.
    """

    def __init__(self, kind: str, size: int = WORKERS) -> None:
        self.kind = kind
        self.spec = CHECKS[kind]
        self.size = size
        self.lock = threading.Lock()
        self.slots = threading.Semaphore(size)
        self.idle: list[Worker] = []
        self.nursery: Nursery | None = None

    def check(self, request: Request, seconds: float) -> Reply | Exceeded:
        """Run one check.

        Args:
            request: plain JSON.
            seconds: from its start on a ready worker.

        Raises:
            MissingExtraError: the package that the check needs is not installed.
            GraderError: the check fails for a reason that is not the text.
        """
        with self.slots:
            for fresh in (False, True):
                worker = self.take(fresh=fresh)
                try:
                    reply = worker.ask(request, seconds)
                except DeadlineMissedError:
                    worker.end()
                    return Exceeded("time")
                except WorkerDiedError:
                    worker.end()
                    continue  # not by this text, perhaps: a new worker shows it
                except BaseException:
                    worker.end()  # interrupted: nobody would know to which request the next reply belongs
                    raise
                return self.received(worker, reply)
            self.probe()
        return Exceeded("crash")

    def check_all(self, requests: Sequence[tuple[Request, float]]) -> list[Reply | Exceeded]:
        """Run many checks, as many at a time as there are workers.

        Raises:
            MissingExtraError: the package that the check needs is not installed.
            GraderError: a check fails for a reason that is not the text.
        """
        if len(requests) <= 1:
            return [self.check(*request) for request in requests]
        with ThreadPoolExecutor(min(self.size, len(requests)), "rlenvs-grader") as executor:
            return list(executor.map(lambda request: self.check(*request), requests))

    def close(self) -> None:
        """End every process. A later check starts new ones."""
        with self.lock:
            idle, self.idle = self.idle, []
            nursery, self.nursery = self.nursery, None
        for worker in idle:
            worker.channel.close()
        if nursery is not None:
            nursery.close()

    def abandon(self) -> None:
        """Let go of processes that belong to the parent of this process."""
        for worker in self.idle:
            worker.channel.close()
        if self.nursery is not None:
            self.nursery.abandon()

    def received(self, worker: Worker, reply: Reply) -> Reply | Exceeded:
        """Judge a reply, and keep the worker if it can go on."""
        if reply.get("verdict") == "out_of_memory":
            worker.end()
            return Exceeded("memory")
        if not isinstance(reply.get("verdict"), str):
            worker.end()
            raise GraderError(f"the {self.kind} checker failed: {reply.get('failure', reply)!s:.500}")
        with self.lock:
            keep = worker.nursery is self.nursery and len(self.idle) < self.size
            if keep:
                self.idle.append(worker)
        if not keep:
            worker.end()
        return reply

    def take(self, *, fresh: bool = False) -> Worker:
        """An idle worker that is alive, or a new one."""
        with self.lock:
            if self.nursery is not None and self.nursery.is_gone:
                for worker in self.idle:
                    worker.channel.close()
                self.idle.clear()
                self.nursery.close()
                self.nursery = None
            if self.nursery is None:
                self.require()
                self.nursery = Nursery(self.kind)
            nursery = self.nursery
            gone = [worker for worker in self.idle if worker.is_gone]
            self.idle = [worker for worker in self.idle if worker not in gone]
            found = self.idle.pop() if self.idle and not fresh else None
        for worker in gone:
            worker.end()
        if found is not None:
            return found
        try:
            return Worker(nursery)
        except WorkerDiedError as error:
            raise GraderError(f"the {self.kind} checker cannot start a process: {error}") from error

    def require(self) -> None:
        """Raise MissingExtraError where the check cannot run. The package is not imported in this process."""
        name = self.spec.needs
        if name in sys.modules and sys.modules[name] is None:
            found = False
        else:
            found = name in sys.modules or importlib.util.find_spec(name) is not None
        if not found:
            raise MissingExtraError(
                f"{name} is not installed: {self.spec.purpose} needs it; "
                f"install it with: pip install 'rlenvs[{self.spec.extra}]'"
            )

    def probe(self) -> None:
        """Raise GraderError if workers die of a text that is known to be harmless."""
        worker = self.take(fresh=True)
        try:
            reply = worker.ask(self.spec.probe, START_SECONDS)
        except (DeadlineMissedError, WorkerDiedError) as error:
            fate = worker.end()
            raise GraderError(f"the {self.kind} checker is broken: its worker {fate or error}") from error
        if reply.get("verdict") != self.spec.expected:
            worker.end()
            raise GraderError(f"the {self.kind} checker is broken: it answered {reply!s:.200}")
        self.received(worker, reply)


pools: dict[str, DeadlinePool] = {}
pools_lock = threading.Lock()


def shared_pool(kind: str) -> DeadlinePool:
    """The pool of this process for a kind of check."""
    with pools_lock:
        if kind not in pools:
            if not pools:
                atexit.register(close_all)
            pools[kind] = DeadlinePool(kind)
        return pools[kind]


def close_all() -> None:
    """End the shared pools of this process."""
    for pool in pools.values():
        pool.close()


def forget_in_child() -> None:
    """After a fork: the processes are the parent's, and another thread may have held a lock."""
    global pools_lock
    pools_lock = threading.Lock()
    for pool in pools.values():
        pool.abandon()
    pools.clear()


os.register_at_fork(after_in_child=forget_in_child)
