"""Keys that a trial does not need: those of a schedule, normalisation or reducer that it has not chosen.

A space says `decay_rate` beside `decay_schedule: [none, exponential]`. Where a trial draws `none`, the rate means
nothing, and a configuration that holds it would be refused: every key must be used. It is left out. Nothing else is: a
key beside a schedule that was *written* and not drawn stays, and is refused as everywhere.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rlenvs.config_source import KeyPath
from rlenvs.wrappers.config.composer import INPUT_KEYS, OLDER_WARMUP, OUTPUT_KEYS
from rlenvs.wrappers.config.construct import parameter_names
from rlenvs.wrappers.config.dialects import SCHEDULE
from rlenvs.wrappers.config.shaping import CHOICES, schedule_keys
from rlenvs.wrappers.normalization.strategies import NORMALIZATION_STRATEGIES, fields_used_by
from rlenvs.wrappers.reducers import reducer_registry
from rlenvs.wrappers.schedules.registry import SCHEDULES

__all__ = ["drop_unused_keys"]

RECIPES: tuple[KeyPath, ...] = ((), ("rewards",))
"""Where in a configuration a reward recipe may lie."""


def drop_unused_keys(config: dict[str, Any], drawn: Collection[KeyPath]) -> None:
    """Take out of a configuration what its choices do not use.

    Args:
        config: plain data, changed in place.
        drawn: the places that the trial has set.

    Example:
        >>> weight = {"initial_weight": 2.0, "decay_schedule": "none", "decay_rate": 0.5, "decay_steps": 10}
        >>> config = {"reward_shaping": {"long": weight}}
        >>> drop_unused_keys(config, [("reward_shaping", "long", "decay_schedule")])
        >>> config["reward_shaping"]["long"]
        {'initial_weight': 2.0, 'decay_schedule': 'none'}
    """
    for prefix in RECIPES:
        recipe: Any = config
        for part in prefix:
            recipe = recipe.get(part) if isinstance(recipe, dict) else None
        inside = {path[len(prefix) :] for path in drawn if path[: len(prefix)] == prefix}
        if isinstance(recipe, dict) and inside:
            _drop_in_recipe(recipe, inside)


def _drop_in_recipe(recipe: dict[str, Any], drawn: set[KeyPath]) -> None:
    for path, weight in _weights(recipe):
        chosen = [key for key in CHOICES if (*path, key) in drawn]
        if len(chosen) == 1:  # both would be two answers to one question, which the model refuses
            _drop_of_other_schedules(weight, chosen[0])
    for path, entry in _entries(recipe):
        own = entry.get("normalization")
        if isinstance(own, dict) and (*path, "normalization", "strategy") in drawn:
            _keep_used(own, _used(own.get("strategy")), {field: field for field in INPUT_KEYS})
    settings = recipe.get("composer_settings")
    if isinstance(settings, dict):
        _drop_in_composer(settings, recipe, drawn)


def _weights(recipe: Mapping[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield where weights are, in either dialect."""
    for name, entry in _section(recipe, "reward_shaping"):
        yield ("reward_shaping", name), entry
        if isinstance(entry.get(SCHEDULE), dict):
            yield ("reward_shaping", name, SCHEDULE), entry[SCHEDULE]


def _entries(recipe: Mapping[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield where components are, in either dialect."""
    for section in ("reward_components", "reward_shaping"):
        for name, entry in _section(recipe, section):
            yield (section, name), entry


def _section(recipe: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    section = recipe.get(key)
    if isinstance(section, dict):
        yield from ((name, entry) for name, entry in section.items() if isinstance(entry, dict))


def _drop_of_other_schedules(weight: dict[str, Any], choice: str) -> None:
    for other in CHOICES:  # the drawn name of the choice stands for the one in the base
        if other != choice:
            weight.pop(other, None)
    schedule = weight.get(choice)
    if not isinstance(schedule, str) or schedule not in SCHEDULES:
        return
    own = {*CHOICES, *parameter_names(SCHEDULES[schedule])}
    for key in [key for key in weight if key in schedule_keys() and key not in own]:
        del weight[key]


def _drop_in_composer(settings: dict[str, Any], recipe: Mapping[str, Any], drawn: set[KeyPath]) -> None:
    at = "composer_settings"
    if (at, "normalization_strategy") in drawn:
        settings.pop("normalize", None)  # the older form of the same choice
    by_component = [(path, entry.get("normalization")) for path, entry in _entries(recipe)]
    chosen = {(at, "normalization_strategy"), (at, "normalize")} | {
        (*path, "normalization") for path, _ in by_component
    }
    if chosen & drawn:
        used = _used(settings.get("normalization_strategy", "z_score" if settings.get("normalize") else None))
        for _, strategy in by_component:
            if used is not None and isinstance(strategy, str):
                others = _used(strategy)
                used = None if others is None else used | others
        _keep_used(settings, used, {**INPUT_KEYS, "older": OLDER_WARMUP})
    if (at, "output_normalization_strategy") in drawn:
        _keep_used(settings, _used(settings.get("output_normalization_strategy")), OUTPUT_KEYS)
    if (at, "reducer") in drawn:
        _drop_of_other_reducers(settings)


def _used(strategy: object) -> frozenset[str] | None:
    """Return the fields that a strategy looks at; None where nobody knows it."""
    name = "none" if strategy is None else strategy
    if not isinstance(name, str) or name not in NORMALIZATION_STRATEGIES:
        return None
    fields = fields_used_by(name)
    return fields | {"older"} if "warmup" in fields else fields


def _keep_used(settings: dict[str, Any], used: frozenset[str] | None, keys: Mapping[str, str]) -> None:
    if used is None:
        return
    for field, key in keys.items():
        if field not in used:
            settings.pop(key, None)


def _drop_of_other_reducers(settings: dict[str, Any]) -> None:
    reducer, params = settings.get("reducer"), settings.get("reducer_params")
    if not isinstance(params, dict) or reducer not in reducer_registry:
        return
    known = {name: set(parameter_names(reducer_registry.get(name))) for name in reducer_registry.names()}
    others = set().union(*known.values()) - known[str(reducer)]
    for key in [key for key in params if key in others]:
        del params[key]
