"""What one execution may use."""

import math
from dataclasses import dataclass

from rlenvs.errors import ParameterError

MEBIBYTE = 1 << 20
LARGEST = 1 << 40


@dataclass(frozen=True, slots=True)
class Limits:
    """What one execution may use. Going beyond a limit ends it, and its result says which limit that was.

    Args:
        wall_s: seconds from its start to its end, by the clock of the grader. Of a script: for each of its inputs.
        cpu_s: seconds of processor time over all its threads; None bounds it by the wall limit alone.
        memory_mb: MiB of address space on top of what the interpreter itself takes.
        output_bytes: bytes written to stdout, and as many again to stderr.
        result_bytes: bytes of one answer.
        threads: threads at a time.
        file_bytes: bytes of one file in the scratch folder.
        open_files: open descriptors at a time.

    Raises:
        ParameterError: a limit that nothing can run under.
    """

    wall_s: float = 2.0
    cpu_s: float | None = None
    memory_mb: int = 512
    output_bytes: int = 65_536
    result_bytes: int = MEBIBYTE
    threads: int = 16
    file_bytes: int = 8 * MEBIBYTE
    open_files: int = 32

    def __post_init__(self) -> None:
        for name, value in (("wall_s", self.wall_s), ("cpu_s", self.cpu_s)):
            if value is None and name == "cpu_s":
                continue
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not (0 < value < math.inf):  # type: ignore[operator]
                raise ParameterError(name, f"must be a number > 0, got {value!r}")
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= LARGEST:
                raise ParameterError(name, f"must be a whole number >= {least}, got {value!r}")


LEAST = {
    "memory_mb": 16,
    "output_bytes": 0,
    "result_bytes": 64,
    "threads": 1,
    "file_bytes": 0,
    "open_files": 8,
}
"""Under less than this not even an empty program runs."""


def check_limits(limits: object) -> None:
    """Raise ParameterError unless these are limits, or None for those of the pool."""
    if limits is not None and not isinstance(limits, Limits):
        raise ParameterError("limits", f"must be Limits, got {type(limits).__name__}")
