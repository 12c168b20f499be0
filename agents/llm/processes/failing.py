"""How a run of several processes ends when one fails: all end, and one of them says why, once."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch.distributed.distributed_c10d import Store

from rlenvs.agents.llm.processes.data_parallel import describe, lost_peer
from rlenvs.agents.llm.processes.launch import Launch
from rlenvs.errors import PeerError, UserError

FAILED, TOLD = "rlenvs/failed", "rlenvs/told"
NOTE_SECONDS = 2.0  # that a process which lost another one looks for a note of why
TELL_SECONDS = 5.0  # that the main process gets to hear of a failure and tell it


@contextmanager
def explained(launch: Launch) -> Iterator[None]:
    """Write down for the other processes why this one fails, and find out why another one did.

    Raises:
        PeerError: another process failed, and this one noticed by losing it.
    """
    try:
        yield
    except Exception as error:
        store = launch.store()
        lost = lost_peer(error)
        if lost is None:
            if not isinstance(error, PeerError):
                with suppress(RuntimeError):
                    _claim(store, FAILED, f"process {launch.rank} failed: {describe(error)}")
            raise
        note = _wait_for(store, FAILED, NOTE_SECONDS)
        raise (lost if note is None else PeerError(note)) from error


@contextmanager
def one_message(patience: float = TELL_SECONDS) -> Iterator[None]:
    """Let an exception pass in one process of a run only; the others exit with its code and say nothing.

    The main process goes first, if it hears of the failure in time: it knows the run folder. A process that is alone
    is left as it is.

    Raises:
        SystemExit: another process tells.
    """
    launch = Launch.from_environment()
    if launch is None:
        yield
        return
    try:
        yield
    except Exception as error:
        if not _is_mine_to_tell(launch, error, patience):
            sys.exit(2 if isinstance(error, UserError) else 1)
        raise


def _is_mine_to_tell(launch: Launch, error: Exception, patience: float) -> bool:
    try:
        store = launch.store()
        if launch.rank != 0 and _wait_for(store, TOLD, patience) is not None:
            return False
        return _claim(store, TOLD, str(launch.rank))
    except RuntimeError:  # the process that held the store has gone: it told, or was killed
        return not isinstance(error, PeerError)


def _wait_for(store: Store, key: str, seconds: float) -> str | None:
    """Return what is written under a key; None where nothing is after so many seconds, or the store is gone."""
    deadline = time.monotonic() + seconds
    with suppress(RuntimeError):
        while True:
            if store.check([key]):
                return str(store.get(key).decode())
            if time.monotonic() > deadline:
                return None
            time.sleep(0.05)
    return None


def _claim(store: Store, key: str, value: str) -> bool:
    """Write a key that nobody has written; False where somebody has."""
    return bool(store.compare_set(key, "", value).decode() == value)
