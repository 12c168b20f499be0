"""Checks of constructor parameters, and reference texts, that the text components share."""

from collections.abc import Mapping, Sequence
from typing import Any

from rlenvs.errors import ParameterError
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.transition import Transition

GOLD_KEY = "task.gold"
"""Where the environments put the right answer of a problem into `info`."""


def check_number(parameter: str, value: float, *, at_least: float | None = None, at_most: float | None = None) -> None:
    """Refuse what is no finite number, or out of range.

    Raises:
        ParameterError: the number cannot be used.

    Example:
        >>> check_number("threshold", 1.5, at_least=0, at_most=1)
        Traceback (most recent call last):
        rlenvs.errors.ParameterError: threshold must be between 0 and 1, got 1.5
    """
    finite_number(parameter, value)
    too_low, too_high = at_least is not None and value < at_least, at_most is not None and value > at_most
    if too_low or too_high:
        if at_least is not None and at_most is not None:
            raise ParameterError(parameter, f"must be between {at_least} and {at_most}, got {value}")
        raise ParameterError(parameter, f"must be {f'>= {at_least}' if too_low else f'<= {at_most}'}, got {value}")


def check_choice(parameter: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that is none of the choices.

    Raises:
        ParameterError: it is none of them; the message names the nearest one.
    """
    if value not in choices:
        known = ", ".join(map(repr, choices))
        raise ParameterError(parameter, f"must be one of {known}, got {value!r}{did_you_mean(str(value), choices)}")


def info_value(info: Mapping[str, Any], key: str) -> Any:
    """Return what `info` holds under a dotted key.

    Args:
        info: the info of a transition.
        key: a key, or the keys of nested mappings with dots between them ("task.gold").

    Raises:
        KeyError: there is nothing under the key.

    Example:
        >>> info_value({"task": {"gold": "7"}}, "task.gold")
        '7'
    """
    value: Any = info
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            there = sorted(map(str, value)) if isinstance(value, Mapping) else type(value).__name__
            raise KeyError(f"info has no {key!r}: {part!r} is not in {there}")
        value = value[part]
    return value


def info_texts(transition: Transition, key: str) -> list[str]:
    """Return the text or the texts that `info` holds under a dotted key.

    Raises:
        KeyError: there is nothing under the key.
        TypeError: it is neither a text nor a non-empty list of texts.
    """
    value = info_value(transition.info, key)
    texts = [value] if isinstance(value, str) else list(value) if isinstance(value, list | tuple) else []
    if not texts or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"info[{key!r}] must be a text or a list of texts, got {value!r:.80}")
    return texts
