"""Weights as a `RewardShaper` takes them: `reward_shaping` alone, in either dialect, or schedules."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rlenvs.config_file import parse_config
from rlenvs.wrappers.config.dialects import is_guide
from rlenvs.wrappers.config.shaping import ShapingConfig
from rlenvs.wrappers.schedules.base import Schedule

__all__ = ["read_schedules"]


class _Weights(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reward_shaping: dict[str, ShapingConfig]


class _GuideEntry(BaseModel):
    """An entry of which only the weight is read: the component exists already."""

    model_config = ConfigDict(extra="allow")

    weight_schedule: ShapingConfig = Field(default_factory=ShapingConfig)


class _GuideWeights(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reward_shaping: dict[str, _GuideEntry]


def read_schedules(shaping_config: Mapping[str, Any]) -> dict[str, Schedule]:
    """Return name -> schedule.

    Args:
        shaping_config: name -> weight in either dialect, `ShapingConfig` or schedule.

    Raises:
        ConfigError: one line for each weight that cannot be used.

    Example:
        >>> read_schedules({"goal": {"class": "GoalReward", "weight_schedule": {"initial_weight": 10.0}}})
        {'goal': ConstantSchedule(initial_weight=10.0)}
    """
    ready = {name: weight for name, weight in shaping_config.items() if callable(weight)}
    built = {name: weight.build() for name, weight in shaping_config.items() if isinstance(weight, ShapingConfig)}
    plain = {name: weight for name, weight in shaping_config.items() if name not in ready and name not in built}
    data = {"reward_shaping": plain}
    if is_guide(data):
        entries = parse_config(_GuideWeights, data, name="shaping_config").reward_shaping
        weights = {name: entry.weight_schedule for name, entry in entries.items()}
    else:
        weights = parse_config(_Weights, data, name="shaping_config").reward_shaping
    read = {**ready, **built, **{name: weight.build() for name, weight in weights.items()}}
    return {name: read[name] for name in shaping_config}
