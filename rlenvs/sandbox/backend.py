"""What a place that runs programs can do, whether it is this machine or others."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from rlenvs.sandbox.program import Program
from rlenvs.sandbox.result import Result


@runtime_checkable
class Backend(Protocol):
    """Runs programs. Everything that crosses is plain data, so that a backend can be on another machine."""

    @property
    def tier(self) -> str:
        """What isolates a program: "A", "B", "unsafe", or the name of another wall."""

    def run_batch(self, programs: Sequence[Program]) -> list[Result]:
        """Run programs and return their results in the same order."""

    def close(self) -> None:
        """End everything that runs."""
