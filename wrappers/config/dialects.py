"""The guide's dialect: components and weights in one place, under `reward_shaping`.

```yaml
reward_shaping:
  goal:
    class: GoalReward
    params: {target_reward: 1.0}
    weight_schedule: {initial_weight: 10.0, schedule_type: constant}
```

says what the cookbook's dialect says as

```yaml
reward_components:
  goal: {class: GoalReward, params: {target_reward: 1.0}}
reward_shaping:
  goal: {initial_weight: 10.0, decay_schedule: constant}
```

A file with `reward_components` is read as the cookbook's dialect, any other whose `reward_shaping` names classes or
weight schedules as the guide's. Messages name the keys as they were written.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rlenvs.config_source import KeyPath
from rlenvs.suggestions import nearest
from rlenvs.wrappers.config.component import ComponentConfig, entry_keys
from rlenvs.wrappers.config.composer import ComposerSettings
from rlenvs.wrappers.config.shaping import ShapingConfig, schedule_keys

__all__ = ["GuideConfig", "GuideEntry", "in_cookbook_dialect", "is_guide", "place_in_guide"]

SCHEDULE = "weight_schedule"


class GuideEntry(ComponentConfig):
    """A component together with its weight."""

    weight_schedule: ShapingConfig = Field(
        default_factory=ShapingConfig, description="the component's weight over time"
    )


class GuideConfig(BaseModel):
    """A whole reward in the guide's dialect."""

    model_config = ConfigDict(extra="forbid")

    composer_settings: ComposerSettings = Field(default_factory=ComposerSettings)
    reward_shaping: dict[str, GuideEntry] = Field(min_length=1, description="name -> component and weight")


def is_guide(data: Mapping[str, Any]) -> bool:
    """Return whether plain data is meant in the guide's dialect; its keys may be misspelt.

    Example:
        >>> is_guide({"reward_shaping": {"goal": {"clss": "GoalReward"}}})
        True
        >>> is_guide({"reward_shaping": {"goal": {"initial_weight": 1.0}}})
        False
    """
    top = ("composer_settings", "reward_components", "reward_shaping")
    meant = {nearest(str(key), top): value for key, value in data.items()}
    if "reward_components" in meant or "reward_shaping" not in meant:
        return False
    entries = meant["reward_shaping"]
    if not isinstance(entries, dict):
        return True  # neither dialect: the guide's needs nothing else, and that is all there is to say
    keys = [*entry_keys(GuideEntry), *schedule_keys()]
    words = (key for entry in entries.values() if isinstance(entry, dict) for key in entry)
    return any(nearest(str(word), keys) in ("class", SCHEDULE) for word in words)


def in_cookbook_dialect(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain data of the cookbook's dialect that says what `data` says in the guide's.

    Example:
        >>> in_cookbook_dialect({"reward_shaping": {"goal": {"class": "GoalReward", "weight_schedule": {}}}})
        {'reward_components': {'goal': {'class': 'GoalReward'}}, 'reward_shaping': {'goal': {}}}
    """
    entries: Mapping[str, Mapping[str, Any]] = data["reward_shaping"]
    return {
        **({"composer_settings": data["composer_settings"]} if "composer_settings" in data else {}),
        "reward_components": {
            name: {key: value for key, value in entry.items() if key != SCHEDULE} for name, entry in entries.items()
        },
        "reward_shaping": {name: entry[SCHEDULE] for name, entry in entries.items() if SCHEDULE in entry},
    }


def place_in_guide(path: KeyPath) -> KeyPath:
    """Return where the guide's dialect has what the cookbook's has at `path`.

    Example:
        >>> place_in_guide(("reward_components", "goal", "params", "target_reward"))
        ('reward_shaping', 'goal', 'params', 'target_reward')
        >>> place_in_guide(("reward_shaping", "goal", "initial_weight"))
        ('reward_shaping', 'goal', 'weight_schedule', 'initial_weight')
    """
    if path[:1] == ("reward_components",):
        return ("reward_shaping", *path[1:])
    if path[:1] == ("reward_shaping",) and len(path) > 1:
        return (*path[:2], SCHEDULE, *path[2:])
    return path
