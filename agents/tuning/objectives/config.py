"""Objectives as configurations write them. Imports without torch and Optuna."""

import functools
from abc import abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, FiniteFloat, model_validator

from rlenvs.agents.runs.section import Fraction, PositiveInt, Section
from rlenvs.agents.tuning.objectives.folders import Keep
from rlenvs.agents.tuning.objectives.llm import llm_objective
from rlenvs.agents.tuning.objectives.llm import train_seed as train_llm_seed
from rlenvs.agents.tuning.objectives.metrics import Constraint, metric_problem, task_problem
from rlenvs.agents.tuning.objectives.offline import FOLDS, offline_objective, score_rollouts
from rlenvs.agents.tuning.objectives.sb3 import sb3_objective
from rlenvs.agents.tuning.objectives.sb3 import train_seed as train_sb3_seed
from rlenvs.agents.tuning.objectives.scope import check_scope
from rlenvs.agents.tuning.objectives.seeds import RunWatch, SeedTask, Training, training_seeds
from rlenvs.config_file import ConfigKeyError
from rlenvs.errors import ConfigError

if TYPE_CHECKING:
    from rlenvs.agents.tuning.space import SearchSpace

__all__ = ["LLMObjective", "ObjectiveConfig", "OfflineObjective", "SB3Objective"]

FIRST_FRESH = 1_000
"""Fresh seeds begin here: far from those that people choose."""

Objective = Callable[..., float | tuple[float, ...]]
"""Called with a trial and its configuration."""

MeasureSeed = Callable[[dict[str, Any], int], Mapping[str, float]]
"""Configuration and fresh seed -> metrics."""


class MetricConfig(Section):
    """What a study goes by."""

    name: str = Field(description="as metrics.jsonl calls it: return/greedy, accuracy/sampled, held_out/NAME/greedy")
    direction: Literal["maximize", "minimize"] = Field("maximize", description="minimize: lengths, costs")


class ConstraintConfig(Section):
    """What a trial must keep to."""

    metric: str = Field(description="any that a run logs")
    at_most: FiniteFloat | None = Field(None, description="the largest value that is allowed")
    at_least: FiniteFloat | None = Field(None, description="the smallest value that is allowed")

    @model_validator(mode="after")
    def _one_bound(self) -> "ConstraintConfig":
        if (self.at_most is None) == (self.at_least is None):
            raise ConfigKeyError("at_most", "give at_most or at_least, one of the two")
        return self

    def build(self) -> Constraint:
        """Return the constraint."""
        if self.at_most is not None:
            return Constraint(self.metric, self.at_most)
        assert self.at_least is not None
        return Constraint(self.metric, self.at_least, at_least=True)


class BaseObjective(Section):
    """What all objectives have."""

    constraints: list[ConstraintConfig] = Field(
        default_factory=list, description="trials that miss one are kept, and never the best"
    )

    @abstractmethod
    def build(self, folder: Path) -> Objective:
        """Return what is called with a trial and its configuration; it travels to worker processes.

        Args:
            folder: of the study.
        """

    @abstractmethod
    def check(self, base: Mapping[str, Any], space: "SearchSpace") -> None:
        """Refuse what would only show in the first trial, or mislead the study.

        Args:
            base: plain data of the configuration that the study begins with.
            space: what is tuned.

        Raises:
            ConfigError: one line that says what, why, and what instead.
        """

    @abstractmethod
    def fresh_seeds(self, count: int) -> tuple[int, ...]:
        """Return seeds that no trial uses."""

    @abstractmethod
    def measure(self, folder: Path) -> MeasureSeed:
        """Return what measures a configuration on a fresh seed.

        Args:
            folder: for its runs.
        """

    def built_constraints(self) -> tuple[Constraint, ...]:
        """Return the constraints."""
        return tuple(constraint.build() for constraint in self.constraints)


class TrainingObjective(BaseObjective):
    """What objectives have that train."""

    kind: str
    metrics: list[MetricConfig]
    seeds: PositiveInt | list[int]
    force: bool = Field(False, description="go by a metric that misleads: one that the tuned reward itself pays")
    keep: Keep = Field(
        "best", description="run folders that stay: those of trials that none surpasses, of all, or of none"
    )

    @model_validator(mode="after")
    def _the_metrics_can_be_trusted(self) -> "TrainingObjective":
        names = [metric.name for metric in self.metrics]
        if not names:
            raise ConfigKeyError("metrics", "expected at least one")
        for index, name in enumerate(names):
            if name in names[:index]:
                raise ConfigKeyError(("metrics", index, "name"), f"{name!r} is given twice")
            if not self.force and (problem := metric_problem(name)):
                raise ConfigKeyError(("metrics", index, "name"), problem)
        if not self.force and (problem := task_problem(names)):
            raise ConfigKeyError(("metrics", 0, "name"), problem)
        try:
            training_seeds(self.seeds)
        except ConfigError as error:
            raise ConfigKeyError("seeds", str(error).removeprefix("seeds: ")) from None
        return self

    def fresh_seeds(self, count: int) -> tuple[int, ...]:
        """Return seeds that no trial uses."""
        used = set(training_seeds(self.seeds))
        found = (seed for seed in range(FIRST_FRESH, FIRST_FRESH + count + len(used)) if seed not in used)
        return tuple(seed for seed, _ in zip(found, range(count), strict=False))

    def check(self, base: Mapping[str, Any], space: "SearchSpace") -> None:
        """Refuse a base of another kind, and a space that tunes what measures."""
        check_scope(self.kind, base, space, [metric.name for metric in self.metrics], self.force)

    def build(self, folder: Path) -> Objective:
        """Return what is called with a trial and its configuration."""
        names = [metric.name for metric in self.metrics]
        return functools.partial(
            sb3_objective if self.kind == "sb3" else llm_objective,
            metric=names[0] if len(names) == 1 else names,
            seeds=self.seeds,
            folder=folder,
            force=self.force,
            constraints=self.built_constraints(),
            keep=self.keep,
        )

    def measure(self, folder: Path) -> MeasureSeed:
        """Return what trains on a fresh seed; its runs go again."""
        return functools.partial(_measure_run, train_sb3_seed if self.kind == "sb3" else train_llm_seed)


