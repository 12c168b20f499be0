"""The process that workers are forked from.

Starting Python with everything imported takes half a second, a fork a few milliseconds: that is what a row that has
to be killed costs. The supervisor imports this package, runs no user code, and is the only one that knows when a
process number is free again; it ends with the process that started it, and the workers end with it.
"""

import atexit
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from rlenvs.event_loop import shared_loop

MESSAGE_BYTES = 4096


class SupervisorDiedError(Exception):
    """The supervisor does not answer."""


class Supervisor:
    """This process's end of the connection.

    Raises:
        SupervisorDiedError: by every method, where the supervisor is gone; a new one has to be made then.
    """

    def __init__(self) -> None:
        # From a thread that lives as long as this process: the kernel ends a process with the *thread* that made it.
        self._process, self._control = shared_loop().run(_spawn())
        self._lock = threading.Lock()

    def fork(self, channel: socket.socket, output: int, seconds: float) -> int:
        """Return the process number of a new worker.

        Args:
            channel: its connection.
            output: descriptor of what it prints to.
            seconds: for the supervisor to answer, which includes its own start.
        """
        return int(self._ask({"do": "fork"}, seconds, [channel.fileno(), output])["pid"])

    def end(self, pid: int, seconds: float = 60.0) -> None:
        """Kill a worker and its group, and wait for it. Harmless when it ended by itself."""
        self._ask({"do": "end", "pid": pid}, seconds)

    def fate(self, pid: int, seconds: float = 60.0) -> str | None:
        """Return how a worker ended, in words; None if it goes on."""
        fate = self._ask({"do": "look", "pid": pid}, seconds)["fate"]
        if fate is None:
            return None
        code, status = fate
        return f"was killed by {signal.Signals(status).name}" if code != os.CLD_EXITED else f"exited with code {status}"

    def close(self) -> None:
        """End the supervisor and every worker."""
        self._control.close()
        self._process.kill()
        self._process.wait()

    def abandon(self) -> None:
        """Forget a supervisor that belongs to the parent of this process."""
        self._control.close()
        self._process.returncode = 0  # nothing that this process could wait for

    def _ask(self, request: dict[str, Any], seconds: float, descriptors: Sequence[int] = ()) -> dict[str, Any]:
        with self._lock:
            try:
                self._control.settimeout(seconds)
                socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
                answer = self._control.recv(MESSAGE_BYTES)
                reply: dict[str, Any] = json.loads(answer) if answer else {}
            except OSError:
                reply = {}
            except BaseException:
                self._control.close()  # interrupted: its answer must not be taken for that of the next request
                raise
            if not reply:
                self._control.close()
                raise SupervisorDiedError
            return reply


_lock = threading.RLock()
_current: Supervisor | None = None
_of_parents: list[Supervisor] = []


def supervisor() -> Supervisor:
    """Return this process's supervisor, started when it is first needed."""
    global _current
    with _lock:
        if _current is None:
            _current = Supervisor()
            atexit.register(_close, os.getpid())
        return _current


def discard(dead: Supervisor) -> None:
    """Give up a supervisor that does not answer; the next call of `supervisor` makes another."""
    global _current
    with _lock:
        dead.close()
        if _current is dead:
            _current = None


def _close(owner: int) -> None:
    if _current is not None and os.getpid() == owner:
        discard(_current)


def _forget_in_child() -> None:
    global _current, _lock
    _lock = threading.RLock()
    if _current is not None:
        _current.abandon()
        _of_parents.append(_current)
        _current = None


os.register_at_fork(after_in_child=_forget_in_child)


async def _spawn() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        # -P: a file of the working directory must not stand in for a module.
        command = [sys.executable, "-P", "-m", "rlenvs.wrappers.deadline.worker", str(theirs.fileno())]
        process = subprocess.Popen(
            [*command, str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
    return process, ours
