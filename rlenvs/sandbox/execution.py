"""One execution as the grader sees it: its connections, its clock and its end."""

import contextlib
import fcntl
import functools
import math
import os
import select
import signal
import socket
import time
import weakref
from dataclasses import asdict, dataclass, replace

from rlenvs.errors import SandboxError
from rlenvs.sandbox.codec import encode
from rlenvs.sandbox.frames import CHUNK, REPORT, STARTED, FrameReader, framed
from rlenvs.sandbox.limits import Limits
from rlenvs.sandbox.result import Status
from rlenvs.sandbox.worker import ANSWER_SECONDS, Worker, steady

SEALS = fcntl.F_ADD_SEALS
UNCHANGEABLE = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
SIGNAL_MEANING: dict[int, tuple[Status, str]] = {
    signal.SIGXCPU: ("timeout", "took too much processor time"),
    signal.SIGKILL: ("memory", "was killed by the kernel, which happens when memory runs out"),
    signal.SIGSYS: ("crash", "made a system call that is forbidden"),
}


LONGEST_WAIT = (1 << 31) - 1
"""Milliseconds that poll(2) can wait at a time; whoever waits for longer asks again."""
CPU_LIMIT_SHARE = 0.5
"""A process that the kernel kills has used more than this share of its seconds, if that was for processor time:
the kernel counts what it limits in another way than what it reports, some tenths of a second apart."""
QUIET_SECONDS = 0.005
"""What an execution sends to which nobody answers is read at its end, or from then on. Most have ended by then, and
each message by itself would wake the grader. How much it can send meanwhile the kernel bounds."""
FRAME_OVERHEAD = 1024
"""What a message may hold on top of an answer: its kind, or the text of an exception."""


def most_bytes(answers: int, limits: Limits) -> int:
    """Return how much an execution may send in all."""
    return (answers + 1) * FRAME_OVERHEAD + 16 * limits.result_bytes


@dataclass(frozen=True, slots=True)
class Ending:
    """How an execution ended, from what the kernel and the grader's clock say."""

    status: Status
    reason: str
    exit_code: int | None
    wall_s: float
    cpu_s: float
    max_rss_mb: float


live: "weakref.WeakSet[Execution]" = weakref.WeakSet()
"""Executions of this process, whose connections a forked child has to close."""


class Watch:
    """Waits for many executions at a time."""

    def __init__(self) -> None:
        self.poll = select.poll()
        self.executions: dict[int, Execution] = {}

    def add(self, descriptor: int, execution: "Execution", event: int = select.POLLIN) -> None:
        """Wait for a descriptor too."""
        self.executions[descriptor] = execution
        self.poll.register(descriptor, event)

    def remove(self, descriptor: int) -> None:
        """Wait for a descriptor no longer."""
        if self.executions.pop(descriptor, None) is not None:
            self.poll.unregister(descriptor)

    def wait(self, seconds: float) -> None:
        """Let executions take what came; return after so many seconds at the latest."""
        for descriptor, event in self.poll.poll(min(max(0.0, seconds * 1000.0), LONGEST_WAIT)):
            execution = self.executions.get(descriptor)
            if execution is not None:  # it may have ended with an earlier event
                execution.take(descriptor, event)


def signal_name(number: int) -> str:
    """Return what a signal is called; most of the real-time signals have no name."""
    return signal.Signals(number).name if number in signal.Signals.__members__.values() else f"signal {number}"


@functools.lru_cache(maxsize=256)
def fork_request(mode: str, limits: Limits) -> bytes:
    """Return what a worker is told about an execution."""
    return encode((mode, asdict(limits)))


