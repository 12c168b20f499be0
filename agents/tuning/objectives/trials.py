"""From a trial to its values: what objectives that train have in common."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.objectives.folders import Keep, keep_or_remove, trial_folder
from rlenvs.agents.tuning.objectives.metrics import Constraint, check_metrics, pick, put_constraints
from rlenvs.agents.tuning.objectives.seeds import Training, mean_over_seeds, training_seeds

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["MEASURED", "run_trial"]

MEASURED = "measured"
"""User attribute of a finished trial: the mean over its seeds of everything that its runs measured."""


def run_trial(
    trial: "Trial",
    config: Mapping[str, Any],
    train: Training,
    metric: str | Sequence[str],
    seeds: int | Sequence[int],
    folder: str | Path | None,
    force: bool,
    constraints: Sequence[Constraint],
    keep: Keep,
) -> float | tuple[float, ...]:
    """Train with a trial's configuration, once per seed, and return what it is worth.

    Args:
        trial: of the study.
        config: plain data of the runs.
        train: does one of them.
        metric: one, or several for several objectives.
        seeds: how many, or which.
        folder: of the study; None: runs are thrown away.
        force: allow metrics that a study should not go by.
        constraints: what the mean must keep to.
        keep: which trials' run folders stay.

    Raises:
        ConfigError: the metric is refused, or was not measured.
        optuna.TrialPruned: the pruner ended the trial.
    """
    names = [metric] if isinstance(metric, str) else list(metric)
    check_metrics(names, force)
    chosen = training_seeds(seeds)
    with trial_folder(folder, trial.number, keep) as path:
        means = mean_over_seeds(trial, config, train, names, chosen, path)
    trial.set_user_attr(MEASURED, means)
    put_constraints(trial, constraints, means)
    values = pick(means, names)
    if folder is not None:
        keep_or_remove(trial, values, Path(folder), keep)
    return values[0] if isinstance(metric, str) else values
