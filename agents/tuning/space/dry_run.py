"""Asking a search space for a few dozen samples before any trial is run: functions show what they ask for."""

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)

from rlenvs.agents.tuning.space.leaves import Leaf, as_path
from rlenvs.agents.tuning.space.trials import DryTrial, DryValues
from rlenvs.config_source import KeyPath, Problem, dotted
from rlenvs.shown import shown

__all__ = ["Asked", "DryRun", "dry_run"]

SAMPLES = 32


@dataclass
class Asked:
    """A parameter that somebody asked for.

    Attributes:
        name: in the study.
        leaf: who asked first.
        distributions: what it was asked as, each once; more than one where a function moves its range.
        samples: in how many samples it was asked for.
    """

    name: str
    leaf: Leaf
    distributions: list[BaseDistribution]
    samples: int = 0


@dataclass
class DryRun:
    """What a space gave when it was asked.

    Attributes:
        drawn: path -> value, for each sample that could be drawn.
        params: name -> value, for each of them.
        entered: the leaves that were drawn, those inside of choices too, for each of them.
        asked: the parameters by name, in the order in which they were first asked for.
        problems: what is wrong with the functions and names, at the places of the space.
    """

    drawn: list[dict[KeyPath, Any]] = field(default_factory=list)
    params: list[dict[str, Any]] = field(default_factory=list)
    entered: list[list[Leaf]] = field(default_factory=list)
    asked: dict[str, Asked] = field(default_factory=dict)
    problems: dict[KeyPath, Problem] = field(default_factory=dict)

    def functions_ask(self) -> dict[KeyPath, list[Any]]:
        """Return what each function asks for, as plain JSON, by the place where the function was written."""
        found: dict[KeyPath, list[Any]] = {}
        for asked in self.asked.values():
            if asked.leaf.is_function:
                kinds = sorted(distribution_to_json(distribution) for distribution in asked.distributions)
                found.setdefault(asked.leaf.at, []).append([asked.name, *kinds])
        return {place: sorted(names) for place, names in found.items()}


def dry_run(leaves: Sequence[Leaf], samples: int = SAMPLES, seed: int = 0) -> DryRun:
    """Draw samples; problems are kept and not raised.

    Args:
        leaves: of the space, without those inside of choices.
        samples: how many.
        seed: of the values.
    """
    run = DryRun()
    values = DryValues(seed)
    used: set[KeyPath] = set()
    entered: dict[KeyPath, Leaf] = {}
    for number in range(samples):
        trial = DryTrial(values, number)
        round_ = _Round(run, trial, used, entered)
        drawn = {leaf.path: value for leaf in leaves for value in [round_.draw(leaf)] if value is not _FAILED}
        round_.count()
        if len(drawn) == len(leaves):
            run.drawn.append(drawn)
            run.params.append(trial.params)
            run.entered.append(round_.leaves)
    for place, leaf in entered.items():
        if leaf.is_function and place not in used and place not in run.problems:
            run.problems[place] = Problem(place, "the function asks the trial for nothing: what it returns never moves")
    return run


_FAILED = object()


class _Round:
    """One sample: who asks for what is told by who was entered last."""

    def __init__(self, run: DryRun, trial: DryTrial, used: set[KeyPath], entered: dict[KeyPath, Leaf]) -> None:
        self.run, self.trial, self.used, self.entered = run, trial, used, entered
        self.current: Leaf | None = None
        self.leaves: list[Leaf] = []
        self.touched = 0
        self.seen = 0

    def draw(self, leaf: Leaf) -> Any:
        try:
            value = leaf.draw(self.trial, self.enter)
        except Exception as error:  # noqa: BLE001 - somebody's own function may raise anything
            assert self.current is not None
            self.run.problems.setdefault(self.current.at, _failure(self.current, error))
            value = _FAILED
        self.settle()
        return value

    def enter(self, leaf: Leaf) -> None:
        """Note who is about to ask, and what the one before asked."""
        self.settle()
        self.current = leaf
        self.leaves.append(leaf)
        self.entered.setdefault(leaf.at, leaf)

    def settle(self) -> None:
        if self.current is None:
            return
        if self.trial.touched > self.touched:
            self.used.add(self.current.at)
        for name, distribution in self.trial.asked[self.seen :]:
            self.note(name, distribution, self.current)
        self.touched, self.seen = self.trial.touched, len(self.trial.asked)

    def note(self, name: str, distribution: BaseDistribution, leaf: Leaf) -> None:
        """Keep what was asked for; refuse one name for two different things."""
        asked = self.run.asked.setdefault(name, Asked(name, leaf, []))
        if distribution in asked.distributions:
            return
        if asked.distributions and not (asked.leaf.at == leaf.at and _may_move(asked.distributions[0], distribution)):
            self.run.problems.setdefault(leaf.at, _conflict(asked, distribution, leaf))
            return
        asked.distributions.append(distribution)

    def count(self) -> None:
        for name in self.trial.distributions:
            if name in self.run.asked:
                self.run.asked[name].samples += 1


def _may_move(first: BaseDistribution, second: BaseDistribution) -> bool:
    """Return whether a study takes both for one parameter: ranges of numbers may move, choices may not."""
    try:
        check_distribution_compatibility(first, second)
    except ValueError:
        return False
    return not isinstance(first, CategoricalDistribution)


def _conflict(asked: Asked, distribution: BaseDistribution, leaf: Leaf) -> Problem:
    first, second = in_words(asked.distributions[0]), in_words(distribution)
    if asked.leaf.at == leaf.at:
        text = f"the function asks for {asked.name!r} as {first} and then as {second}: a study knows one of them"
    else:
        there = dotted(as_path(asked.leaf.at))
        text = f"{asked.name!r} is {first} at {there} and {second} here: give it a name of its own"
    return Problem(leaf.at, text)


def in_words(distribution: BaseDistribution) -> str:
    """Return a distribution in words.

    Example:
        >>> in_words(FloatDistribution(0.1, 5.0, log=True))
        'float 0.1 to 5.0, by factors'
    """
    if isinstance(distribution, CategoricalDistribution):
        return f"one of {', '.join(shown(choice) for choice in distribution.choices)}"
    kind = "float" if isinstance(distribution, FloatDistribution) else "int"
    low, high, step = (getattr(distribution, key) for key in ("low", "high", "step"))
    steps = "" if step is None or (kind == "int" and step == 1) else f" in steps of {step}"
    return f"{kind} {low} to {high}{', by factors' if getattr(distribution, 'log', False) else steps}"


def _failure(leaf: Leaf, error: Exception) -> Problem:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}" if str(error) else type(error).__name__
    if not leaf.is_function:
        return Problem(leaf.at, f"cannot be drawn ({reason})")
    return Problem(leaf.at, f"the function failed ({reason}){_place(leaf.spec)}")


def _place(function: Any) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f"; it is in {code.co_filename}:{code.co_firstlineno}"