def unchangeable_file(content: bytes) -> int:
    """Return a descriptor from which the content can be read, without a file system."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, SEALS, UNCHANGEABLE)
    return descriptor


class Execution:
    """One execution.

    Args:
        worker: forks it.
        watch: waits for it.
        mode: what the process is to do with its request.
        request: sent to it on the channel.
        limits: what it may use.
        max_bytes: most bytes of all that it sends on the channel.
        stdin: what it reads there.
        is_quiet: nobody answers what it sends, so that reading can wait for `QUIET_SECONDS`.

    Raises:
        WorkerDiedError: the worker is gone.
        SandboxError: this process has no descriptors left for it.
    """

    def __init__(
        self,
        worker: Worker,
        watch: Watch,
        mode: str,
        request: bytes,
        limits: Limits,
        max_bytes: int,
        stdin: bytes = b"",
        *,
        is_quiet: bool = False,
    ) -> None:
        self.worker = worker
        self.watch = watch
        self.limits = limits
        self.reader = FrameReader(limits.result_bytes + FRAME_OVERHEAD, max_bytes)
        self.pending = memoryview(framed(request))
        self.stopped: tuple[Status, str] | None = None
        self.ending: Ending | None = None
        self.is_lost = False
        self.has_started = False
        self.is_listening = False
        self.ends: list[socket.socket] = []
        self.outputs: dict[int, bytearray] = {}
        given: list[int] = []
        with steady:
            try:
                live.add(self)
                self.open(given, stdin)
                self.started = time.monotonic()
                self.deadline = self.started + limits.wall_s
                worker.start(fork_request(mode, limits), given)
            except BaseException as error:
                self.close()
                if isinstance(error, OSError):
                    raise SandboxError(f"an execution cannot be started: {error}") from error
                raise
            finally:
                for descriptor in given:
                    os.close(descriptor)
        watch.add(self.lease.fileno(), self)
        self.listens_at = self.started + QUIET_SECONDS
        if not is_quiet:
            self.listen()
        self.send(b"")

    def open(self, given: list[int], stdin: bytes) -> None:
        """Open the connections.

        Args:
            given: takes the ends that are for the other side: the lease, the channel, stdout, stderr and stdin.
            stdin: what it reads there.
        """
        for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
            ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
            self.ends.append(ours)
            given.append(theirs.detach())
        self.lease, self.channel = self.ends
        self.channel.setblocking(False)
        for _ in ("stdout", "stderr"):
            read, write = os.pipe()
            self.outputs[read] = bytearray()
            given.append(write)
            os.set_blocking(read, False)  # whoever else got hold of the other end must not keep us waiting
        self.stdout, self.stderr = self.outputs.values()
        if stdin:
            given.append(unchangeable_file(stdin))

    def listen(self) -> None:
        """From now on take what it sends as it comes."""
        self.is_listening = True
        for descriptor in (self.channel.fileno(), *self.outputs):
            self.watch.add(descriptor, self)

    @property
    def next_look(self) -> float:
        """When the clock is to be looked at again, if nothing comes."""
        return self.deadline if self.is_listening else min(self.deadline, self.listens_at)

    def send(self, request: bytes) -> None:
        """Send more on the channel, now or when there is room."""
        if request:
            self.pending = memoryview(bytes(self.pending) + framed(request))
        if self.channel.fileno() < 0:
            return
        try:
            while self.pending:
                self.pending = self.pending[self.channel.send(self.pending) :]
        except BlockingIOError:
            self.listen()
            self.watch.add(self.channel.fileno(), self, select.POLLIN | select.POLLOUT)
            return
        except OSError:  # it closed its end: how it ends tells the rest
            self.pending = memoryview(b"")
        if self.is_listening:
            self.watch.add(self.channel.fileno(), self)

    def take(self, descriptor: int, event: int) -> None:
        """Take what came on a descriptor."""
        if descriptor == self.channel.fileno():
            if event & select.POLLOUT:
                self.send(b"")
            if event & ~select.POLLOUT:
                self.take_frames()
        elif descriptor == self.lease.fileno():
            self.take_report()
        else:
            self.take_output(descriptor)

    def take_frames(self) -> bool:
        """Read the channel once; False at its end."""
        try:
            data = self.channel.recv(CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self.watch.remove(self.channel.fileno())
            return False
        if not self.has_started:
            self.has_started, data = True, data[len(STARTED) :]
        if not self.reader.feed(data):
            self.stop("output", "sent more than an answer may hold")
            return False
        return True

    def take_output(self, descriptor: int) -> bool:
        """Read stdout or stderr once; False at its end, or where it is full."""
        output = self.outputs[descriptor]
        try:
            data = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        output += data
        if not data or len(output) > self.limits.output_bytes:
            self.watch.remove(descriptor)
        if len(output) > self.limits.output_bytes:
            del output[self.limits.output_bytes :]
            name = "stdout" if output is self.stdout else "stderr"
            self.stop("output", f"wrote more than {self.limits.output_bytes} bytes to {name}")
            return False
        return bool(data)

    def take_report(self) -> None:
        """Read how it ended, and what it left behind."""
        report = b""
        for _ in range(2):  # a kill that came too late makes the kernel say so first, and the report after that
            with contextlib.suppress(OSError):
                report = self.lease.recv(CHUNK)
                break
        if len(report) != REPORT.size:  # the worker is gone, or could not fork
            self.lose()
            return
        if not self.is_listening:
            self.listen()
        while self.stopped is None and self.channel.fileno() in self.watch.executions and self.take_frames():
            continue
        for descriptor in [each for each in self.outputs if each in self.watch.executions]:
            while self.stopped is None and self.take_output(descriptor):
                continue
        if not self.has_started and self.stopped is None:  # no code can bring that about
            self.lose()
            return
        status, cpu_s, rss_kb = REPORT.unpack(report)
        how, reason = self.judged(status, cpu_s)
        code = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - self.started
        self.ending = Ending(how, reason, code if code >= 0 else None, wall_s, cpu_s, rss_kb / 1024)
        self.close()

    def judged(self, status: int, cpu_s: float) -> tuple[Status, str]:
        """Return what a wait status means here, and why it is not "ok"."""
        if self.stopped is not None:
            return self.stopped
        code = os.waitstatus_to_exitcode(status)
        allowed = self.limits.cpu_s
        killed = code == -signal.SIGKILL
        if allowed is not None and (cpu_s > allowed or (killed and cpu_s > CPU_LIMIT_SHARE * math.ceil(allowed))):
            return "timeout", f"took more than {allowed:g} s of processor time"
        if code >= 0:
            return "ok", ""
        return SIGNAL_MEANING.get(-code, ("crash", f"was ended by {signal_name(-code)}"))

    def stop(self, status: Status, reason: str) -> None:
        """Have it killed. The first reason counts, also when what it sent is read after its end."""
        if self.stopped is not None:
            return
        self.stopped = (status, reason)
        if self.ending is not None:
            self.ending = replace(self.ending, status=status, reason=reason)
        else:
            self.deadline = time.monotonic() + ANSWER_SECONDS
            with contextlib.suppress(OSError):
                self.lease.send(b"k")

    def expire(self, now: float) -> None:
        """Look at the clock."""
        if not self.is_listening and now >= self.listens_at and self.ending is None and not self.is_lost:
            self.listen()
        if now < self.deadline or self.ending is not None or self.is_lost:
            return
        if self.stopped is None:
            self.stop("timeout", f"took more than {self.limits.wall_s:g} s")
        else:  # the worker does not even report that a process is dead
            self.worker.kill()
            self.lose()

    def lose(self) -> None:
        """Give up on it: its worker cannot say how it ended."""
        if not self.has_started:  # else code that ends its worker would pass for code that never ran
            self.take_frames()
        self.is_lost = True
        self.close()

    def close(self) -> None:
        """Close every connection; if it still runs it is killed."""
        for end in self.ends:
            if end.fileno() >= 0:
                self.watch.remove(end.fileno())
                end.close()
        for descriptor in list(self.outputs):
            self.watch.remove(descriptor)
            os.close(descriptor)
        self.outputs = {}
