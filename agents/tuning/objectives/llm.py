"""A trial that trains a language model."""

import gc
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

__all__ = ["llm_objective", "train_seed"]


def llm_objective(
    trial: "Trial",
    config: Mapping[str, Any],
    *,
    metric: str | Sequence[str] = "accuracy/greedy",
    seeds: int | Sequence[int] = 1,
    folder: str | Path | None = None,
    force: bool = False,
    constraints: Sequence[Constraint] = (),
    keep: Keep = "best",
) -> float | tuple[float, ...]:
    """Train a language model with PPO once per seed; what is returned is the mean of a held-out metric.

    Args:
        trial: of the study; told of every evaluation, and ends the run that it no longer wants.
        config: plain data of a `TrainConfig`; seed, folder and trackers are set here.
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

    require("torch", "llm", "llm_objective")
    from rlenvs.agents.llm import TrainConfig, train
    from rlenvs.agents.llm.callbacks.base import Callback, RunState
    from rlenvs.agents.llm.command import quieten_transformers

    quieten_transformers()  # bars of dozens of runs say nothing
    plain = task.plain_run()
    config = TrainConfig.load(plain)

    class Watcher(Callback):
        """Tells the trial of evaluations; every process of a run has one and comes to the same end."""

        def on_evaluation_end(self, state: RunState) -> None:
            if not state.is_main:
                return
            watch.see(state.metrics)
            if watch.evaluated(state.iteration / config.ppo.iterations):
                state.stop("the pruner ended the trial")

    try:
        train(config, callbacks=[Watcher()], view=SilentView(watch.see))
    finally:
        gc.collect()  # models hold each other in circles; the next run needs their memory
    return watch.metrics
