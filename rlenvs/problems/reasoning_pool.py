"""Workers that score answers by data sets of reasoning-gym, under a deadline that kills.

They are workers of `rlenvs.graders.deadline` with one more kind of check. A nursery knows only the kinds of its own
process, so that this module is also what such a nursery is started as.
"""

import atexit
import os
import socket
import subprocess
import sys
import threading

from rlenvs.errors import GraderError
from rlenvs.graders.deadline import pool, worker
from rlenvs.graders.deadline.checks import CHECKS, Check
from rlenvs.problems.reasoning_check import PROBE

KIND = "reasoning_gym"

CHECKS[KIND] = Check(
    "rlenvs.problems.reasoning_check",
    "reasoning_gym",
    "reasoning",
    "scoring by a data set of reasoning-gym",
    PROBE,
    "full",
)


class ScorerNursery(pool.Nursery):
    """A nursery that imports this module first.

    Raises:
        GraderError: it cannot start.
    """

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-P", "-m", "rlenvs.problems.reasoning_pool", KIND, str(theirs.fileno())]
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
            reply = self.receive(pool.START_SECONDS)
        except (OSError, ValueError) as error:
            self.close()
            raise GraderError(f"the {KIND} scorer did not start: {error or type(error).__name__}") from error
        except BaseException:
            self.close()
            raise
        if not reply.get("ready"):
            self.close()
            raise GraderError(f"the {KIND} scorer did not start: {reply.get('failure', 'it ended')}")


class ScorerPool(pool.DeadlinePool):
    """The pool of these workers."""

    def take(self, *, fresh: bool = False) -> pool.Worker:
        """An idle worker, or a new one from a nursery of ours."""
        with self.lock:
            if self.nursery is not None and self.nursery.is_gone:
                for idle in self.idle:
                    idle.channel.close()
                self.idle.clear()
                self.nursery.close()
                self.nursery = None
            if self.nursery is None:
                self.require()
                self.nursery = ScorerNursery()
        return super().take(fresh=fresh)


def scorer_pool() -> pool.DeadlinePool:
    """The pool of this process."""
    with pool.pools_lock:
        if KIND not in pool.pools:
            atexit.register(pool.close_all)
            pool.pools[KIND] = ScorerPool(KIND)
        return pool.pools[KIND]


if __name__ == "__main__":
    worker.main(sys.argv[1:])
