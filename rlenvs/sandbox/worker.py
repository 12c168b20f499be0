"""A worker as the grader sees it: a process that was started clean, and to which executions are handed."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

from rlenvs.errors import SandboxError
from rlenvs.sandbox.codec import CodecError, decode

BOOTSTRAP = str(Path(__file__).with_name("inside") / "bootstrap.py")
START_SECONDS = 60.0
"""Until a worker has loaded its modules and locked itself. It takes a tenth of a second on a quiet machine."""
ANSWER_SECONDS = 1.0
"""A worker that does not answer for this long is doubtful, and is replaced."""
MESSAGE_BYTES = 1 << 16
FLAGS = ("-s", "-P", "-S", "-B", "-X", "utf8")
"""No user's, script's or site's packages. Not -I: it would leave PYTHONHASHSEED, the whole environment, unread."""


steady = threading.RLock()
"""Held where a fork would copy connections that are half made: a copy of an end that nobody closes keeps it open."""
os.register_at_fork(before=steady.acquire, after_in_parent=steady.release, after_in_child=steady.release)


class WorkerDiedError(Exception):
    """The worker ended while it was needed, or does not answer."""


class Seat:
    """Held by a session as long as it lives: how many there are says how busy a worker is."""

    __slots__ = ("__weakref__",)


class Worker:
    """One worker.

    Args:
        settings: what it is told before anything else, encoded.
        uid: the user it becomes; None if it stays who it is.

    Raises:
        SandboxError: it cannot be started.
    """

    def __init__(self, settings: bytes, uid: int | None = None) -> None:
        self.uid = uid
        self.is_ready = False
        self.is_killed = False
        self.readying = threading.Lock()
        self.seats: weakref.WeakSet[Seat] = weakref.WeakSet()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # Where the interpreter itself needs a library path it needs it here; its children never see it.
        environment = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        try:
            with theirs:
                self.process = subprocess.Popen(
                    [sys.executable, *FLAGS, BOOTSTRAP, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,  # Ctrl-C is for the grader
                    env={**environment, "PYTHONHASHSEED": "0", "LD_BIND_NOW": "1"},
                )
            self.control.send(settings)
        except OSError as error:
            self.control.close()
            raise SandboxError(f"a sandbox worker cannot be started: {error}") from error

    def wait_until_ready(self) -> None:
        """Return when it has locked itself.

        Raises:
            SandboxError: it cannot, and says why.
            WorkerDiedError: it ended, or says nothing.
        """
        with self.readying:
            if not self.is_ready:
                self.hear_ready()

    def hear_ready(self) -> None:
        """Read what it says about its start."""
        try:
            self.control.settimeout(START_SECONDS)
            reply = decode(self.control.recv(MESSAGE_BYTES))
        except (OSError, CodecError) as error:  # an end of the stream is no message either
            self.kill()
            raise WorkerDiedError(f"{type(error).__name__}: {error}") from error
        if "ready" not in reply:
            self.kill()
            raise SandboxError(f"a sandbox worker did not start: {reply['failure']}")
        self.control.settimeout(ANSWER_SECONDS)
        self.is_ready = True

    @property
    def is_gone(self) -> bool:
        """Whether nothing can be asked of it any more."""
        return self.control.fileno() < 0 or self.process.poll() is not None

    def seat(self) -> Seat:
        """Give a session a seat."""
        self.seats.add(seat := Seat())
        return seat

    def start(self, request: bytes, descriptors: Sequence[int]) -> None:
        """Hand it an execution.

        Raises:
            WorkerDiedError: it is gone.
        """
        try:
            socket.send_fds(self.control, [request], descriptors)
        except OSError as error:
            raise WorkerDiedError(str(error)) from error

    def kill(self) -> None:
        """End it and all its executions at once."""
        self.control.close()
        if not self.is_killed:  # once: afterwards its number may be another's
            self.is_killed = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Let it end, and wait for that."""
        self.control.close()
        try:
            self.process.wait(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def abandon(self) -> None:
        """Let go of a worker that belongs to the parent of this process."""
        self.control.close()
        self.process.returncode = 0  # nothing that this process could wait for
