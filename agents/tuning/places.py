"""Places of a configuration: which of them a base has, and how a value gets there."""

from collections.abc import Mapping
from typing import Any

from rlenvs.agents.tuning.base import RECIPE_SECTIONS, BaseConfig, BaseKind
from rlenvs.config_source import KeyPath, Problem
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean, nearest

__all__ = ["has", "put", "resolve"]


def put(config: dict[str, Any], path: KeyPath, value: Any) -> None:
    """Set a value; mappings that are not there yet are made.

    Example:
        >>> config = {"parts": [{"weight": 1.0}]}
        >>> put(config, ("parts", 0, "weight"), 2.0)
        >>> put(config, ("ppo", "clip"), 0.1)
        >>> config
        {'parts': [{'weight': 2.0}], 'ppo': {'clip': 0.1}}
    """
    inside: Any = config
    for part in path[:-1]:
        if isinstance(inside, dict) and inside.get(part) is None:
            inside[part] = {}
        inside = inside[part]
    inside[path[-1]] = value


def has(config: Mapping[str, Any], path: KeyPath) -> bool:
    """Return whether there is something at a place, null included.

    Example:
        >>> has({"parts": [{"weight": None}]}, ("parts", 0, "weight")), has({"parts": []}, ("parts", 0))
        (True, False)
    """
    inside: Any = config
    for part in path:
        try:
            inside = inside[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def resolve(base: BaseConfig, path: KeyPath) -> KeyPath | Problem:
    """Return a path of a space as the base has it, or what is wrong with it.

    List items are named by their indices, and a key of the base may have dots in it. What the base does not have is for
    the model of its kind to judge; where there is none, all of the path but its last name must be there, and the last
    must not be a misspelling.

    Args:
        base: the configuration.
        path: parts of text, as a space has them.
    """
    misnamed = _unknown_component(base, path)
    if misnamed is not None:
        return misnamed
    inside: Any = base.data
    resolved: KeyPath = ()
    index = 0
    while index < len(path):
        if inside is None:
            inside = {}
        step = _step(inside, path[index:], resolved, is_free=_is_free(base, path))
        if isinstance(step, Problem):
            return step
        key, taken = step
        resolved, index = (*resolved, key), index + taken
        inside = inside.get(key) if isinstance(inside, Mapping) else inside[key]
    return resolved


def _step(inside: Any, rest: KeyPath, above: KeyPath, *, is_free: bool) -> tuple[str | int, int] | Problem:
    """Return the next key and how many parts of the path it takes."""
    part = str(rest[0])
    if isinstance(inside, list):
        if part.isascii() and part.isdigit() and int(part) < len(inside):
            return int(part), 1
        text = f"is a list of {len(inside)}; expected an index from 0, got {shown(part)}"
        return Problem(above, text, at=(*above, part))
    if not isinstance(inside, Mapping):
        return Problem(above, f"is {shown(inside)} in the base, which has no key {shown(part)}", at=(*above, part))
    if part in inside:
        return part, 1
    for length in range(len(rest), 1, -1):
        joined = ".".join(map(str, rest[:length]))
        if joined in inside:
            return joined, length
    if is_free and inside and (len(rest) > 1 or nearest(part, [str(key) for key in inside]) is not None):
        return _unknown(part, inside, above)
    return part, 1


def _unknown(part: str, inside: Mapping[str, Any], above: KeyPath) -> Problem:
    known = [str(key) for key in inside]
    listed = f"{', '.join(known[:12])}{', ...' if len(known) > 12 else ''}"
    text = f"the base has no {shown(part)}{did_you_mean(part, known)} (it has: {listed})"
    return Problem((*above, part), text)


def _is_free(base: BaseConfig, path: KeyPath) -> bool:
    """Return whether no model knows which keys there may be."""
    return base.kind is BaseKind.PLAIN or (base.kind is BaseKind.RECIPE and path[0] not in RECIPE_SECTIONS)


def _unknown_component(base: BaseConfig, path: KeyPath) -> Problem | None:
    """Refuse a place in a component that the recipe does not have: the model would miss its class, not say its name."""
    prefix: KeyPath = () if base.kind is BaseKind.RECIPE else ("rewards",)
    recipe = base.data.get("rewards") if prefix else base.data
    inside = path[len(prefix) :]
    if path[: len(prefix)] != prefix or not isinstance(recipe, Mapping) or len(inside) < 3:
        return None
    if base.kind is BaseKind.PLAIN or inside[0] not in ("reward_components", "reward_shaping"):
        return None
    sections = [recipe.get(key) for key in ("reward_components", "reward_shaping")]
    known = list(dict.fromkeys(str(name) for section in sections if isinstance(section, Mapping) for name in section))
    # a name with dots is more than one part of the path
    if any(".".join(map(str, inside[1:length])) in known for length in range(2, len(inside) + 1)):
        return None
    name = str(inside[1])
    text = f"no component has this name{did_you_mean(name, known)} (known: {', '.join(known)})"
    return Problem((*prefix, inside[0], name), text, at=path[: len(prefix) + 2])
