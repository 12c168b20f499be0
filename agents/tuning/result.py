"""What came of a study."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.trial_config import TrialConfigs
from rlenvs.errors import TuningError

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

__all__ = ["TuningResult"]


@dataclass(frozen=True)
class TuningResult:
    """The best that a study has found.

    It unpacks as `best_params, best_value, study`. With several objectives there is no best trial but `best_trials`,
    those that no other one beats in every objective.

    Attributes:
        study: all trials, as Optuna's own tools take them.
        configs: makes the configuration of any trial.
    """

    study: "optuna.Study"
    configs: TrialConfigs

    def __iter__(self) -> Iterator[Any]:
        """Unpack as `best_params, best_value, study`."""
        yield from (self.best_params, self.best_value, self.study)

    @property
    def best_trial(self) -> "FrozenTrial":
        """The trial with the best value among those that keep every constraint.

        Raises:
            TuningError: the study has several objectives, or no trial finished and kept every constraint.
        """
        if len(self.study.directions) > 1:
            count = len(self.study.directions)
            raise TuningError(f"a study of {count} objectives has no single best trial: look at best_trials")
        try:
            return self.study.best_trial
        except ValueError as error:
            raise TuningError(self._why_none()) from error

    @property
    def best_params(self) -> dict[str, Any]:
        """Name -> value of the best trial's parameters; a labelled choice by its label."""
        return dict(self.best_trial.params)

    @property
    def best_value(self) -> float:
        """What the objective returned for the best trial."""
        value = self.best_trial.value
        assert value is not None, self.best_trial  # trials without a value are not the best
        return value

    @property
    def best_config(self) -> dict[str, Any]:
        """The configuration of the best trial, plain data like the base."""
        return self.config_of(self.best_trial)

    @property
    def best_trials(self) -> "list[FrozenTrial]":
        """The trials that no other one beats in every objective; with one objective, the best alone."""
        return self.study.best_trials

    def config_of(self, trial: "FrozenTrial") -> dict[str, Any]:
        """Return the configuration that a trial had."""
        return self.configs.generate_from_params(trial.params)

    def _why_none(self) -> str:
        states: dict[str, int] = {}
        for trial in self.study.get_trials(deepcopy=False):
            states[trial.state.name.lower()] = states.get(trial.state.name.lower(), 0) + 1
        if states.get("complete"):
            return f"no trial of study {self.study.study_name!r} kept every constraint ({states['complete']} finished)"
        counts = ", ".join(f"{count} {state}" for state, count in states.items()) or "none was run"
        return f"no trial of study {self.study.study_name!r} has a value ({counts})"
