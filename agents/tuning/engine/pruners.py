"""Which trials end early. Imports without Optuna: `build` needs it."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from rlenvs.agents.runs.section import Count, PositiveInt, Section
from rlenvs.config_file import ConfigKeyError
from rlenvs.extras import require

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

__all__ = ["PrunerConfig"]

OPTIONS_OF = {
    "none": frozenset[str](),
    "median": frozenset({"startup_trials", "warmup_steps", "interval_steps"}),
    "percentile": frozenset({"startup_trials", "warmup_steps", "interval_steps", "percentile"}),
    "halving": frozenset({"min_resource", "reduction_factor"}),
    "hyperband": frozenset({"min_resource", "max_resource", "reduction_factor"}),
    "wilcoxon": frozenset({"p_threshold", "startup_steps"}),
}
"""Which options each pruner has."""


class PrunerConfig(Section):
    """Which trials end early, judged by the values they report on the way.

    Example:
        >>> PrunerConfig(name="hyperband", max_resource=10).max_resource
        10
    """

    name: Literal["none", "median", "percentile", "halving", "hyperband", "wilcoxon"] = Field(
        "median",
        description="median: worse than half of the others at the same step; percentile: than that part of them; "
        "halving, hyperband: successive halving; wilcoxon: a paired test, where each report is one seed or problem",
    )
    startup_trials: Count = Field(5, description="median, percentile: finished trials before the first is pruned")
    warmup_steps: Count = Field(0, description="median, percentile: steps of a trial before it can be pruned")
    interval_steps: PositiveInt = Field(1, description="median, percentile: steps between two looks")
    percentile: Annotated[float, Field(gt=0, lt=100)] = Field(25.0, description="percentile: part that is kept")
    min_resource: PositiveInt = Field(1, description="halving, hyperband: steps of a trial before the first look")
    max_resource: PositiveInt | None = Field(
        None, description="hyperband: steps of a whole trial; null: as the first finished trial had"
    )
    reduction_factor: Annotated[int, Field(ge=2)] = Field(
        3, description="halving, hyperband: one of so many goes on at each look"
    )
    p_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(0.1, description="wilcoxon: prune below this p-value")
    startup_steps: Count = Field(2, description="wilcoxon: reports of a trial before it can be pruned")

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> "PrunerConfig":
        others = frozenset[str]().union(*OPTIONS_OF.values()) - OPTIONS_OF[self.name]
        for key in sorted(others & self.model_fields_set):
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ConfigKeyError(key, f"pruner {self.name!r} has no such option: leave it out")
        if self.max_resource is not None and self.max_resource < self.min_resource:
            raise ConfigKeyError(
                "max_resource", f"must be >= min_resource, got {self.max_resource} and {self.min_resource}"
            )
        return self

    def check(self) -> None:
        """See to it that what this pruner needs is installed.

        Raises:
            MissingExtraError: it is not.
        """
        if self.name == "wilcoxon":
            require("scipy", "tune", "pruner 'wilcoxon'")

    def build(self, directions: Sequence[str]) -> "BasePruner":
        """Make the pruner. With several objectives there is nothing to prune by, so none is made.

        Args:
            directions: `maximize` or `minimize`, one for each objective.
        """
        from optuna import pruners
        from optuna.exceptions import ExperimentalWarning

        if len(directions) > 1:
            return pruners.NopPruner()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            match self.name:
                case "none":
                    return pruners.NopPruner()
                case "median":
                    return pruners.MedianPruner(self.startup_trials, self.warmup_steps, self.interval_steps)
                case "percentile":
                    return pruners.PercentilePruner(
                        self.percentile, self.startup_trials, self.warmup_steps, self.interval_steps
                    )
                case "halving":
                    return pruners.SuccessiveHalvingPruner(self.min_resource, self.reduction_factor)
                case "hyperband":
                    longest = "auto" if self.max_resource is None else self.max_resource
                    return pruners.HyperbandPruner(self.min_resource, longest, self.reduction_factor)
                case "wilcoxon":
                    return pruners.WilcoxonPruner(p_threshold=self.p_threshold, n_startup_steps=self.startup_steps)
