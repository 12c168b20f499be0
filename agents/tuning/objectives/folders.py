"""Where the runs of trials are, and which of them stay."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

__all__ = ["Keep", "keep_or_remove", "trial_folder", "trial_path"]

Keep = Literal["best", "all", "none"]

LOST = "lost"
"""User attribute of a trial whose worker died: its runs are torn."""


def trial_path(folder: Path, number: int) -> Path:
    """Return the folder of a trial.

    Example:
        >>> trial_path(Path("study"), 7).as_posix()
        'study/trials/0007'
    """
    return folder / "trials" / f"{number:04d}"


@contextmanager
def trial_folder(folder: str | Path | None, number: int, keep: Keep) -> Iterator[Path]:
    """Yield an empty folder for the runs of a trial; those of a trial that is pruned go, unless all are kept.

    Args:
        folder: of the study; a temporary one, which goes again, where None.
        number: of the trial.
        keep: which runs stay.
    """
    from optuna import TrialPruned

    if folder is None:
        with tempfile.TemporaryDirectory(prefix="rlenvs-trial-") as scratch:
            yield Path(scratch)
        return
    path = trial_path(Path(folder), number)
    shutil.rmtree(path, ignore_errors=True)  # what an attempt that was cut short has left
    path.mkdir(parents=True)
    try:
        yield path
    except TrialPruned:
        if keep != "all":
            shutil.rmtree(path, ignore_errors=True)
        raise


def keep_or_remove(trial: "Trial", values: Sequence[float], folder: Path, keep: Keep) -> None:
    """Remove runs that nobody needs any more, once a trial has its values.

    With `best`, the runs of trials stay that no finished trial surpasses: one, or a front where there are several
    metrics. Two workers that end at once may both keep theirs; the next trial to end puts that right.

    Args:
        trial: its runs have ended.
        values: of the trial.
        folder: of the study.
        keep: which runs stay.
    """
    study = getattr(trial, "study", None)  # a FixedTrial belongs to none
    if keep == "all" or study is None:
        return
    own = trial_path(folder, trial.number)
    if keep == "none":
        shutil.rmtree(own, ignore_errors=True)
        return
    maximize = [direction.name == "MAXIMIZE" for direction in study.directions]
    trials = {other.number: other for other in study.get_trials(deepcopy=False)}
    mine = Standing(tuple(values), _keeps_to_constraints(trials.pop(trial.number)))
    finished = {
        number: Standing(tuple(other.values), _keeps_to_constraints(other))
        for number, other in trials.items()
        if other.state.name == "COMPLETE"
    }
    if any(other.surpasses(mine, maximize) for other in finished.values()):
        shutil.rmtree(own, ignore_errors=True)
    for number, other in trials.items():
        if _is_over(other) and (number not in finished or mine.surpasses(finished[number], maximize)):
            shutil.rmtree(trial_path(folder, number), ignore_errors=True)


@dataclass(frozen=True)
class Standing:
    """How a finished trial stands among others.

    Attributes:
        values: one for each metric.
        keeps: whether it keeps to its constraints.

    Example:
        >>> Standing((0.9, 10.0)).surpasses(Standing((0.8, 10.0)), [True, False])
        True
        >>> Standing((0.9, 12.0)).surpasses(Standing((0.8, 10.0)), [True, False])
        False
    """

    values: tuple[float, ...]
    keeps: bool = True

    def surpasses(self, other: "Standing", maximize: Sequence[bool]) -> bool:
        """Return whether nobody has a use for the other: this one is nowhere worse and somewhere better."""
        if self.keeps != other.keeps:
            return self.keeps
        gains = [a - b if up else b - a for a, b, up in zip(self.values, other.values, maximize, strict=True)]
        return min(gains) >= 0.0 and max(gains) > 0.0


def _keeps_to_constraints(trial: "FrozenTrial") -> bool:
    return all(excess <= 0.0 for excess in trial.constraints.values())


def _is_over(trial: "FrozenTrial") -> bool:
    """Return whether a trial's runs are of no use: a failure's may show why it failed."""
    failed = trial.state.name == "FAIL" and LOST not in trial.user_attrs
    return trial.state.is_finished() and not failed
