"""A trial that trains an agent of Stable-Baselines3."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlenvs.agents.reporting import SilentView
from rlenvs.agents.tuning.objectives.folders import Keep
from rlenvs.agents.tuning.objectives.metrics import Constraint
from rlenvs.agents.tuning.objectives.seeds import RunWatch, SeedTask
from rlenvs.agents.tuning.objectives.trials import run_trial

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["sb3_objective", "train_seed"]


def sb3_objective(
    trial: "Trial",
    config: Mapping[str, Any],
    *,
    metric: str | Sequence[str] = "return/greedy",
    seeds: int | Sequence[int] = 2,
    folder: str | Path | None = None,
    force: bool = False,
    constraints: Sequence[Constraint] = (),
    keep: Keep = "best",
) -> float | tuple[float, ...]:
    """Train with Stable-Baselines3 once per seed; what is returned is the mean of a held-out metric.

    Args:
        trial: of the study; told of every evaluation, and ends the run that it no longer wants.
        config: plain data of an `SB3TrainConfig`; seed, folder and trackers are set here.
        metric: what `metrics.jsonl` calls it; several for several objectives, which are not pruned.
        seeds: how many, or which; the same in every trial.
        folder: of the study, for run folders `trials/0007/seed-0`; None: runs are thrown away.
        force: allow a metric that the tuned reward itself pays.
        constraints: what the mean must keep to.
        keep: which trials' run folders stay.

    Returns:
        One value, or one for each metric.

    Raises:
        ConfigError: the metric is refused or was not measured, or the run cannot be configured like that.
        optuna.TrialPruned: the pruner ended the trial.
        RlenvsError: a run failed.
    """
    return run_trial(trial, config, train_seed, metric, seeds, folder, force, constraints, keep)


def train_seed(task: SeedTask, watch: RunWatch) -> dict[str, float]:
    """Do one run; return the newest value of everything that was measured."""
    from rlenvs.extras import require

    require("stable_baselines3", "sb3", "sb3_objective")
    from rlenvs.agents.sb3 import SB3TrainConfig, train_sb3

    plain = task.plain_run()
    config = SB3TrainConfig.load(plain)
    evaluations = 0

    def seen(metrics: Mapping[str, float]) -> None:
        nonlocal evaluations
        watch.see(metrics)
        evaluations += "return/greedy" in metrics

    judged = 0

    def stop() -> bool:
        nonlocal judged
        if evaluations > judged:
            judged = evaluations
            watch.evaluated(watch.metrics["step"] / config.algorithm.total_timesteps)
        return watch.ended

    train_sb3(config, view=SilentView(seen), stop=stop)
    return watch.metrics
