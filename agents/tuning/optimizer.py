"""A study from Python: base configuration, search space and objective in, the best configuration out."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from rlenvs.agents.tuning.engine.plan import MEMORY, StudyPlan
from rlenvs.agents.tuning.engine.pruners import PrunerConfig
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.objective_call import TrialFunction
from rlenvs.agents.tuning.result import TuningResult
from rlenvs.agents.tuning.space import SearchSpace, TunedParameter
from rlenvs.agents.tuning.space.leaves import plain_json
from rlenvs.agents.tuning.trial_config import TrialConfigs
from rlenvs.config_file import validate_config
from rlenvs.config_source import SourceMap
from rlenvs.errors import ConfigError
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import BaseTrial, FrozenTrial

__all__ = ["BayesianRewardOptimizer"]

DIRECTIONS = ("maximize", "minimize")

M = TypeVar("M", bound=BaseModel)

Callback = Callable[["optuna.Study", "FrozenTrial"], object]


class BayesianRewardOptimizer:
    """Searches for the values of a configuration that make an objective best.

    What the objective returns should be a metric of the task that the reward does not touch, on held-out problems: who
    maximises the shaped reward finds the largest weights.

    Args:
        base_config: what every trial starts from: plain data, a YAML file (or the name of a shipped one) or a
            configuration's model. Runs and reward recipes are checked by their models.
        search_space: a tree like the base whose leaves are `{type: float|int|categorical, ...}` or functions of the
            trial; keys may be paths with dots.
        objective_function: called with the trial and `objective_kwargs`, and with the trial's configuration where it
            has a parameter `config`. Returns one number, or one for each direction. What it raises fails the trial.
        objective_kwargs: further arguments, the same in every trial.
        n_trials: how many trials are to finish.
        study_name: names the study in its storage.
        storage: a URL (`sqlite:///study.db`, `journal:study.log`, `postgresql://...`) or a storage of Optuna; None: the
            study ends with the process.
        direction: `maximize` or `minimize`.
        sampler: who proposes parameters: `tpe`, `gp`, `cmaes`, `random`, `qmc`, or a `SamplerConfig`.
        pruner: which trials end early, by what they report: `median`, `hyperband`, `wilcoxon`, `none`, ..., or a
            `PrunerConfig`.
        directions: instead of `direction`, one for each of several objectives.
        seed: of all proposals.
        timeout: seconds after which no new trial begins; None: no limit.
        workers: processes that run trials; more than one need a storage with a URL.
        resume: go on with a study that the storage has already; without, that is an error.
        callbacks: each called with the study and every trial that finishes.
        stop: asked before each trial; true: no further one begins.

    Raises:
        ConfigError: base, space, objective or an option cannot be used; one line for each thing that is wrong.

    Example:
        >>> recipe = {"reward_shaping": {"goal": {"class": "GoalReward", "weight_schedule": {"initial_weight": 9.0}}}}
        >>> optimizer = BayesianRewardOptimizer(
        ...     recipe,
        ...     {"reward_shaping.goal.weight_schedule.initial_weight": {"type": "float", "low": 1.0, "high": 9.0}},
        ...     lambda trial, config: -config["reward_shaping"]["goal"]["weight_schedule"]["initial_weight"],
        ...     n_trials=12,
        ... )
        >>> best_params, best_value, study = optimizer.optimize()
        >>> -9.0 <= best_value <= -1.0, len(study.trials)
        (True, 12)
    """

    def __init__(
        self,
        base_config: Mapping[str, Any] | str | Path | BaseModel,
        search_space: Mapping[str, Any] | SearchSpace,
        objective_function: Callable[..., Any],
        objective_kwargs: Mapping[str, Any] | None = None,
        n_trials: int = 100,
        study_name: str | None = None,
        storage: "str | BaseStorage | None" = None,
        direction: str = "maximize",
        sampler: str | SamplerConfig | Mapping[str, Any] = "tpe",
        pruner: str | PrunerConfig | Mapping[str, Any] = "median",
        *,
        directions: Sequence[str] | None = None,
        seed: int = 0,
        timeout: float | None = None,
        workers: int = 1,
        resume: bool = False,
        callbacks: Sequence[Callback] = (),
        stop: Callable[[], bool] | None = None,
    ) -> None:
        self.configs = TrialConfigs(base_config, search_space)
        self.function = TrialFunction(objective_function, objective_kwargs, self.configs)
        self.workers = workers
        self.resume = resume
        self._callbacks = tuple(callbacks)
        self._stop = stop
        self._options: dict[str, Any] = {
            "name": "rewards" if study_name is None else study_name,
            "storage": MEMORY if storage is None else storage,
            "directions": _directions(direction, directions),
            "n_trials": n_trials,
            "timeout_s": timeout,
            "seed": seed,
            "sampler": _read(SamplerConfig, sampler, "sampler"),
            "pruner": _read(PrunerConfig, pruner, "pruner"),
        }
        self.plan  # noqa: B018 - refuses options that are out of range now rather than after the dry run

    @property
    def base_config(self) -> dict[str, Any]:
        """What every trial starts from, as plain data."""
        return self.configs.base

    @property
    def search_space(self) -> SearchSpace:
        """What trials set."""
        return self.configs.space

    @property
    def plan(self) -> StudyPlan:
        """The study, without what makes it this one: that needs a dry run."""
        return StudyPlan(**self._options)

    def check(self, samples: int = 32) -> list[TunedParameter]:
        """Draw configurations without running anything; each is checked and its reward pipeline built.

        Returns:
            What is tuned.

        Raises:
            ConfigError: one line for each thing that is wrong.
        """
        return self.configs.check(samples)

    def optimize(self) -> TuningResult:
        """Run trials until as many as asked for are finished, after a dry run of the space.

        Returns:
            The result; it unpacks as `best_params, best_value, study`.

        Raises:
            ConfigError: the dry run found something; no trial was run.
            StudyError: the storage has a study of this name, with another space or not to be resumed.
            StorageError: the storage is down.
            TuningError: the first trials all failed; says the first cause.
        """
        self.check()
        fingerprint = {"search_space": self.search_space.fingerprint(), "base_config": plain_json(self.base_config)}
        study = run_study(
            self.plan.replace(fingerprint=fingerprint),
            self.function,
            workers=self.workers,
            resume=self.resume,
            stop=self._stop,
            on_trial=self._tell if self._callbacks else None,
        )
        return TuningResult(study, self.configs)

    def generate_trial_config(self, trial: "BaseTrial") -> dict[str, Any]:
        """Return the configuration of a trial: the base, with what the search space draws for it.

        For objectives that would rather ask than take a parameter `config`.
        """
        return self.configs.generate(trial)

    def _tell(self, study: "optuna.Study", trial: "FrozenTrial") -> None:
        for callback in self._callbacks:
            callback(study, trial)


def _directions(direction: str, directions: Sequence[str] | None) -> tuple[str, ...]:
    chosen = (direction,) if directions is None else tuple(directions)
    for word in chosen:
        if word not in DIRECTIONS:
            guess = did_you_mean(word, DIRECTIONS) if isinstance(word, str) else ""
            raise ConfigError(f"direction: expected 'maximize' or 'minimize', got {shown(word)}{guess}")
    return chosen


def _read(model: type[M], value: object, name: str) -> M:
    if isinstance(value, model):
        return value
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{name}: expected a name or a {model.__name__}, got {type(value).__name__}: every trial gets one of its "
            "own, seeded by its place in the study, so that a study is the same after a resume"
        )
    return validate_config(model, dict(value), source=SourceMap(name))
