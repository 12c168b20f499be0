"""Who started this process: the environment variables of `torchrun`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from torch.distributed.distributed_c10d import Store
from torch.distributed.rendezvous import rendezvous

from rlenvs.errors import ConfigError, PeerError

RENDEZVOUS_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Launch:
    """What `torchrun` told this process.

    Attributes:
        rank: number of the process.
        count: how many there are.
        local_rank: number of the process on its machine: its GPU.
    """

    rank: int
    count: int
    local_rank: int

    @classmethod
    def from_environment(cls) -> "Launch | None":
        """Read RANK, WORLD_SIZE and LOCAL_RANK; None for a process that is alone.

        Raises:
            ConfigError: some are set, and others missing or no numbers.
        """
        if "WORLD_SIZE" not in os.environ or os.environ["WORLD_SIZE"] == "1":
            return None
        count, rank = _number("WORLD_SIZE"), _number("RANK")
        for name in ("MASTER_ADDR", "MASTER_PORT"):
            if not os.environ.get(name):
                raise ConfigError(f"WORLD_SIZE is set but {name} is not: start the processes with torchrun")
        if not 0 <= rank < count:
            raise ConfigError(f"RANK must be in 0..{count - 1} (WORLD_SIZE is {count}), got {rank}")
        return cls(rank, count, _number("LOCAL_RANK") if "LOCAL_RANK" in os.environ else 0)

    def store(self) -> Store:
        """Return what all processes of the run can write notes to; the same one every time."""
        global _store  # one connection per process, made before anything else can fail
        if _store is None:
            try:
                _store, _, _ = next(iter(rendezvous("env://", timeout=timedelta(seconds=RENDEZVOUS_SECONDS))))
            except RuntimeError as error:
                address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
                raise PeerError(f"the {self.count} processes of the run did not meet at {address}") from error
        return _store


def decided_by_main(key: str, decide: Callable[[], Path | None]) -> Path | None:
    """Let the main process decide something before the processes have joined, such as which run to go on with.

    Args:
        key: names the decision; one for each.
        decide: called in the main process only.

    Raises:
        PeerError: the main process is gone.
    """
    launch = Launch.from_environment()
    if launch is None:
        return decide()
    store = launch.store()
    if launch.rank == 0:
        store.set(f"rlenvs/{key}", str(decide() or ""))
    try:
        store.wait([f"rlenvs/{key}"])
        decided = store.get(f"rlenvs/{key}").decode()
    except RuntimeError as error:
        raise PeerError("the main process of the run is gone") from error
    return Path(decided) if decided else None


_store: Store | None = None


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise ConfigError(f"{name} must be a number, got {text!r}: start the processes with torchrun")
    return int(text)
