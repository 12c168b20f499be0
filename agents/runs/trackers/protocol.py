"""What a tracker is, and several that are told the same."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Tracker(Protocol):
    """Takes the metrics of a run, iteration by iteration."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    def log(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Take the metrics of one iteration.

        Args:
            metrics: finite numbers.
            iteration: from 0, growing; a resumed run comes back to iterations that it had logged before it was killed.
        """
        ...

    def close(self) -> None:
        """Finish; what was logged is safe."""
        ...


class Trackers:
    """Several trackers in one. One that fails is told nothing more: a service that is down costs no run.

    Args:
        trackers: which.
        note: is told, in one line, of a tracker that fails.

    Example:
        >>> class Full:
        ...     name = "full"
        ...
        ...     def log(self, metrics, iteration):
        ...         raise OSError("no room")
        ...
        ...     def close(self): ...
        >>> trackers = Trackers([Full()], print)
        >>> trackers.log({"kl": 0.1}, 7)
        tracker full failed at iteration 7 and gets nothing more (OSError: no room); metrics.jsonl goes on
        >>> trackers.log({"kl": 0.1}, 8)
    """

    name = "all"

    def __init__(self, trackers: Sequence[Tracker], note: Callable[[str], None]) -> None:
        self.trackers = list(trackers)
        self.note = note

    def log(self, metrics: Mapping[str, float], iteration: int) -> None:
        """Tell every tracker."""
        for tracker in list(self.trackers):
            try:
                tracker.log(metrics, iteration)
            except Exception as error:  # noqa: BLE001 - other people's code, other people's servers
                self.trackers.remove(tracker)
                self.note(
                    f"tracker {tracker.name} failed at iteration {iteration} and gets nothing more "
                    f"({_one_line(error)}); metrics.jsonl goes on"
                )

    def close(self) -> None:
        """Close every tracker; may be called twice."""
        while self.trackers:
            tracker = self.trackers.pop()
            try:
                tracker.close()
            except Exception as error:  # noqa: BLE001 - as above
                self.note(f"tracker {tracker.name} failed when it was closed ({_one_line(error)})")


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
