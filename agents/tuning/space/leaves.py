"""Where a search space ends: in the description of a parameter, or in a function of the trial.

A choice may have parameters of its own. What stands under a label is a *template*: plain data with leaves in it, which
becomes plain data once a trial has chosen the label.
"""

import copy
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.space.specs import FloatSpec, IntSpec, Scalar, plain_scalar
from rlenvs.config_source import KeyPath

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = [
    "Choice",
    "ChoiceSpec",
    "Draw",
    "Leaf",
    "Template",
    "Watcher",
    "as_path",
    "leaves_within",
    "plain_json",
    "realized",
]

Draw = Callable[..., Any]
"""A function of the trial that returns the value."""

Template = Any
"""Plain data in which leaves may stand at any depth."""

Watcher = Callable[["Leaf"], None]
"""Is told which leaf is about to ask the trial."""


@dataclass(frozen=True)
class Choice:
    """One of several.

    Attributes:
        stored: what the study stores, a label or the value itself.
        template: the value.
    """

    stored: Scalar
    template: Template


@dataclass(frozen=True)
class ChoiceSpec:
    """One of several values or sub-trees."""

    choices: tuple[Choice, ...]

    @property
    def described(self) -> str:
        """The choices in words.

        Example:
            >>> ChoiceSpec((Choice(None, None), Choice("z_score", "z_score"))).described
            "one of null, 'z_score'"
        """
        from rlenvs.shown import shown

        return f"one of {', '.join(shown(choice.stored) for choice in self.choices)}"

    def draw(self, trial: "BaseTrial", name: str, watch: Watcher) -> Any:
        """Return what a trial has chosen, with the parameters inside drawn too."""
        stored = trial.suggest_categorical(name, [choice.stored for choice in self.choices])
        return realized(self.choices[self.index(stored)].template, trial, watch)

    def index(self, stored: object) -> int:
        """Return which choice is stored as `stored`."""
        return next(index for index, choice in enumerate(self.choices) if choice.stored == stored)


@dataclass(frozen=True)
class Leaf:
    """One place of a configuration that trials set.

    Attributes:
        path: the place, from the top of the configuration.
        name: of the parameter in the study; a function names its parameters itself.
        spec: range, choices or function.
        at: where it was written in the search space.
    """

    path: KeyPath
    name: str
    spec: FloatSpec | IntSpec | ChoiceSpec | Draw
    at: KeyPath = ()

    def draw(self, trial: "BaseTrial", watch: Watcher) -> Any:
        """Return the value that a trial has here."""
        watch(self)
        if isinstance(self.spec, ChoiceSpec):
            return self.spec.draw(trial, self.name, watch)
        if isinstance(self.spec, FloatSpec | IntSpec):
            return self.spec.draw(trial, self.name)
        return plain_scalar(self.spec(trial))

    @property
    def is_function(self) -> bool:
        """Whether a function of the trial gives the value."""
        return not isinstance(self.spec, FloatSpec | IntSpec | ChoiceSpec)

    def fingerprint(self, asked: Mapping[KeyPath, Any]) -> Any:
        """Return what the leaf may become, as plain JSON.

        Args:
            asked: what the functions of a space ask for, by the place where they were written.
        """
        if isinstance(self.spec, FloatSpec | IntSpec):
            return {**self.spec.model_dump(mode="json", exclude={"name"}), "name": self.name}
        if isinstance(self.spec, ChoiceSpec):
            choices = [[choice.stored, _fingerprint(choice.template, asked)] for choice in self.spec.choices]
            return {"type": "categorical", "name": self.name, "choices": choices}
        return {"type": "function", "asks": asked.get(self.at, [])}


def realized(template: Template, trial: "BaseTrial", watch: Watcher) -> Any:
    """Return plain data: the template with every leaf drawn, in the order in which they stand."""
    if isinstance(template, Leaf):
        return template.draw(trial, watch)
    if isinstance(template, Mapping):
        return {key: realized(value, trial, watch) for key, value in template.items()}
    if isinstance(template, list | tuple):
        return [realized(value, trial, watch) for value in template]
    return copy.deepcopy(template)


def leaves_within(template: Template) -> Iterator[Leaf]:
    """Yield every leaf of a template, those inside of choices after the choice."""
    if isinstance(template, Leaf):
        yield template
        if isinstance(template.spec, ChoiceSpec):
            for choice in template.spec.choices:
                yield from leaves_within(choice.template)
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from leaves_within(value)
    elif isinstance(template, list | tuple):
        for value in template:
            yield from leaves_within(value)


def _fingerprint(template: Template, asked: Mapping[KeyPath, Any]) -> Any:
    if isinstance(template, Leaf):
        return {"leaf": template.fingerprint(asked)}
    if isinstance(template, Mapping):
        return {"tree": {str(key): _fingerprint(value, asked) for key, value in template.items()}}
    if isinstance(template, list | tuple):
        return [_fingerprint(value, asked) for value in template]
    return plain_json(template)


def as_path(at: KeyPath) -> KeyPath:
    """Return a place of the space as a path: a key with dots is several names.

    Example:
        >>> as_path(("ppo.clip", "choices", 0))
        ('ppo', 'clip', 'choices', 0)
    """
    return tuple(name for key in at for name in (key.split(".") if isinstance(key, str) else [key]))


def plain_json(value: Any) -> Any:
    """Return a value as JSON has it; numbers that JSON does not have as text, objects as the names of their classes.

    Example:
        >>> plain_json((1, {"a": float("inf"), 2: None}))
        [1, {'a': 'inf', '2': None}]
    """
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Scalar):
        return json.loads(json.dumps(value))
    # Not its repr: that may hold an address, and be another one after a resume.
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
