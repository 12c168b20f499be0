"""What one tuned parameter may be: a range of numbers, or one of several choices.

Ranges are checked where they are written and not by Optuna when the first trial asks for a value.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from rlenvs.config_problems import ConfigKeyError, problems_of, strict_validate, unknown_choice
from rlenvs.config_source import KeyPath, Problem
from rlenvs.shown import shown

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

__all__ = ["KEYS", "TYPES", "ChoiceKeys", "FloatSpec", "IntSpec", "RangeSpec", "Scalar", "read_range"]

Scalar = None | bool | int | float | str
"""What Optuna stores as a choice."""

MOST_STEPS = 10**12
"""Values of a range in steps: beyond, neighbours are hardly different floats, and Optuna's own arithmetic gives up."""

Name = Annotated[str, Field(min_length=1)]


class _Spec(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FloatSpec(_Spec):
    """A real number in [low, high].

    Example:
        >>> FloatSpec(type="float", low=0.1, high=5.0, log=True).described
        'float 0.1 to 5.0, by factors'
    """

    type: Literal["float"]
    low: FiniteFloat = Field(description="smallest value")
    high: FiniteFloat = Field(description="largest value")
    log: bool = Field(False, description="search by factors rather than by differences; needs low > 0")
    step: Annotated[FiniteFloat, Field(gt=0)] | None = Field(
        None, description="only low, low + step, ...; not with log"
    )
    name: Name | None = Field(None, description="of the parameter in the study; null: its path")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _check_range(self.low, self.high)
        if self.log and self.low <= 0:
            raise ConfigKeyError("low", f"must be > 0 with log: true, got {shown(self.low)}")
        if self.log and self.step is not None:
            raise ConfigKeyError("step", "does not go with log: true; leave one of them out")
        if self.step is not None:
            _check_step(self.low, self.high, self.step)
        return self

    @property
    def described(self) -> str:
        """The range in words."""
        return f"float {_range_in_words(self.low, self.high, self.log, self.step)}"

    def draw(self, trial: "BaseTrial", name: str) -> float:
        """Return the value that a trial has for this range."""
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)


class IntSpec(_Spec):
    """A whole number in [low, high].

    Example:
        >>> IntSpec(type="int", low=16, high=64, step=16).described
        'int 16 to 64 in steps of 16'
    """

    type: Literal["int"]
    low: int = Field(description="smallest value")
    high: int = Field(description="largest value")
    log: bool = Field(False, description="search by factors rather than by differences; needs low >= 1")
    step: Annotated[int, Field(ge=1)] = Field(1, description="only low, low + step, ...; not with log")
    name: Name | None = Field(None, description="of the parameter in the study; null: its path")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        _check_range(self.low, self.high)
        if self.log and self.low < 1:
            raise ConfigKeyError("low", f"must be >= 1 with log: true, got {self.low}")
        if self.log and self.step != 1:
            raise ConfigKeyError("step", "does not go with log: true; leave one of them out")
        _check_step(self.low, self.high, self.step)
        return self

    @property
    def described(self) -> str:
        """The range in words."""
        return f"int {_range_in_words(self.low, self.high, self.log, self.step if self.step != 1 else None)}"

    def draw(self, trial: "BaseTrial", name: str) -> int:
        """Return the value that a trial has for this range."""
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step)


class ChoiceKeys(_Spec):
    """The keys of a choice between values; the values themselves are read apart: they may hold functions."""

    type: Literal["categorical"]
    choices: Any = Field(description="a list of plain values, or label -> value or sub-tree")
    name: Name | None = Field(None, description="of the parameter in the study; null: its path")


RangeSpec = FloatSpec | IntSpec
TYPES: dict[str, type[FloatSpec] | type[IntSpec] | type[ChoiceKeys]] = {
    "float": FloatSpec,
    "int": IntSpec,
    "categorical": ChoiceKeys,
}
KEYS = tuple(dict.fromkeys(key for model in TYPES.values() for key in model.model_fields))
"""Every key that the description of some parameter has."""


@dataclass(frozen=True)
class ReadSpec:
    """What became of the description of a parameter: it, or what is wrong with it."""

    spec: FloatSpec | IntSpec | ChoiceKeys | None
    problems: tuple[Problem, ...] = ()


