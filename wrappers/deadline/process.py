"""A worker process and the channel to it.

Requests are pickles, because they come from this process; replies are JSON, because what scores hostile text may have
been taken over by it: a reply is read as data and can run nothing. What user code prints goes elsewhere.
"""

import io
import json
import os
import pickle
import select
import socket
import struct
import sys
import time
import weakref
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from rlenvs.wrappers.deadline.supervisor import Supervisor, SupervisorDiedError, discard, supervisor

FRAME = struct.Struct(">Q")
OUTPUT_TAIL = 2000  # bytes of what a worker printed, kept for error messages
OBITUARY_S = 0.5  # longest wait for how a worker ended
REPLY_LIMIT = 1 << 28  # bytes of one reply; far above any state, so that a flood ends
_CHUNK = 1 << 16


class DeadlineMissedError(Exception):
    """No reply in time."""


class WorkerDiedError(Exception):
    """The worker ended, or said what no worker says; the message tells what is known."""


class WorkerProcess:
    """A process that runs `deadline_worker.Worker`, in a session of its own.

    Args:
        component: a cloudpickled component.
        state: its state, None for that of the pickle.
        memory_mb: limit of the worker's address space in MiB; None for no limit.
        start_timeout_s: seconds until the worker has to be ready.

    Raises:
        WorkerDiedError: it could not be started or could not load the component.
        DeadlineMissedError: it was not ready in time.
    """

    def __init__(
        self, component: bytes, state: dict[str, Any] | None, memory_mb: int | None, start_timeout_s: float
    ) -> None:
        self.owner = os.getpid()
        self._received = bytearray()
        self._printed = b""
        self._start_timeout_s = start_timeout_s
        self._supervisor, self._pid, self._channel, self._output = _forked(start_timeout_s)
        self._let_go = weakref.finalize(self, _end, self._channel, self._output)
        try:
            self.send(
                "start",
                {
                    "component": component,
                    "state": state,
                    "memory_mb": memory_mb,
                    "environment": dict(os.environ),
                    "folder": os.getcwd(),
                    "path": sys.path,
                },
            )
            reply = self.receive(start_timeout_s)
            if reply["kind"] != "done":
                raise WorkerDiedError(f"could not start: {reply.get('text')}")
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._pid

    @property
    def is_gone(self) -> bool:
        """Whether the worker ended while nobody asked it anything, or speaks unasked, which ends it here."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        return not self._let_go.alive or bool(self._received) or bool(poll.poll(0))

    def send(self, operation: str, payload: Any) -> None:
        """Send a request.

        Raises:
            WorkerDiedError: the worker is gone.
            DeadlineMissedError: it does not read.
        """
        data = memoryview(_pickled((operation, payload)))
        deadline = time.monotonic() + self._start_timeout_s
        for part in (memoryview(FRAME.pack(len(data))), data):
            while part:
                self._wait(select.POLLOUT, deadline)
                try:
                    part = part[self._channel.send(part) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise WorkerDiedError(self._obituary()) from None

    def receive(self, seconds: float) -> dict[str, Any]:
        """Return the next reply.

        Raises:
            WorkerDiedError: the worker ended, or its reply is none.
            DeadlineMissedError: nothing came within `seconds`.
        """
        deadline = time.monotonic() + seconds
        searched = 0
        while (end := self._received.find(b"\n", searched)) < 0:
            searched = len(self._received)
            if searched > REPLY_LIMIT:
                raise WorkerDiedError("sent a reply without end")
            self._wait(select.POLLIN, deadline)
            try:
                chunk = self._channel.recv(_CHUNK)
            except BlockingIOError:
                continue
            except OSError:
                chunk = b""
            if not chunk:
                raise WorkerDiedError(self._obituary())
            self._received += chunk
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not (isinstance(reply, dict) and isinstance(reply.get("kind"), str)):
            raise WorkerDiedError(f"sent what is no reply: {line[:80]!r}")
        return reply

    def kill(self) -> None:
        """End the worker and what it started. Harmless when it is gone."""
        if self._let_go.alive and self.owner == os.getpid():
            try:
                self._supervisor.end(self._pid)
            except SupervisorDiedError:
                discard(self._supervisor)  # the worker ends with it
        self._let_go()

    def _wait(self, event: int, deadline: float) -> None:
        """Wait until the channel is ready; what the worker prints is read meanwhile, so that it never blocks."""
        output = self._output
        while True:
            poll = select.poll()
            poll.register(self._channel, event)
            if not output.closed:
                poll.register(output, select.POLLIN)
            remaining = deadline - time.monotonic()
            ready = dict(poll.poll(max(0.0, remaining * 1000.0)))
            if not output.closed and output.fileno() in ready:
                printed = os.read(output.fileno(), _CHUNK)
                self._printed = (self._printed + printed)[-OUTPUT_TAIL:]
                if not printed:
                    output.close()
            # The channel first: a reply that is there came in time, however late this process looks for it.
            if self._channel.fileno() in ready:
                return
            if remaining <= 0:
                raise DeadlineMissedError

    def _obituary(self) -> str:
        """Say how the worker ended: it closes its channel a moment before."""
        self._drain()
        until = time.monotonic() + OBITUARY_S
        try:
            while (fate := self._supervisor.fate(self._pid)) is None and time.monotonic() < until:
                time.sleep(0.002)
        except SupervisorDiedError:
            discard(self._supervisor)
            fate = "ended with its supervisor"
        lines = self._printed.decode("utf-8", "replace").strip().splitlines()
        how = fate or "closed its channel"
        return f"{how}; the last that it printed: {lines[-1][:200]!r}" if lines else how

    def _drain(self) -> None:
        """Read the rest of what a dying worker printed, for a moment at most."""
        output = self._output
        if output.closed:
            return
        poll, until = select.poll(), time.monotonic() + OBITUARY_S
        poll.register(output, select.POLLIN)
        while (left := until - time.monotonic()) > 0 and poll.poll(left * 1000.0):
            printed = os.read(output.fileno(), _CHUNK)
            if not printed:
                return
            self._printed = (self._printed + printed)[-OUTPUT_TAIL:]


def _forked(seconds: float) -> tuple[Supervisor, int, socket.socket, io.FileIO]:
    """Have a worker forked; with a new supervisor where the old one is gone."""
    for attempt in range(2):
        parent = supervisor()
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        output = io.FileIO(read)
        try:
            pid = parent.fork(theirs, write, seconds)
        except BaseException as error:
            _end(ours, output)
            if not isinstance(error, SupervisorDiedError):
                raise
            discard(parent)
            if attempt:
                raise WorkerDiedError("could not start: its supervisor does not answer") from None
        else:
            ours.setblocking(False)
            return parent, pid, ours, output
        finally:
            theirs.close()
            os.close(write)
    raise AssertionError("the loop returns or raises")


def component_pickle(component: object) -> bytes:
    """Return a pickle that holds what another process could not import: of scripts, notebooks, and files by path."""
    kinds = [*type(component).__mro__, getattr(component, "function", None)]
    names = {str(getattr(kind, "__module__", "")) for kind in kinds}
    homeless = [sys.modules[name] for name in sorted(names) if name in sys.modules and not _is_importable(name)]
    for module in homeless:
        cloudpickle.register_pickle_by_value(module)
    try:
        data: bytes = cloudpickle.dumps(component)
    finally:
        for module in homeless:
            cloudpickle.unregister_pickle_by_value(module)
    return data


def _is_importable(name: str) -> bool:
    """Whether an import finds the module, which one that was loaded from its path may not be."""
    package = name.partition(".")[0]
    # Not importlib.util.find_spec: that is content with a module that is loaded.
    return package == "__main__" or any(finder.find_spec(package, None) for finder in sys.meta_path)


def _pickled(value: Any) -> bytes:
    """Return a pickle: the plain one where it does, because it is several times faster."""
    try:
        data = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        data = b"__main__"
    if b"__main__" in data:  # a class of the script, perhaps, which is another one in the worker
        data = cloudpickle.dumps(value)
    return data


def _end(channel: socket.socket, output: io.FileIO) -> None:
    """Let go of a worker that nobody can ask any more: it ends when its channel is closed."""
    channel.close()
    output.close()
