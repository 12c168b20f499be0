"""A worker process and the channel to it.

Requests are pickles, because they come from this process; replies are JSON, because what scores hostile text may have
been taken over by it: a reply is read as data and can run nothing. What user code prints goes elsewhere.
"""

import json
import os
import pickle
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import weakref
from typing import Any

import cloudpickle  # type: ignore[import-untyped]

from rlenvs.wrappers.event_loop import shared_loop

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
    """A `deadline_worker` in a session of its own, with its group of processes.

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
        # From a thread that lives as long as this process: the kernel ends a worker with the *thread* that made it.
        self._process, self._channel = shared_loop().run(_spawn())
        self._end = weakref.finalize(self, _end, self._process, self._channel, self.owner)
        try:
            self.send(
                "start",
                {
                    "component": component,
                    "state": state,
                    "memory_mb": memory_mb,
                    "python_path": os.environ.get("PYTHONPATH"),
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
        return self._process.pid

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
        self._end()

    def _wait(self, event: int, deadline: float) -> None:
        """Wait until the channel is ready; what the worker prints is read meanwhile, so that it never blocks."""
        output = self._process.stdout
        assert output is not None
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
        self._drain()
        end = _how_it_ended(self._process.pid)
        how = "closed its channel"
        if end is not None:
            status = end.si_status
            killed = end.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
            how = f"was killed by {signal.Signals(status).name}" if killed else f"exited with code {status}"
        lines = self._printed.decode("utf-8", "replace").strip().splitlines()
        return f"{how}; the last that it printed: {lines[-1][:200]!r}" if lines else how

    def _drain(self) -> None:
        """Read the rest of what a dying worker printed, for a moment at most."""
        output = self._process.stdout
        assert output is not None
        poll, until = select.poll(), time.monotonic() + OBITUARY_S
        if output.closed:
            return
        poll.register(output, select.POLLIN)
        while (left := until - time.monotonic()) > 0 and poll.poll(left * 1000.0):
            printed = os.read(output.fileno(), _CHUNK)
            if not printed:
                return
            self._printed = (self._printed + printed)[-OUTPUT_TAIL:]


def _how_it_ended(pid: int) -> "os.waitid_result | None":
    """Return how a child ended, without waiting for it as `Popen` does; None if it goes on or is not a child."""
    until = time.monotonic() + OBITUARY_S
    while True:
        try:
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:
            return None
        # A process closes its channel a moment before it has ended.
        if end is not None or time.monotonic() > until:
            return end
        time.sleep(0.002)


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
        return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except (pickle.PicklingError, AttributeError, TypeError):
        data: bytes = cloudpickle.dumps(value)
        return data


async def _spawn() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    with theirs:
        # -P: a file of the working directory must not stand in for a module.
        command = [sys.executable, "-P", "-m", "rlenvs.wrappers.deadline_worker", str(theirs.fileno())]
        process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    ours.setblocking(False)
    return process, ours


def _end(process: subprocess.Popen[bytes], channel: socket.socket, owner: int) -> None:
    channel.close()
    if process.stdout is not None:
        process.stdout.close()
    if os.getpid() != owner:
        process.returncode = 0  # a forked copy of this object: the process is its parent's to end
    elif process.returncode is None:
        try:
            # Before it is waited for: until then nobody else can have its number.
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()  # it has not come to be the leader of a group yet
        process.wait()
