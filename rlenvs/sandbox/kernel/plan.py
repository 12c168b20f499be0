"""What a worker is confined to: plain data that crosses to it before it locks itself."""

from dataclasses import dataclass
from typing import Literal, Protocol

Tier = Literal["A", "B"]


@dataclass(frozen=True)
class Plan:
    """How one worker confines itself.

    Raises:
        ValueError: values that cannot be meant.
    """

    tier: Tier
    """A: namespaces and a private root on top of what B has. B: Landlock, seccomp, limits, and another user if root."""
    uid: int | None = None
    """The user to become, one per worker, group alike; None: stay who one is. See `free_uid`."""
    readable: tuple[str, ...] = ()
    """Files and folders that stay readable; absolute paths."""
    hidden: tuple[str, ...] = ()
    """Folders inside readable ones that do not, except what `readable` names in them."""
    scratch_mb: int = 0
    """Size of a writable `/box`; 0: nothing is writable. Tier A alone can bound one."""

    def __post_init__(self) -> None:
        if self.tier not in ("A", "B"):
            raise ValueError(f"tier must be 'A' or 'B', got {self.tier!r}")
        if self.uid is not None and self.uid <= 0:
            raise ValueError(f"uid must be > 0 or None, got {self.uid}")
        if self.scratch_mb < 0:
            raise ValueError(f"scratch_mb must be >= 0, got {self.scratch_mb}")
        if self.scratch_mb and self.tier == "B":
            raise ValueError("scratch_mb needs tier A: without a mount of its own nothing bounds what is written")
        for path in (*self.readable, *self.hidden):
            if not path.startswith("/"):
                raise ValueError(f"readable and hidden paths must be absolute, got {path!r}")


class ProcessLimits(Protocol):
    """What `confine` reads of the limits of an execution."""

    @property
    def cpu_s(self) -> float | None:
        """Seconds of CPU, rounded up; None: the wall clock alone bounds it."""

    @property
    def memory_mb(self) -> int:
        """What may be mapped on top of what the worker has, in MiB."""

    @property
    def threads(self) -> int:
        """How many threads there may be, the first one included."""

    @property
    def file_bytes(self) -> int:
        """Longest file."""

    @property
    def open_files(self) -> int:
        """Highest number of descriptors."""
