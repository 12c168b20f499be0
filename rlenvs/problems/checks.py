"""Checks of parameters that sources and environments share."""

import math
import os
from collections.abc import Iterable, Sequence

import numpy as np

from rlenvs.errors import ParameterError, UserError
from rlenvs.problems.problem import Split
from rlenvs.suggestions import did_you_mean

SPLITS: tuple[Split, ...] = ("train", "held_out")


def check_int(name: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int within low..high, or raise a ParameterError that names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ParameterError(name, f"must be an int in {low}..{high}, got {value!r}")
    return int(value)


def check_split(split: str) -> Split:
    """Return `split` if it is one.

    Raises:
        UserError: it is neither "train" nor "held_out".
    """
    for known in SPLITS:
        if split == known:
            return known
    raise UserError(f"split must be 'train' or 'held_out', got {split!r}")


def check_share(name: str, value: object) -> float:
    """Return `value` as a float within [0, 1], or raise a ParameterError that names it."""
    return check_real(name, value, 0.0, 1.0)


def check_real(name: str, value: object, low: float, high: float) -> float:
    """Return `value` as a finite float within [low, high], or raise a ParameterError that names it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        end = "" if math.isinf(high) else f"{high:g}"
        bounds = f"a number in [{low:g}, {end}]" if end else f"a number >= {low:g}"
        raise ParameterError(name, f"must be {bounds}, got {value!r}")
    return float(value)


def check_bool(name: str, value: object) -> bool:
    """Return `value` if it is True or False, or raise a ParameterError that names it."""
    if not isinstance(value, bool):
        raise ParameterError(name, f"must be true or false, got {value!r}")
    return value


def check_text(name: str, value: object) -> str:
    """Return `value` if it is a text with something to see, or raise a ParameterError that names it."""
    if not isinstance(value, str) or not value.strip():
        raise ParameterError(name, f"must be a non-empty text, got {value!r}")
    return value


def check_path(name: str, value: object) -> str:
    """Return `value` as a text if it can name a file, or raise a ParameterError that names it."""
    path = check_text(name, str(value) if isinstance(value, os.PathLike) else value)
    if "\0" in path:
        raise ParameterError(name, f"must be the name of a file, got {path!r}")
    return path


def seeded(seed: object) -> np.random.Generator:
    """A new generator, or a ParameterError that names the seed."""
    return np.random.default_rng(check_int("seed", seed, 0, 2**64 - 1))


def check_choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is one of the known words; else raise a ParameterError with the nearest one."""
    words = list(known)
    if isinstance(value, str) and value in words:
        return value
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    raise ParameterError(name, f"must be one of {', '.join(words)}, got {value!r}{hint}")


def check_choices(name: str, values: object, known: Iterable[str]) -> tuple[str, ...]:
    """Return a non-empty list of known words, each once; else raise a ParameterError."""
    words = list(known)
    if isinstance(values, str) or not isinstance(values, Sequence) or not values:
        raise ParameterError(name, f"must be a non-empty list out of {', '.join(words)}, got {values!r}")
    for value in values:
        check_choice(name, value, words)
    if len(set(values)) != len(values):
        raise ParameterError(name, f"must name each once, got {list(values)!r}")
    return tuple(values)


def check_texts(name: str, values: object) -> tuple[str, ...]:
    """Return a non-empty list of non-empty texts; else raise a ParameterError."""
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or not values or not all(isinstance(value, str) and value for value in values):  # type: ignore[attr-defined]
        raise ParameterError(name, f"must be a non-empty list of non-empty texts, got {values!r:.80}")
    return tuple(values)  # type: ignore[arg-type]
