"""What the processes show that are not the main one: nothing."""

from types import TracebackType
from typing import Self

from rlenvs.agents.reporting import RunPlan, TrainingView, make_view


class SilentView:
    """A view of a run that somebody else shows."""

    def start(self, plan: RunPlan) -> None:
        """Show nothing."""

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Show nothing."""

    def update(self, metrics: dict[str, float]) -> None:
        """Show nothing."""

    def log(self, message: str) -> None:
        """Show nothing."""

    def finish(self, summary: dict[str, object]) -> None:
        """Show nothing."""

    def __enter__(self) -> Self:
        """Return the view."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let any exception pass."""


def view_of(rank: int, plain: bool = False) -> TrainingView:
    """Return the view of a process: the usual one for the main process."""
    return make_view(plain=True if plain else None) if rank == 0 else SilentView()
