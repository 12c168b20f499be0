"""What a study says, as plain data: which trials count, how each went, which is best so far."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.importance import get_param_importances
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from rlenvs.agents.tuning.engine.tickets import FAILURE, LOST, RETRY_OF, SURPLUS

COMPLETE, PRUNED, FAILED, RUNNING, WAITING = "complete", "pruned", "failed", "running", "waiting"
STATES = {
    TrialState.COMPLETE: COMPLETE,
    TrialState.PRUNED: PRUNED,
    TrialState.FAIL: FAILED,
    TrialState.RUNNING: RUNNING,
    TrialState.WAITING: WAITING,
}
MIN_FOR_IMPORTANCE = 4  # fewer trials rank nothing


@dataclass(frozen=True)
class TrialView:
    """One trial.

    Attributes:
        number: of the trial.
        state: `complete`, `pruned`, `failed`, `running` or `waiting`.
        values: one per objective; empty unless it is complete.
        params: by name, as they were drawn.
        seconds: how long it took; None while it runs.
        steps: intermediate values in order, as (step, value).
        failure: why it failed, in a line; else empty.
        violated: names of the constraints that it does not keep.
        retry_of: the trial that it does again because the worker died.
    """

    number: int
    state: str
    values: tuple[float, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    steps: tuple[tuple[int, float], ...] = ()
    failure: str = ""
    violated: tuple[str, ...] = ()
    retry_of: int | None = None

    @property
    def ranks(self) -> bool:
        """Whether it can be the best one: complete, within its constraints."""
        return self.state == COMPLETE and not self.violated


@dataclass(frozen=True)
class StudyView:
    """A study.

    Attributes:
        name: of the study.
        objectives: what is optimised, by name.
        maximize: per objective, whether more is better.
        trials: those that count, in order of their numbers.
        lost: how many trials ended with their worker, and were done again.
        distributions: of every parameter, by name, in order of their first appearance.
    """

    name: str
    objectives: tuple[str, ...]
    maximize: tuple[bool, ...]
    trials: tuple[TrialView, ...]
    lost: int
    distributions: Mapping[str, BaseDistribution]

    def count(self, state: str) -> int:
        """Return how many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)

    @cached_property
    def ranked(self) -> list[TrialView]:
        """The trials that can be the best one."""
        return [trial for trial in self.trials if trial.ranks]

    @cached_property
    def front(self) -> list[TrialView]:
        """The best trial, or with several objectives all that no other trial beats in every one of them."""
        ranked = self.ranked
        if len(self.maximize) == 1 and ranked:
            sign = 1 if self.maximize[0] else -1
            return [max(ranked, key=lambda trial: (sign * trial.values[0], -trial.number))]
        gains = np.array([trial.values for trial in ranked]) * np.where(self.maximize, 1.0, -1.0)
        return [trial for trial, own in zip(ranked, gains, strict=True) if not _is_beaten(own, gains)]

    def best_so_far(self, objective: int) -> list[tuple[int, float]]:
        """Return (trial, best value up to and with it) for each trial that can be the best."""
        choose = max if self.maximize[objective] else min
        best: list[tuple[int, float]] = []
        for trial in self.ranked:
            value = trial.values[objective]
            best.append((trial.number, choose(value, best[-1][1]) if best else value))
        return best


def _is_beaten(own: NDArray[np.float64], gains: NDArray[np.float64]) -> bool:
    """Say whether some row is at least as large everywhere and larger somewhere.

    Args:
        own: [objectives] what one trial reached, more is better.
        gains: [trials, objectives] what all reached.
    """
    return bool(((gains >= own).all(axis=1) & (gains > own).any(axis=1)).any())


def view_of_study(study: optuna.Study, objectives: Sequence[str] = ()) -> StudyView:
    """Read a study.

    Args:
        study: finished, or still going on.
        objectives: names of what is optimised, where the study has none.
    """
    frozen = study.get_trials(deepcopy=False)
    retried = {trial.user_attrs.get(RETRY_OF) for trial in frozen}
    lost = [trial for trial in frozen if LOST in trial.user_attrs and trial.number in retried]
    gone = {trial.number for trial in lost}
    kept = [trial for trial in frozen if trial.number not in gone and not trial.user_attrs.get(SURPLUS)]
    distributions: dict[str, BaseDistribution] = {}
    for trial in kept:
        for name, distribution in trial.distributions.items():
            distributions.setdefault(name, distribution)
    count = len(study.directions)
    named = list(objectives or study.metric_names or ())
    return StudyView(
        name=study.study_name,
        objectives=tuple(named) if len(named) == count else objective_names(count),
        maximize=tuple(direction == StudyDirection.MAXIMIZE for direction in study.directions),
        trials=tuple(_trial_view(trial) for trial in kept),
        lost=len(lost),
        distributions=distributions,
    )


def objective_names(count: int) -> tuple[str, ...]:
    """Return names for objectives that nobody named.

    Example:
        >>> objective_names(1), objective_names(2)
        (('value',), ('value 1', 'value 2'))
    """
    return ("value",) if count == 1 else tuple(f"value {number}" for number in range(1, count + 1))


def importances_of(study: optuna.Study, view: StudyView) -> list[dict[str, float]]:
    """Return for each objective how much each parameter decides about being among the best tenth (PED-ANOVA).

    Args:
        study: the study.
        view: the same, read.

    Returns:
        One mapping per objective, each sums to 1, the most important parameter first; empty where too few trials are
        complete or nothing was tuned.
    """
    if view.count(COMPLETE) < MIN_FOR_IMPORTANCE or not view.distributions:
        return []
    return [_importance(study, index, more) for index, more in enumerate(view.maximize)]


def _importance(study: optuna.Study, objective: int, more: bool) -> dict[str, float]:
    """Return the importances for one objective; PED-ANOVA takes less for better where a target is given."""

    def target(trial: FrozenTrial) -> float:
        assert trial.values is not None  # complete
        value: float = trial.values[objective]
        return -value if more else value

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parameters that never varied, which weigh 0 here
        try:
            found = get_param_importances(study, target=target)
        except (RuntimeError, ValueError):  # every trial drew the same
            return {}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _trial_view(trial: FrozenTrial) -> TrialView:
    values = tuple(float(value) for value in trial.values or ()) if trial.state == TrialState.COMPLETE else ()
    retried = trial.user_attrs.get(RETRY_OF)
    return TrialView(
        number=trial.number,
        state=STATES[trial.state],
        values=values,
        params=trial.params,
        seconds=None if trial.duration is None else trial.duration.total_seconds(),
        steps=tuple(sorted((step, float(value)) for step, value in trial.intermediate_values.items())),
        failure=_failure(trial),
        violated=tuple(name for name, value in trial.constraints.items() if value > 0),
        retry_of=retried if isinstance(retried, int) else None,
    )


def _failure(trial: FrozenTrial) -> str:
    if trial.state != TrialState.FAIL:
        return ""
    return str(trial.user_attrs.get(FAILURE) or trial.user_attrs.get(LOST) or "no cause was recorded")


def order_of_importance(view: StudyView, importances: Sequence[Mapping[str, float]]) -> list[str]:
    """Return all parameters, those that decide most first; without importances in order of appearance."""
    weight = {name: max((found.get(name, 0.0) for found in importances), default=0.0) for name in view.distributions}
    return sorted(view.distributions, key=lambda name: -weight[name])
