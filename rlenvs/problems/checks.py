"""Checks of parameters that sources and environments share."""

import numpy as np

from rlenvs.errors import UserError
from rlenvs.problems.problem import Split

SPLITS: tuple[Split, ...] = ("train", "held_out")


def check_int(name: str, value: object, low: int, high: int) -> int:
    """Return `value` as an int within low..high, or raise a UserError that names it."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise UserError(f"{name} must be an int in {low}..{high}, got {value!r}")
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
