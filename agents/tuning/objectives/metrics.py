"""What a study may maximise, and why not the reward that it tunes.

A weight that is twice as large pays twice as much and teaches nothing: maximising what the tuned reward pays inflates
weights. So objectives are what the environment itself says on held-out problems; what a run cost can stand beside it.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlenvs.errors import ConfigError
from rlenvs.suggestions import did_you_mean

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["TASK", "Constraint", "check_metrics", "metric_problem", "pick", "put_constraints", "task_problem"]

USUAL = (
    "accuracy/greedy", "accuracy/sampled", "accuracy/first", "accuracy/first_sampled", "return/greedy",
    "return/sampled", "length/mean",
)  # fmt: skip
TASK = re.compile(r"accuracy/(greedy|sampled|first|first_sampled)|return/(greedy|sampled)|held_out/.+/(greedy|sampled)")
COST = re.compile(r"length/\w+|time/\w+|kl(_k3|_episode)?")
SHAPED = re.compile(r"return/shaped|(reward|component|weight|potential)/.+")
TRAINING = re.compile(r"return/true|accuracy/train")
FORCED = "set force: true to tune by it all the same"


def metric_problem(name: str) -> str | None:
    """Return why a study should not go by a metric, None where it may.

    Example:
        >>> metric_problem("accuracy/greedy") is None
        True
        >>> print(metric_problem("acuracy/greedy"))  # doctest: +ELLIPSIS
        unknown metric 'acuracy/greedy'; did you mean 'accuracy/greedy'? (known: ...
    """
    if TASK.fullmatch(name) or COST.fullmatch(name):
        return None
    if SHAPED.fullmatch(name):
        return (
            f"{name!r} is paid by the reward that is being tuned: larger weights raise it and teach nothing; use "
            f"return/greedy or accuracy/greedy, or {FORCED}"
        )
    if TRAINING.fullmatch(name):
        return (
            f"{name!r} is measured on training problems, which can be learned by heart; use return/greedy or "
            f"accuracy/greedy, or {FORCED}"
        )
    return f"unknown metric {name!r}{did_you_mean(name, USUAL)} (known: {', '.join(USUAL)}, held_out/NAME/greedy)"


def check_metrics(names: Sequence[str], force: bool = False) -> None:
    """Refuse metrics that a study should not go by.

    Args:
        names: one for each objective, at least one.
        force: take any metric that a run logs.

    Raises:
        ConfigError: one line that says which, why, and what instead.
    """
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"metric: expected different names, at least one, got {list(names)!r}")
    if force:
        return
    for name in names:
        if problem := metric_problem(name):
            raise ConfigError(f"metric {problem}")
    if problem := task_problem(names):
        raise ConfigError(f"metric {problem}")


def task_problem(names: Sequence[str]) -> str | None:
    """Return what is wrong with metrics of which none says what was learned; None where one does."""
    if any(TASK.fullmatch(name) for name in names):
        return None
    return (
        f"{names[0]!r} says what a run costs, not what it learned; give it beside return/greedy or accuracy/greedy, "
        f"or {FORCED}"
    )


@dataclass(frozen=True)
class Constraint:
    """What a trial must keep to.

    Attributes:
        metric: any that a run logs.
        bound: the largest value that is allowed, or the smallest.
        at_least: whether it is the smallest.

    Example:
        >>> short = Constraint("length/mean", 40.0)
        >>> short.name, short.excess({"length/mean": 42.0})
        ('length/mean <= 40', 2.0)
    """

    metric: str
    bound: float
    at_least: bool = False

    @property
    def name(self) -> str:
        """How the study calls it."""
        return f"{self.metric} {'>=' if self.at_least else '<='} {self.bound:g}"

    def excess(self, measured: Mapping[str, float]) -> float:
        """Return by how much a trial misses it; 0 or less where it keeps to it.

        Raises:
            ConfigError: the metric was not measured.
        """
        (value,) = pick(measured, [self.metric])
        return self.bound - value if self.at_least else value - self.bound


def pick(measured: Mapping[str, float], names: Sequence[str]) -> tuple[float, ...]:
    """Return the values of metrics.

    Raises:
        ConfigError: one was not measured, or is no finite number.
    """
    for name in names:
        if name not in measured:
            known = sorted(measured)
            raise ConfigError(
                f"metric {name!r} was not measured by the run{did_you_mean(name, known)} (measured: {', '.join(known)})"
            )
        if not math.isfinite(measured[name]):
            raise ConfigError(f"metric {name!r} is {measured[name]} at the end of the run: there is nothing to go by")
    return tuple(float(measured[name]) for name in names)


def put_constraints(trial: "Trial", constraints: Sequence[Constraint], measured: Mapping[str, float]) -> None:
    """Tell the study by how much a trial misses its constraints."""
    for constraint in constraints:
        trial.set_constraint(constraint.name, constraint.excess(measured))