def read_range(data: Mapping[str, Any], at: KeyPath) -> ReadSpec:
    """Read the description of a parameter, its choices left aside.

    Args:
        data: `{type: ..., ...}`.
        at: where it was written; problems are reported under it.

    Example:
        >>> read_range({"type": "flot"}, ("lr",)).problems[0].message
        "unknown 'type' 'flot'; did you mean 'float'? (known: categorical, float, int)"
    """
    kind = data.get("type")
    if kind is None:
        return ReadSpec(None, tuple(_without_type(data, at)))
    if not isinstance(kind, str) or kind not in TYPES:
        choice = unknown_choice("type", kind if isinstance(kind, str) else shown(kind), TYPES)
        return ReadSpec(None, (Problem(at, str(choice), at=(*at, "type")),))
    model = TYPES[kind]
    plain = {str(key): plain_scalar(value) for key, value in data.items()}
    if "choices" in plain and kind == "categorical":
        plain["choices"] = None  # may hold what JSON does not
    try:
        return ReadSpec(strict_validate(model, plain))
    except ValidationError as error:
        return ReadSpec(None, tuple(problems_of(error, model, plain, at)))
    except (TypeError, ValueError, RecursionError) as error:
        return ReadSpec(None, (Problem(at, f"not plain data ({error})"),))


def _without_type(data: Mapping[str, Any], at: KeyPath) -> list[Problem]:
    from rlenvs.suggestions import did_you_mean, nearest

    for key in data:
        if key not in KEYS and nearest(str(key), KEYS) == "type":
            message = f"unknown key {shown(key)}{did_you_mean(str(key), KEYS)} (known: {', '.join(KEYS)})"
            return [Problem((*at, str(key)), message)]
    return [Problem(at, f"missing key 'type' (one of {', '.join(TYPES)})")]


def plain_scalar(value: Any) -> Any:
    """Turn a scalar of numpy into Python's own; anything else stays what it is."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _check_range(low: float, high: float) -> None:
    if low > high:
        raise ConfigKeyError("low", f"must be <= high ({shown(high)}), got {shown(low)}")


def _check_step(low: float, high: float, step: float) -> None:
    """Refuse a step that does not end at `high`: Optuna would lower `high` with a warning."""
    # Decimal, as Optuna does: 0.3 is three steps of 0.1 for whoever wrote it
    span, width = Decimal(repr(high)) - Decimal(repr(low)), Decimal(repr(step))
    if span > width * MOST_STEPS:
        raise ConfigKeyError("step", f"is too fine for {shown(low)} to {shown(high)}, got {shown(step)}: leave it out")
    if span % width:
        highest = Decimal(repr(low)) + span // width * width
        raise ConfigKeyError("step", f"must divide high - low ({span}), got {shown(step)}: {highest} would be highest")


def _range_in_words(low: float, high: float, log: bool, step: float | None) -> str:
    ways = ", by factors" if log else f" in steps of {step}" if step is not None else ""
    return f"{low} to {high}{ways}"


def choice_problems(values: Sequence[Any], at: KeyPath) -> list[Problem]:
    """Return what is wrong with a list of choices.

    Example:
        >>> choice_problems([1, True], ("x", "choices"))[0].message
        'is equal to item 0 for Python (1 == true): give them labels, {label: value}'
    """
    problems = []
    for index, value in enumerate(values):
        here = (*at, index)
        if not isinstance(value, Scalar):
            kind = "a mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}"
            text = f"{kind} cannot be stored as a choice: give each a label, {{label: value}}"
            problems.append(Problem(here, text))
        elif isinstance(value, float) and not _is_json(value):
            problems.append(Problem(here, f"{value} cannot be stored as a choice: give each a label, {{label: value}}"))
        else:
            problems += _equal_choice(values, index, here)
    return problems


def _equal_choice(values: Sequence[Any], index: int, here: KeyPath) -> list[Problem]:
    value = values[index]
    for before in range(index):
        if isinstance(values[before], Scalar) and values[before] == value:
            if type(values[before]) is type(value):
                return [Problem(here, f"given twice: item {before} is {shown(value)} too")]
            pair = f"{shown(values[before])} == {shown(value)}"
            text = f"is equal to item {before} for Python ({pair}): give them labels, {{label: value}}"
            return [Problem(here, text)]
    return []


def _is_json(value: float) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True
