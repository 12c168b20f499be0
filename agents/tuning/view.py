"""What a person sees of a study while it runs: a line per trial, the best so far, the time left."""

import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Self, TextIO

from rlenvs.agents.reporting.formatting import format_duration, format_number, one_line
from rlenvs.agents.reporting.live import can_draw

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

__all__ = ["StudyProgress", "make_progress", "short_params"]

PARAMS_IN_LINE = 6
PARAMS_CHARACTERS = 120


class StudyProgress:
    """One line per trial that ends, on a terminal and in a file alike.

    Args:
        n_trials: how many trials are to finish.
        objectives: names of what is optimised.
        maximize: per objective, whether more is better.
        stream: where the lines go; standard output when omitted.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        n_trials: int,
        objectives: Sequence[str],
        maximize: Sequence[bool],
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n_trials = n_trials
        self.objectives = tuple(objectives)
        self.maximize = tuple(maximize)
        self.stream = sys.stdout if stream is None else stream
        self.clock = clock
        self.begun = clock()
        self.done_before = 0
        self.done = 0
        self.best: tuple[int, float] | None = None

    def start(self, trials: "Sequence[FrozenTrial]") -> None:
        """Take the trials that an earlier session has finished.

        Args:
            trials: outcomes that count, one per trial asked for.
        """
        for trial in trials:
            self._take(trial)
        self.begun, self.done_before = self.clock(), self.done

    def trial(self, trial: "FrozenTrial") -> None:
        """Write the line of a trial that has ended."""
        self._take(trial)
        spent = None if trial.duration is None else trial.duration.total_seconds()
        fields = [
            f"trial {trial.number} | {self.done}/{self.n_trials}",
            self._outcome(trial),
            *([f"best {format_number(self.best[1])} (trial {self.best[0]})"] if self.best else []),
            format_duration(spent),
            f"left {format_duration(self._left())}",
            short_params(trial.params),
        ]
        self.log(" | ".join(field for field in fields if field))

    def log(self, message: str) -> None:
        """Write one line and flush, so that `tail -f` shows it."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        self._write(one_line(message).encode(encoding, "backslashreplace").decode(encoding))

    def _write(self, line: str) -> None:
        self.stream.write(line + "\n")
        self.stream.flush()

    def __enter__(self) -> Self:
        """Return the view."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Do nothing: there is nothing to restore."""

    def _take(self, trial: "FrozenTrial") -> None:
        self.done += 1
        values = _values(trial)
        if len(self.maximize) != 1 or not values or any(excess > 0 for excess in trial.constraints.values()):
            return
        sign = 1 if self.maximize[0] else -1
        if self.best is None or sign * values[0] > sign * self.best[1]:
            self.best = (trial.number, values[0])

    def _outcome(self, trial: "FrozenTrial") -> str:
        values = _values(trial)
        if values:
            named = [f"{name} {format_number(value)}" for name, value in zip(self.objectives, values, strict=False)]
            broken = [name for name, excess in trial.constraints.items() if excess > 0]
            return ", ".join(named) + (f" (breaks {', '.join(broken)})" if broken else "")
        if trial.state.name == "PRUNED":
            reached = next((value for _, value in sorted(trial.intermediate_values.items(), reverse=True)), math.nan)
            return f"pruned at {format_number(reached)}"
        return f"FAILED {trial.user_attrs.get('failure', '')}"

    def _left(self) -> float | None:
        """Estimate the seconds left from the pace of this session."""
        finished = self.done - self.done_before
        return None if not finished else (self.clock() - self.begun) / finished * max(0, self.n_trials - self.done)


class LiveStudyProgress(StudyProgress):
    """The same lines, and below them a bar that moves; for terminals. The arguments are those of `StudyProgress`."""

    def __enter__(self) -> Self:
        """Begin to draw."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bar = Progress(*columns, TimeElapsedColumn(), console=Console(file=self.stream), transient=True)
        self._task = self._bar.add_task("trials", total=self.n_trials, completed=self.done)
        self._bar.start()
        return self

    def __exit__(self, *failure: object) -> None:
        """Take the bar away and give the terminal back."""
        self._bar.stop()

    def _write(self, line: str) -> None:
        self._bar.update(self._task, completed=self.done)
        self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)


def make_progress(
    n_trials: int, objectives: Sequence[str], maximize: Sequence[bool], plain: bool = False
) -> StudyProgress:
    """Make the view that fits where standard output goes.

    Args:
        n_trials: how many trials are to finish.
        objectives: names of what is optimised.
        maximize: per objective, whether more is better.
        plain: lines only, on a terminal too.
    """
    drawn = not plain and os.environ.get("CI", "").lower() in {"", "0", "false"} and can_draw(sys.stdout, os.environ)
    return (LiveStudyProgress if drawn else StudyProgress)(n_trials, objectives, maximize)


def _values(trial: "FrozenTrial") -> list[float]:
    return list(trial.values or ()) if trial.state.name == "COMPLETE" else []


def short_params(params: Mapping[str, object]) -> str:
    """Write drawn parameters so that they fit a line: the ends of their names tell them apart.

    Example:
        >>> short_params({"reward_shaping.length.initial_weight": 0.25, "ppo.epochs": 2, "strategy": None})
        'length.initial_weight=0.250 ppo.epochs=2 strategy=null'
    """
    parts = [f"{'.'.join(name.split('.')[-2:])}={_short(value)}" for name, value in params.items()]
    more = f" +{len(parts) - PARAMS_IN_LINE}" if len(parts) > PARAMS_IN_LINE else ""
    text = " ".join(parts[:PARAMS_IN_LINE])
    return (text if len(text) <= PARAMS_CHARACTERS else f"{text[: PARAMS_CHARACTERS - 1]}…") + more


def _short(value: object) -> str:
    if isinstance(value, float):
        return format_number(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
