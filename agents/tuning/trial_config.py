"""From a base configuration and a search space to the configuration of a trial."""

import copy
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from rlenvs.agents.tuning.base import BaseConfig, BaseKind
from rlenvs.agents.tuning.places import has, put, resolve
from rlenvs.agents.tuning.space import SearchSpace, TunedParameter
from rlenvs.agents.tuning.space.leaves import ChoiceSpec, Leaf
from rlenvs.agents.tuning.unused_keys import drop_unused_keys
from rlenvs.config_source import KeyPath, Problem, SourceMap, dotted
from rlenvs.errors import ConfigError
from rlenvs.shown import shown

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from rlenvs.agents.tuning.environment_check import EnvironmentCheck

__all__ = ["TrialConfigs"]

SHOWN_VALUES = 4
NUMBERS = re.compile(r"-?\d[\d.e+-]*")
UNUSED = "no value that is drawn beside it uses it: it would be tuned and never count; remove it"


class TrialConfigs:
    """Makes the configuration of each trial.

    A base that is a run's configuration or a reward recipe is checked by its model, and so is what is made from it. A
    recipe may have sections of the user's own beside it; those, and a base that is neither, are taken as they are.

    Args:
        base: a mapping, a YAML file (or the name of a shipped one) or a configuration's model.
        space: what trials set, as `SearchSpace.parse` takes it.
        source: where a base that is a mapping was written; without it messages have no line numbers.
        at: where the base lies in `source`.

    Attributes:
        base: plain data; never changed.
        space: what trials set.

    Raises:
        ConfigError: base or space cannot be used, or the space names a place that the base does not have.

    Example:
        >>> from optuna.trial import FixedTrial
        >>> configs = TrialConfigs(
        ...     {"reward_shaping": {"goal": {"class": "GoalReward", "weight_schedule": {"initial_weight": 10.0}}}},
        ...     {"reward_shaping.goal.weight_schedule.initial_weight": {"type": "float", "low": 1.0, "high": 50.0}},
        ... )
        >>> configs.generate(FixedTrial({"reward_shaping.goal.weight_schedule.initial_weight": 2.5}))
        {'reward_shaping': {'goal': {'class': 'GoalReward', 'weight_schedule': {'initial_weight': 2.5}}}}
    """

    def __init__(
        self,
        base: Mapping[str, Any] | str | Path | BaseModel,
        space: Mapping[str, Any] | SearchSpace,
        *,
        source: SourceMap | None = None,
        at: KeyPath = (),
    ) -> None:
        self.space = SearchSpace.parse(space)
        self._base = BaseConfig.read(base, source, at)
        self.base = copy.deepcopy(self._base.data)
        resolved = {leaf.path: resolve(self._base, leaf.path) for leaf in self.space.leaves}
        problems = [self._at_space(place) for place in resolved.values() if isinstance(place, Problem)]
        if problems:
            raise self.space.source.error(problems)
        self._places: dict[KeyPath, KeyPath] = {
            path: place for path, place in resolved.items() if not isinstance(place, Problem)
        }

    @property
    def kind(self) -> BaseKind:
        """What the base is."""
        return self._base.kind

    def generate(self, trial: "BaseTrial") -> dict[str, Any]:
        """Return a new configuration: the base, with the places of the space as the trial has them.

        Keys of schedules, normalisations and reducers that the trial has not chosen are left out.
        """
        entered: list[Leaf] = []
        drawn = {leaf.path: leaf.draw(trial, entered.append) for leaf in self.space.leaves}
        return self._config(drawn, entered)

    def generate_from_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration of a trial that had these parameters (`study.best_params`).

        Raises:
            ConfigError: a parameter is missing.
        """
        from optuna.trial import FixedTrial

        try:
            return self.generate(FixedTrial(dict(params)))
        except ValueError as error:
            raise ConfigError(f"no configuration for these parameters: {' '.join(str(error).split())}") from error

    def model(self, config: Mapping[str, Any]) -> BaseModel | None:
        """Return a configuration as the model of its kind; None for a mapping of the user's own.

        Raises:
            ConfigError: the model refuses it.
        """
        return self._base.model(config)

    def check(self, samples: int = 32) -> list[TunedParameter]:
        """Draw samples without a study: each configuration is checked, and its reward pipeline built.

        The first two samples have every number at the ends of its range, which break most.

        Returns:
            What is tuned, with how often each was drawn.

        Raises:
            ConfigError: one line for each thing that is wrong, at its place in the space.
        """
        run = self.space.dry_run(samples)
        made = self._environments()
        found: dict[tuple[KeyPath, str], list[Problem]] = {}
        drawn_by: dict[KeyPath, Leaf] = {}
        used: set[KeyPath] = set()
        for drawn, params, entered in zip(run.drawn, run.params, run.entered, strict=True):
            config = self._config(drawn, entered)
            drawn_by |= {leaf.at: leaf for leaf in entered}
            used |= {leaf.at for leaf in entered if has(config, self._placed(leaf.path))}
            problems = self._base.problems(config)
            if not problems and made is not None and (refused := made.problem(config)) is not None:
                problems = [refused]
            for problem in problems:
                blamed = self._blamed(problem, params)
                # One line for one mistake, whichever values it was made with.
                found.setdefault((blamed.path, NUMBERS.sub("#", blamed.message)), []).append(blamed)
        told = [_counted(same, len(run.drawn)) for same in found.values()]
        unused = [leaf for place, leaf in drawn_by.items() if place not in used]
        told += [Problem(self._placed(leaf.path), UNUSED, at=(*self.space.at, *leaf.at)) for leaf in unused]
        if told:
            raise self.space.source.error(told)
        return self.space.described(run)

    def _environments(self) -> "EnvironmentCheck | None":
        """Return what makes the environments of runs, where the space reaches into them."""
        tuned = any(place[:1] == ("env",) for place in self._places.values())
        if not tuned or self.kind in (BaseKind.RECIPE, BaseKind.PLAIN):
            return None
        from rlenvs.agents.tuning.environment_check import EnvironmentCheck

        return EnvironmentCheck()

    def _config(self, drawn: Mapping[KeyPath, Any], entered: Iterable[Leaf]) -> dict[str, Any]:
        config = copy.deepcopy(self.base)
        for path, value in drawn.items():
            put(config, self._places[path], value)
        drop_unused_keys(config, [self._placed(leaf.path) for leaf in entered])
        return config

    def _placed(self, path: KeyPath) -> KeyPath:
        """Return the place of a leaf as the base has it, also of one inside of a choice."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._places:
                return (*self._places[path[:length]], *path[length:])
        return path

    def _at_space(self, problem: Problem) -> Problem:
        return Problem(problem.path, problem.message, at=self.space.place(problem.at or problem.path))

    def _blamed(self, problem: Problem, params: Mapping[str, Any]) -> Problem:
        """Return the problem of a configuration as one of the space: which leaf has brought it about."""
        place = problem.at or problem.path
        for leaf in self.space.leaves:
            target = self._places[leaf.path]
            if place[: len(target)] == target:
                at = self._inside(leaf, place[len(target) :], params)
                return Problem(problem.path, problem.message, at=(*self.space.at, *at))
        for leaf in self.space.leaves:
            target = self._places[leaf.path]
            if target[: len(place)] == place and not has(self.base, place):
                return self._at_space(problem)
        # A key of the base that does not go with what was drawn elsewhere.
        values = [f"{name} = {shown(value)}" for name, value in params.items()]
        drawn = f"; drawn: {', '.join(values)}" if len(values) <= SHOWN_VALUES else ""
        return Problem(problem.path, f"{problem.message}{drawn}", at=self.space.at)

    def _inside(self, leaf: Leaf, rest: KeyPath, params: Mapping[str, Any]) -> KeyPath:
        """Return where in the space a place inside of what a leaf has set was written."""
        if isinstance(leaf.spec, ChoiceSpec):
            stored = params[leaf.name]
            choice = leaf.spec.choices[leaf.spec.index(stored)]
            label = stored if choice.template is not stored else leaf.spec.index(stored)
            return (*leaf.at, "choices", label, *rest)
        return leaf.at

    def __repr__(self) -> str:
        """Say what is tuned, in short."""
        return f"TrialConfigs({self.kind.name}, tuned: {', '.join(dotted(leaf.path) for leaf in self.space.leaves)})"


def _counted(same: list[Problem], total: int) -> Problem:
    """Return the first of several problems that are one, with how many configurations have it."""
    problem = same[0]
    times = f" (in {len(same)} of {total} sampled configurations)" if len(same) < total else ""
    return Problem(problem.path, f"{problem.message}{times}", at=problem.at)