class SB3Objective(TrainingObjective):
    """Held-out metrics of runs of Stable-Baselines3."""

    kind: Literal["sb3"]
    metrics: list[MetricConfig] = Field(
        default_factory=lambda: [MetricConfig(name="return/greedy")], description="one, or several for a Pareto front"
    )
    seeds: PositiveInt | list[int] = Field(2, description="runs of a trial, the same seeds in each: how many, or which")


class LLMObjective(TrainingObjective):
    """Held-out metrics of runs that train a language model."""

    kind: Literal["llm"]
    metrics: list[MetricConfig] = Field(
        default_factory=lambda: [MetricConfig(name="accuracy/greedy")], description="one, or several for a Pareto front"
    )
    seeds: PositiveInt | list[int] = Field(1, description="runs of a trial, the same seeds in each: how many, or which")


class OfflineMetricConfig(Section):
    """How a reward's ranks go with the truth."""

    name: Literal["auc", "kendall", "spearman"] = Field(
        description="auc: right above wrong responses; kendall (tau-b), spearman: ranks and the true grade"
    )
    direction: Literal["maximize", "minimize"] = Field("maximize", description="of the study")


class OfflineObjective(BaseObjective):
    """Stored rollouts, scored again: no training, seconds a trial."""

    kind: Literal["offline"]
    rollouts: str = Field(description="run folder, or a file with one JSON object per line")
    metrics: list[OfflineMetricConfig] = Field(
        default_factory=lambda: [OfflineMetricConfig(name="auc")],
        min_length=1,
        description="one, or several for a Pareto front",
    )
    truth: str | None = Field(None, description="field with the true grade; null: correct, else label")
    whole: bool = Field(
        False, description="count components that are the task itself (CorrectnessReward...), which know the truth"
    )
    held_out: Fraction = Field(0.3, description="share of the problems that trials do not see, to compare on")
    limit: PositiveInt | None = Field(None, description="read the first responses only")

    @model_validator(mode="after")
    def _some_are_left(self) -> "OfflineObjective":
        if self.held_out == 1.0:
            raise ConfigKeyError("held_out", "must be < 1: trials need responses to go by")
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise ConfigKeyError("metrics", f"expected different names, got {', '.join(names)}")
        return self

    def fresh_seeds(self, count: int) -> tuple[int, ...]:
        """Return the parts of the held-out problems; however many seeds are asked for, they are all compared."""
        return tuple(range(FOLDS)) if count and self.held_out else ()

    def check(self, base: Mapping[str, Any], space: "SearchSpace") -> None:
        """Score the stored responses with the base: whatever is wrong with them shows now."""
        score_rollouts(base, **self._source)
        for fold in self.fresh_seeds(1):
            score_rollouts(base, **self._source, fold=fold)

    def build(self, folder: Path) -> Objective:
        """Return what is called with a trial and its configuration."""
        names = [metric.name for metric in self.metrics]
        return functools.partial(
            offline_objective,
            **self._source,
            statistic=names[0] if len(names) == 1 else names,
            constraints=self.built_constraints(),
        )

    def measure(self, folder: Path) -> MeasureSeed:
        """Return what scores a part of the responses that no trial saw."""
        return functools.partial(_measure_fold, self._source)

    @property
    def _source(self) -> dict[str, Any]:
        return {
            "rollouts": self.rollouts,
            "truth": self.truth,
            "whole": self.whole,
            "held_out": self.held_out,
            "limit": self.limit,
        }


ObjectiveConfig = Annotated[SB3Objective | LLMObjective | OfflineObjective, Field(discriminator="kind")]


def _measure_run(train: Training, config: dict[str, Any], seed: int) -> Mapping[str, float]:
    """Train once, in a folder that goes again."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="rlenvs-fresh-") as scratch:
        return train(SeedTask(config, seed, Path(scratch) / f"seed-{seed}"), RunWatch())


def _measure_fold(source: Mapping[str, Any], config: dict[str, Any], seed: int) -> Mapping[str, float]:
    return score_rollouts(config, **source, fold=seed)
