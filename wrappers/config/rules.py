"""What must hold between the sections of a reward configuration."""

from typing import TYPE_CHECKING

from rlenvs.config_file import did_you_mean
from rlenvs.config_source import Problem
from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.config.composer import INPUT_KEYS, normalization_problems
from rlenvs.wrappers.normalization.strategies import fields_used_by

if TYPE_CHECKING:
    from rlenvs.wrappers.config.rewards import RewardConfig

__all__ = ["rule_problems"]


def rule_problems(config: "RewardConfig") -> list[Problem]:
    """Return what is wrong between the sections, each problem where its author wrote it."""
    found = [
        *_blank_names(config),
        *_weights_without_component(config),
        *_potential_problems(config),
        *_reducer_problems(config),
        *_normalization_problems(config),
    ]
    return [Problem(config.place(problem.path), problem.message) for problem in found]


def _blank_names(config: "RewardConfig") -> list[Problem]:
    text = "a component needs a name: reports and messages call it by that"
    return [Problem(("reward_components", name), text) for name in config.reward_components if not name.strip()]


def _weights_without_component(config: "RewardConfig") -> list[Problem]:
    known = list(config.reward_components)
    return [
        Problem(
            ("reward_shaping", name),
            f"no component has this name{did_you_mean(name, known)} (known: {', '.join(known)})",
        )
        for name in config.reward_shaping
        if name not in known
    ]


def _potential_problems(config: "RewardConfig") -> list[Problem]:
    return [
        Problem(
            ("reward_shaping", name, shaping.choice_key),
            "a multiplier holds the mean of its component at a target, which a potential has none of: "
            "use another schedule than 'lagrangian'",
        )
        for name, shaping in config.reward_shaping.items()
        if shaping.decay_schedule == "lagrangian"
        and name in config.reward_components
        and config.reward_components[name].is_potential
    ]


def _reducer_problems(config: "RewardConfig") -> list[Problem]:
    """Let the reducer say which names it misses."""
    names = [name for name, component in config.reward_components.items() if not component.is_potential]
    try:
        config.composer_settings.build_reducer().bind(names)
    except ParameterError as error:
        return [Problem(("composer_settings", "reducer_params", *error.parameter.split(".")), error.message)]
    except ConfigError as error:
        return [Problem(("composer_settings", "reducer"), str(error))]
    return []


def _normalization_problems(config: "RewardConfig") -> list[Problem]:
    """Refuse settings that no component's strategy uses, and values that one of them refuses."""
    settings = config.composer_settings
    strategies: set[str] = {settings.normalization_strategy or "none"}
    for component in config.reward_components.values():
        if isinstance(component.normalization, str):
            strategies.add(component.normalization)
    used = {name for strategy in strategies for name in fields_used_by(strategy)}
    keys = settings.normalization_keys
    given = settings.given(INPUT_KEYS)
    problems = [
        Problem(
            ("composer_settings", *keys[name]),
            f"is not used by normalization_strategy {settings.normalization_strategy!r}; remove it",
        )
        for name in given
        if name not in used
    ]
    for strategy in sorted(strategies - {settings.normalization_strategy or "none"}):
        mine = {name: value for name, value in given.items() if name in fields_used_by(strategy)}
        found = normalization_problems({"strategy": strategy, **mine}, keys)
        problems += [Problem(("composer_settings", *problem.path), problem.message) for problem in found]
    return problems
