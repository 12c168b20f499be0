"""Several runs of one trial: the same training seeds in every trial, averaged, reported while they go on, pruned.

Every trial trains with the same seeds. What luck a seed brings is then the same on both sides of a comparison and
mostly cancels; what is left of it shows when the best configuration is measured on seeds that no trial has used.

The step of a report says how much of a trial is done, in `RUNGS`ths of a run: seed k at the share f of its run reports
at `k * RUNGS + floor(f * RUNGS)`. So a step means the same in every trial, however often a trial's configuration
evaluates. The value is the mean over the runs that have ended and the newest evaluation of the one at hand. The
Wilcoxon pruner compares trials seed by seed instead: it gets one report per seed, with that seed's own result.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.objectives.metrics import TASK, pick
from rlenvs.errors import ConfigError

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["RUNGS", "RunWatch", "SeedTask", "Training", "mean_over_seeds", "training_seeds"]

RUNGS = 20
"""Reports of a run at most, and parts that its length is divided into."""

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class SeedTask:
    """One run of a trial.

    Attributes:
        config: plain data of the run.
        seed: of the run.
        folder: of the run; not there yet.
    """

    config: Mapping[str, Any]
    seed: int
    folder: Path

    def plain_run(self) -> dict[str, Any]:
        """Return the configuration of the run as plain data, with its seed and everything it writes in its folder."""
        own: dict[str, Any] = {"dir": str(self.folder), "checkpoint_dir": None, "trackers": []}
        plain = copy.deepcopy(dict(self.config))
        return plain | {"seed": self.seed, "output": dict(plain.get("output") or {}) | own}


@dataclass
class RunWatch:
    """Looks on while a run goes on.

    Attributes:
        judge: is told the share of the run that is done, in (0, 1], and the newest metrics, after each evaluation;
            says whether the trial is to end.
        needed: what every evaluation is to measure; a run whose first one does not has nothing to wait for.
        metrics: newest value of everything that was measured.
        ended: whether the trial is to end.
    """

    judge: Callable[[float, Metrics], bool] | None = None
    needed: tuple[str, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)
    ended: bool = False

    def see(self, metrics: Metrics) -> None:
        """Take in what was measured."""
        self.metrics.update({key: float(value) for key, value in metrics.items() if isinstance(value, int | float)})

    @property
    def lacks(self) -> bool:
        """Whether something was not measured that should have been."""
        return any(name not in self.metrics for name in self.needed)

    def evaluated(self, share: float) -> bool:
        """Note an evaluation at a share of the run, 0 before it; says whether the trial is to end."""
        if self.lacks:
            self.ended = True
        elif self.judge is not None and share > 0.0 and not self.ended:
            self.ended = self.judge(min(share, 1.0), self.metrics)
        return self.ended


Training = Callable[[SeedTask, RunWatch], Metrics]
"""Trains once; returns the newest value of everything measured. Ends early once the watch says so."""


def training_seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Return the seeds that every trial trains with.

    Args:
        seeds: how many (0, 1, ...), or which.

    Raises:
        ConfigError: none, one twice, or one that is no seed.

    Example:
        >>> training_seeds(3), training_seeds([7, 11])
        ((0, 1, 2), (7, 11))
    """
    found: tuple[object, ...] = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    whole = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**31 for seed in found)
    if not found or not whole or len(set(found)) < len(found):
        raise ConfigError(f"seeds: expected at least one, all different, from 0 to 2^31 - 1, got {seeds!r}")
    return tuple(seed for seed in found if isinstance(seed, int))


def mean_over_seeds(
    trial: "Trial",
    config: Mapping[str, Any],
    train: Training,
    metrics: Sequence[str],
    seeds: Sequence[int],
    folder: Path,
) -> dict[str, float]:
    """Train once per seed and return the mean of everything that all runs measured.

    With one metric the trial is told of every evaluation and may end early. Optuna prunes no trial of several metrics.

    Args:
        trial: is told, and says whether to go on.
        config: plain data of the runs; their seed and folder are set here.
        train: does a run.
        metrics: what the study goes by.
        seeds: one run each.
        folder: of the trial.

    Raises:
        optuna.TrialPruned: the trial is to end; its runs have ended in order.
        ConfigError: a run did not measure a metric.
    """
    reports = SeedReports(trial, metrics)
    held_out = tuple(name for name in metrics if TASK.fullmatch(name))
    for index, seed in enumerate(seeds):
        watch = RunWatch(reports.judge if reports.by_evaluation else None, held_out)
        measured = dict(train(SeedTask(config, seed, folder / f"seed-{seed}"), watch))
        if reports.seed_ended(measured, watch, is_last=index == len(seeds) - 1):
            break
    return reports.means()


class SeedReports:
    """What a trial's runs have come to, and what the study was told of it.

    Args:
        trial: is told.
        metrics: what the study goes by.
    """

    def __init__(self, trial: "Trial", metrics: Sequence[str]) -> None:
        from optuna.pruners import WilcoxonPruner

        self.trial, self.metrics = trial, metrics
        # A trial that is no Optuna trial of a study (FixedTrial) has none, and is never pruned.
        pruner = getattr(getattr(trial, "study", None), "pruner", None)
        self.by_seed = len(metrics) == 1 and isinstance(pruner, WilcoxonPruner)
        self.by_evaluation = len(metrics) == 1 and not self.by_seed
        self.finished: list[dict[str, float]] = []
        self.last_step = 0

    def judge(self, share: float, measured: Metrics) -> bool:
        """Report an evaluation of the run at hand; says whether the trial is to end before the run does."""
        self.report(share, measured)
        return share < 1.0 and self.trial.should_prune()

    def report(self, share: float, measured: Metrics) -> None:
        """Tell the study of an evaluation, unless it was told of this step."""
        step = len(self.finished) * RUNGS + int(share * RUNGS + 1e-9)
        if step > self.last_step:
            self.last_step = step
            values = [pick(run, self.metrics)[0] for run in (*self.finished, measured)]
            self.trial.report(sum(values) / len(values), step)

    def seed_ended(self, measured: dict[str, float], watch: RunWatch, is_last: bool) -> bool:
        """Take in the result of a run; says whether the trial has its value by now.

        Raises:
            optuna.TrialPruned: the trial is to end without one.
        """
        from optuna import TrialPruned

        if watch.lacks:
            pick(measured, self.metrics)  # says which
        if self.by_evaluation:
            if not watch.ended:
                self.report(1.0, measured)
            if watch.ended or (not is_last and self.trial.should_prune()):
                raise TrialPruned(f"the pruner ended the trial at step {self.last_step}")
        (*_, value) = pick(measured, self.metrics)
        self.finished.append(measured)
        if not self.by_seed:
            return False
        self.trial.report(value, len(self.finished) - 1)
        # Worse than the best by the seeds so far: their mean stands for the trial, as this pruner wants it.
        return self.trial.should_prune()

    def means(self) -> dict[str, float]:
        """Return the mean of everything that all runs measured."""
        common = set(self.finished[0]).intersection(*self.finished[1:])
        means = {key: sum(run[key] for run in self.finished) / len(self.finished) for key in sorted(common)}
        return {key: value for key, value in means.items() if math.isfinite(value) or key in self.metrics}
