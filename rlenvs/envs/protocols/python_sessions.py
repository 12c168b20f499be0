"""Python sessions of many episodes, alive between their messages or brought back by running their cells again."""

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from rlenvs.errors import SandboxError
from rlenvs.sandbox import Limits, Result, SandboxPool, Session, default_pool

MOST_IDLE = 256
DESCRIPTORS_OF_SESSION = 4
SHARE_OF_DESCRIPTORS = 4
"""At most one in so many descriptors that this process may open belongs to an idle session."""


class Work(NamedTuple):
    """Cells to run behind others."""

    past: Sequence[str]
    """What the session has run."""
    cells: Sequence[str]
    """What it is to run."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of the cells of one episode."""

    results: tuple[Result, ...]
    """One for each cell."""
    ended: tuple[bool, ...]
    """For each cell, whether it ended the session."""
    past: tuple[str, ...]
    """The cells that the state of the session now comes from: none behind one that ended it."""


class IdleSessions:
    """Sessions by what was run in them, at most so many; those that were used least recently are closed first.

    Whoever takes a session has it alone. Two with the same cells are the same, so it does not matter which one it is.

    Args:
        capacity: most sessions.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.lock = threading.Lock()
        self.entries: OrderedDict[Session, tuple[bytes, SandboxPool]] = OrderedDict()
        self.by_key: dict[bytes, list[Session]] = {}

    def take(self, key: bytes, pool: SandboxPool) -> Session | None:
        """A session of a pool that has run exactly these cells, if there is one."""
        with self.lock:
            for session in reversed(self.by_key.get(key, ())):
                if self.entries[session][1] is pool:
                    self._forget(session)
                    return session
        return None

    def put(self, key: bytes, session: Session, pool: SandboxPool) -> None:
        """Keep a session until it is taken, or others are more recent."""
        with self.lock:
            self.entries[session] = key, pool
            self.by_key.setdefault(key, []).append(session)
            surplus = [each for each, (_, its) in self.entries.items() if its.is_closed]
            surplus += list(self.entries)[: max(0, len(self.entries) - self.capacity)]
            surplus = list(dict.fromkeys(surplus))
            for old in surplus:
                self._forget(old)
        for old in surplus:
            old.close()

    def close(self) -> None:
        """Close all of them."""
        with self.lock:
            sessions = list(self.entries)
            self.entries.clear()
            self.by_key.clear()
        for session in sessions:
            session.close()

    def _forget(self, session: Session) -> None:
        key, _ = self.entries.pop(session)
        same = self.by_key[key]
        same.remove(session)
        if not same:
            del self.by_key[key]


def descriptors_allowed() -> int:
    """How many descriptors this process may open."""
    try:
        import resource
    except ImportError:  # not on Linux, where there is no sandbox either
        return 1024
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 2**16 if soft == resource.RLIM_INFINITY else min(soft, 2**16)


idle = IdleSessions(max(1, min(MOST_IDLE, descriptors_allowed() // SHARE_OF_DESCRIPTORS // DESCRIPTORS_OF_SESSION)))
"""Those of this process."""


def key_of(cells: Sequence[str], limits: Limits) -> bytes:
    """What stands for the state that cells lead to."""
    chain = hashlib.blake2b(repr(limits).encode(), digest_size=16).digest()
    for cell in cells:
        chain = hashlib.blake2b(chain + cell.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return chain


def run_cells(works: Sequence[Work], limits: Limits) -> list[Done]:
    """Run the cells of many episodes, as many episodes at a time as the sandbox has workers.

    Raises:
        SandboxError: a session failed twice for a reason that no cell can provoke, or there can be no sandbox.
    """
    pool = default_pool()
    threads = min(len(works), pool.size)
    if threads <= 1:
        return [run_work(work, limits, pool) for work in works]
    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(lambda work: run_work(work, limits, pool), works))


def run_work(work: Work, limits: Limits, pool: SandboxPool) -> Done:
    """Run the cells of one episode, and keep its session for the next ones."""
    past = list(work.past)
    results: list[Result] = []
    ended: list[bool] = []
    session = idle.take(key_of(past, limits), pool)
    try:
        for cell in work.cells:
            session, result = run_cell(session, past, cell, limits, pool)
            results.append(result)
            ended.append(session is None)
            past = [*past, cell] if session is not None else []
    except BaseException:
        if session is not None:
            session.close()
        raise
    if session is not None:
        idle.put(key_of(past, limits), session, pool)
    return Done(tuple(results), tuple(ended), tuple(past))


def run_cell(
    session: Session | None, past: Sequence[str], cell: str, limits: Limits, pool: SandboxPool
) -> tuple[Session | None, Result]:
    """Run one cell behind others; the session comes back unless the cell ended it.

    Where there is no session, or where it was lost by no fault of the cells, a new one runs the cells before it first.
    """
    result = None
    for _ in range(2):
        if session is None:
            session, result = replayed(past, limits, pool)
        if session is not None:
            result = session.run(cell)
        assert result is not None, "there is a session, or the reason why there is none"
        if session is not None and not session.is_closed:
            return session, result
        if session is not None:
            session.close()
            session = None
        if result.status != "error":
            return None, result
    assert result is not None, "two attempts were made"
    raise SandboxError(f"a Python session failed twice, by no fault of what it ran: {result.reason}")


def replayed(past: Sequence[str], limits: Limits, pool: SandboxPool) -> tuple[Session | None, Result | None]:
    """A session that has run these cells; or what came of the cell that, this time, ended it."""
    session = pool.session(limits)
    result = None
    try:
        for cell in past:
            result = session.run(cell)
            if session.is_closed:
                return None, result
    except BaseException:
        session.close()
        raise
    return session, result


def release(cells: Sequence[str], limits: Limits) -> None:
    """Close the session that has run these cells, if it is kept: its episode is over."""
    if cells:
        session = idle.take(key_of(cells, limits), default_pool())
        if session is not None:
            session.close()


def forget_in_child() -> None:
    """After a fork: the sessions are the parent's, and another thread may have held the lock."""
    global idle
    idle = IdleSessions(idle.capacity)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_in_child)
