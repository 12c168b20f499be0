"""Typed configuration of the reward layer, and how it becomes a pipeline.

The keys are those of the reward cookbook: `reward_components` names the parts, `reward_shaping` their weights.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from rlenvs.config_file import (
    ConfigKeyError,
    did_you_mean,
    load_config,
    parse_config,
    unknown_choice,
    validate_params,
)
from rlenvs.errors import ConfigError
from rlenvs.wrappers import components as _registers_the_components  # noqa: F401
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.potentials import LLMPotentialBasedReward
from rlenvs.wrappers.schedules import ConstantSchedule, ExponentialSchedule, LinearSchedule, Schedule
from rlenvs.wrappers.scoring import ErrorPolicy, OnError

POTENTIAL_CLASS = LLMPotentialBasedReward.__name__
Step = Annotated[int, Field(ge=0)]


class ComponentConfig(BaseModel):
    """One entry of `reward_components`: a class, its parameters, and what becomes of its errors."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, serialize_by_alias=True)

    class_name: str = Field(alias="class", description="registered name of the component")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the class")
    on_error: OnError = Field("raise", description="what becomes of an error that the text cannot have provoked")
    error_value: FiniteFloat | None = Field(None, description="stands in for an error with penalty or default")

    @model_validator(mode="after")
    def _class_and_params_fit(self) -> "ComponentConfig":
        known = [*component_registry.names(), POTENTIAL_CLASS]
        if self.class_name not in known:
            raise unknown_choice("class", self.class_name, known)
        validate_params(_component_class(self.class_name), self.params)
        return self

    @model_validator(mode="after")
    def _error_value_belongs_to_a_policy(self) -> "ComponentConfig":
        needs_value = self.on_error in ("penalty", "default")
        if needs_value and self.error_value is None:
            raise ConfigKeyError("on_error", f"{self.on_error!r} needs an error_value beside it")
        if not needs_value and self.error_value is not None:
            raise ConfigKeyError("error_value", f"is used with on_error penalty or default, not {self.on_error!r}")
        if self.is_potential and self.on_error != "raise":
            raise ConfigKeyError(
                "on_error", f"a potential that fails has no stand-in: use 'raise', not {self.on_error!r}"
            )
        return self

    @property
    def is_potential(self) -> bool:
        """Whether this is a potential term rather than a component of the weighted sum."""
        return self.class_name == POTENTIAL_CLASS

    def build(self) -> BaseReward | LLMPotentialBasedReward:
        """Return the component."""
        target = _component_class(self.class_name)
        built: BaseReward | LLMPotentialBasedReward = target(**validate_params(target, self.params))
        return built


class ShapingConfig(BaseModel):
    """One entry of `reward_shaping`: a component's weight over time, in environment steps."""

    model_config = ConfigDict(extra="forbid")

    initial_weight: FiniteFloat = Field(1.0, description="weight at the start")
    decay_schedule: Literal["none", "constant", "linear", "exponential"] = Field(
        "none", description="how the weight moves from initial_weight to min_weight"
    )
    decay_rate: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="exponential: factor per decay_steps, in (0, 1]"
    )
    decay_steps: Annotated[int, Field(ge=1)] | None = Field(None, description="environment steps that it takes")
    min_weight: FiniteFloat = Field(0.0, description="weight where a decay ends")
    start_step: Step = Field(0, description="environment steps before the decay begins")

    @model_validator(mode="after")
    def _keys_belong_to_the_schedule(self) -> "ShapingConfig":
        decay = self.decay_schedule
        needs = {"linear": ["decay_steps"], "exponential": ["decay_steps", "decay_rate"]}.get(decay, [])
        uses = {*needs, *(("min_weight", "start_step") if needs else ())}
        for key in ("decay_steps", "decay_rate", "min_weight", "start_step"):
            value = getattr(self, key)
            if key in needs and value is None:
                raise ConfigKeyError("decay_schedule", f"{decay!r} needs {key!r} beside it")
            if key not in uses and value != type(self).model_fields[key].default:
                raise ConfigKeyError(key, f"is not used by decay_schedule {decay!r}; remove it")
        if needs and self.min_weight > self.initial_weight:
            raise ConfigKeyError(
                "min_weight",
                f"must be <= initial_weight ({self.initial_weight}) in a decay, got {self.min_weight}",
            )
        return self

    def build(self) -> Schedule:
        """Return the schedule."""
        if self.decay_schedule == "linear":
            assert self.decay_steps is not None
            return LinearSchedule(self.initial_weight, self.min_weight, self.decay_steps, self.start_step)
        if self.decay_schedule == "exponential":
            assert self.decay_steps is not None
            assert self.decay_rate is not None
            return ExponentialSchedule(
                self.initial_weight, self.min_weight, self.decay_rate, self.decay_steps, self.start_step
            )
        return ConstantSchedule(self.initial_weight)


class RewardConfig(BaseModel):
    """A whole reward: components and how their weights move.

    Example:
        >>> config = RewardConfig.load({"reward_components": {"right": {"class": "CorrectnessReward"}}})
        >>> config.reward_components["right"].class_name
        'CorrectnessReward'
    """

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    reward_components: dict[str, ComponentConfig] = Field(min_length=1, description="name -> component")
    reward_shaping: dict[str, ShapingConfig] = Field(
        default_factory=dict, description="name -> weight; a component without an entry keeps weight 1"
    )

    @model_validator(mode="after")
    def _shapes_existing_components(self) -> "RewardConfig":
        for name in self.reward_shaping:
            if name not in self.reward_components:
                known = list(self.reward_components)
                raise ConfigKeyError(
                    ("reward_shaping", name),
                    f"no component has this name{did_you_mean(name, known)} (known: {', '.join(known)})",
                )
        return self

    @classmethod
    def load(cls, config: "str | Path | Mapping[str, Any] | RewardConfig") -> "RewardConfig":
        """Read a YAML file or a mapping; a `RewardConfig` is returned as it is.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        if isinstance(config, RewardConfig):
            return config
        if isinstance(config, Mapping):
            return parse_config(cls, config, name="rewards")
        return load_config(cls, config)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `load` reads back."""
        return self.model_dump(mode="json", exclude_defaults=True)


def build_pipeline(config: RewardConfig) -> RewardPipeline:
    """Return the pipeline that `config` describes.

    Raises:
        ConfigError: a component refuses its parameters; the message names the component.
    """
    parts = {}
    for name, component in config.reward_components.items():
        try:
            parts[name] = component.build()
        except ConfigError as error:
            raise ConfigError(f"reward_components.{name}.params: {error}") from error
    return RewardPipeline(
        parts,
        schedules={name: shaping.build() for name, shaping in config.reward_shaping.items()},
        policies={
            name: ErrorPolicy(component.on_error, math.nan if component.error_value is None else component.error_value)
            for name, component in config.reward_components.items()
        },
    )


def _component_class(name: str) -> Callable[..., Any]:
    return LLMPotentialBasedReward if name == POTENTIAL_CLASS else component_registry.get(name)
