"""The view of a run that nobody watches."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rlenvs.agents.reporting.view import RunPlan

__all__ = ["SilentView"]


class SilentView:
    """Shows nothing: somebody else shows the run, or it is one of dozens.

    Args:
        seen: is told the metrics of every iteration.
    """

    def __init__(self, seen: Callable[[Mapping[str, float]], None] = lambda metrics: None) -> None:
        self.seen = seen

    def start(self, plan: RunPlan) -> None:
        """Say nothing of the plan."""

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Say nothing of what is being done."""

    def update(self, metrics: dict[str, float]) -> None:
        """Pass the metrics of an iteration on."""
        self.seen(metrics)

    def log(self, message: str) -> None:
        """Say nothing."""

    def finish(self, summary: dict[str, object]) -> None:
        """Say nothing of the end."""

    def __enter__(self) -> Self:
        """Return the view."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let any exception pass."""
