"""The weight of a component over time, as configurations write it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    model_validator,
)

from rlenvs.config_file import did_you_mean
from rlenvs.config_problems import ConfigProblemsError, unknown_choice
from rlenvs.config_source import Problem
from rlenvs.shown import shown
from rlenvs.suggestions import nearest
from rlenvs.wrappers.config.construct import (
    MISSING,
    construct,
    construction_problems,
    parameter_names,
    required_parameters,
)
from rlenvs.wrappers.config.schema import of_each_schedule
from rlenvs.wrappers.schedules.base import Schedule
from rlenvs.wrappers.schedules.registry import SCHEDULES

__all__ = ["ShapingConfig", "schedule_keys", "shaping_problems"]

CHOICE, OTHER_CHOICE = CHOICES = ("decay_schedule", "schedule_type")
DEFAULTS = {"initial_weight": 1.0, "min_weight": 0.0}
"""What a schedule gets where the configuration says nothing, although the class itself wants to be told."""


@dataclass(frozen=True)
class WrittenKey:
    """Which of two names for one key the author chose. No part of a comparison: both mean the same."""

    name: str = field(compare=False)


class ShapingConfig(BaseModel):
    """One weight: a schedule and the keys that this schedule has, in environment steps.

    The schedule is called `decay_schedule` or `schedule_type`; giving both is an error. A key that the chosen
    schedule does not have is an error too, also where another schedule has it.

    Example:
        >>> ShapingConfig(decay_schedule="linear", decay_steps=100).build()(50)
        0.5
    """

    model_config = ConfigDict(extra="allow")

    initial_weight: FiniteFloat = Field(1.0, description="weight at the start")
    decay_schedule: str = Field("none", description="how the weight moves")
    _choice: WrittenKey = PrivateAttr(default_factory=lambda: WrittenKey(CHOICE))

    @model_validator(mode="wrap")
    @classmethod
    def _of_its_schedule(cls, data: Any, handler: ModelWrapValidatorHandler["ShapingConfig"]) -> "ShapingConfig":
        if not isinstance(data, dict):
            return handler(data)
        if problems := shaping_problems(data):
            raise ConfigProblemsError(problems)
        shaping = handler({CHOICE if key == OTHER_CHOICE else key: value for key, value in data.items()})
        shaping._choice = WrittenKey(_choice_key(data))
        return shaping

    @property
    def choice_key(self) -> str:
        """The name under which the author wrote the schedule: `decay_schedule` or `schedule_type`."""
        return self._choice.name

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the keys of each schedule to editors."""
        schema = handler(core_schema)
        of_each_schedule(handler.resolve_ref_schema(schema), SCHEDULES, CHOICES, handler)
        return schema

    def build(self) -> Schedule:
        """Return the schedule."""
        given = {"initial_weight": self.initial_weight, **(self.model_extra or {})}
        built: Schedule = construct(SCHEDULES[self.decay_schedule], _with_defaults(self.decay_schedule, given))
        return built


def schedule_keys() -> list[str]:
    """Return every key that some schedule has, and the two names of the choice between them."""
    return list(dict.fromkeys([CHOICE, OTHER_CHOICE, *(k for cls in SCHEDULES.values() for k in parameter_names(cls))]))


def shaping_problems(data: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with one entry of weights.

    Example:
        >>> shaping_problems({"decay_schedule": "linear", "decay_steps": 10, "decay_rate": 0.5})[0].message
        "is not used by decay_schedule 'linear'; remove it"
    """
    choice = _choice_key(data)
    misspelt = [key for key in data if key not in schedule_keys() and nearest(key, schedule_keys()) in CHOICES]
    if misspelt and choice not in data:  # what the other keys mean depends on it
        return [_unknown(key, schedule_keys(), schedule_keys()) for key in misspelt]
    if CHOICE in data and OTHER_CHOICE in data:
        return [Problem((OTHER_CHOICE,), f"is {CHOICE!r} by another name; give one of them")]
    schedule = data.get(choice, "none")
    if not isinstance(schedule, str):
        return [Problem((choice,), f"expected the name of a schedule, got {shown(schedule)}")]
    if schedule not in SCHEDULES:
        return [Problem((), str(unknown_choice(choice, schedule, SCHEDULES)), at=(choice,))]
    own = parameter_names(SCHEDULES[schedule])
    given = {key: value for key, value in data.items() if key not in CHOICES}
    surplus = [key for key in given if key not in own]
    problems = [_surplus(key, choice, schedule, own, choice in data) for key in surplus]
    complete = _with_defaults(schedule, {key: value for key, value in given.items() if key in own})
    needed = [key for key in required_parameters(SCHEDULES[schedule]) if key not in complete]
    problems += [
        Problem((choice,), f"{schedule!r} needs {key!r} beside it")
        for key in needed
        if not any(nearest(word, [key]) for word in surplus)
    ]
    found = construction_problems(SCHEDULES[schedule], complete, ())
    return problems + [problem for problem in found if not problem.message.startswith(MISSING)]


def _choice_key(data: Mapping[str, Any]) -> str:
    return OTHER_CHOICE if OTHER_CHOICE in data and CHOICE not in data else CHOICE


def _with_defaults(schedule: str, given: Mapping[str, Any]) -> dict[str, Any]:
    needed = required_parameters(SCHEDULES[schedule])
    return {**{key: value for key, value in DEFAULTS.items() if key in needed}, **given}


def _surplus(key: str, choice: str, schedule: str, own: list[str], is_named: bool) -> Problem:
    """Say that a key belongs to another schedule, or to none."""
    if key in schedule_keys():
        if is_named:
            return Problem((key,), f"is not used by {choice} {schedule!r}; remove it")
        either = " or ".join(CHOICES)
        return Problem((key,), f"needs a {either} beside it; without one the weight stands still")
    if key == "class":
        return Problem((key,), "belongs under reward_components, which this file has; here are weights alone")
    return _unknown(key, [choice, *own], schedule_keys())


def _unknown(key: str, known: list[str], every: list[str]) -> Problem:
    guess = did_you_mean(key, known) or did_you_mean(key, every)
    return Problem((key,), f"unknown key {shown(key)}{guess} (known: {', '.join(known)})")
