"""Whether whoever runs a trial is still there.

On the same machine that is seen at once: the process is gone, or its number belongs to a younger one. From another
machine, or when the process is there but stopped, it is seen by signs of life that do not change. Clocks of different
machines are never compared: what counts is how long the observer itself, by a clock that is never set, has seen the
same sign.
"""

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial

from rlenvs.agents.tuning.engine.storage import storage_failures
from rlenvs.agents.tuning.engine.tickets import OWNER

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["Heart", "Observer", "Worker"]

BEAT = "rlenvs:beat"

DEAD_STATES = ("Z", "X", "x")
"""A process that ended and whose parent has not yet asked how is still in the table."""

LONGEST_FAREWELL_S = 5.0
"""A storage that hangs holds the thread up, and is to hold up nothing else."""

AT_WORK: set[str] = set()
"""Workers of this very process: one that is not here has left its loop, though the process lives."""


@dataclass(frozen=True)
class Worker:
    """Who runs a trial.

    Attributes:
        id: unique to one worker loop.
        host: name of its machine, to be shown.
        machine: this boot of the machine and the space of process numbers that `pid` belongs to.
        pid: its process.
        started: when the process began, in the kernel's ticks; a number that is given again has another.
    """

    id: str
    host: str
    machine: str
    pid: int
    started: int

    @classmethod
    def here(cls) -> "Worker":
        """Return a worker of this process."""
        return cls(uuid.uuid4().hex[:12], socket.gethostname(), this_machine(), os.getpid(), started_at(os.getpid()))

    @classmethod
    def of(cls, trial: FrozenTrial) -> "Worker | None":
        """Return whoever claimed a trial; None where the claim was not signed yet."""
        data: Any = trial.system_attrs.get(OWNER)
        return None if data is None else cls(**{key: value for key, value in data.items() if key != "index"})

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def is_gone(self) -> bool:
        """Say whether it certainly is; a process of another machine never certainly is."""
        if self.machine != this_machine():
            return False
        if self.pid == os.getpid() and self.started == started_at(self.pid):
            return self.id not in AT_WORK
        return started_at(self.pid) != self.started

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Count as there."""
        AT_WORK.add(self.id)
        try:
            yield
        finally:
            AT_WORK.discard(self.id)


@cache
def this_machine() -> str:
    """Name this boot of this machine and the space of process numbers we are in; containers have their own."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{uuid.getnode():x}"


def started_at(pid: int) -> int:
    """Return when a process began, in the kernel's ticks since boot; -1: there is none, or it has ended."""
    try:
        # The name of the program, in parentheses, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return -1
    return -1 if fields[0] in DEAD_STATES else int(fields[19])


class Observer:
    """Remembers which signs of life were seen, and for how long they have not changed.

    Args:
        grace_s: seconds after which an unchanged sign means that nobody is there.
        clock: seconds by a clock that is never set.
    """

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.grace_s = grace_s
        self.clock = clock
        self._seen: dict[int, tuple[object, float]] = {}

    def cause_of_death(self, trial: FrozenTrial) -> str | None:
        """Say why nobody runs a running trial any more; None: somebody does, as far as one can tell."""
        owner = Worker.of(trial)
        if owner is not None and owner.is_gone():
            return f"{owner} ended"
        sign = (None if owner is None else owner.id, trial.system_attrs.get(BEAT))
        now = self.clock()
        seen, since = self._seen.get(trial.number, (None, now))
        if seen != sign or trial.number not in self._seen:
            self._seen[trial.number] = (sign, now)
            return None
        if now - since <= self.grace_s:
            return None
        who = "whoever claimed it" if owner is None else str(owner)
        return f"no sign of life from {who} for {now - since:.0f} s"


class Heart:
    """Gives signs of life, from one thread, for the trial that its worker runs at the time.

    A storage that does not answer is tried again; a trial that others took away is left alone.

    Args:
        storage: of the study.
        every_s: seconds between two signs.
    """

    def __init__(self, storage: "BaseStorage", every_s: float) -> None:
        self.storage = storage
        self.every_s = every_s
        self._trial_id: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="signs of life of a worker", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._ended.set()
        self._thread.join(LONGEST_FAREWELL_S)

    @contextlib.contextmanager
    def beats_for(self, trial_id: int) -> Iterator[None]:
        """Give signs of life for a trial while the body runs."""
        self._trial_id = trial_id
        try:
            yield
        finally:
            self._trial_id = None

    def _beat(self) -> None:
        # Starting a thread for each trial would cost more than everything else that is done for a trial.
        failures: tuple[type[BaseException], ...] = (UpdateFinishedTrialError, KeyError, *storage_failures())
        count = 0
        while not self._ended.wait(self.every_s):
            trial_id = self._trial_id
            if trial_id is not None:
                count += 1
                with contextlib.suppress(*failures):
                    self.storage.set_trial_system_attr(trial_id, BEAT, count)
