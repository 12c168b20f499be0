"""Checks of plain parameters that constructors share."""

import math
from numbers import Integral, Real

from rlenvs.errors import ParameterError

LARGEST_WHOLE = 2**63 - 1  # what counters and checkpoints of int64 hold


def finite_number(parameter: str, value: object) -> float:
    """Return a finite number as a plain float.

    Args:
        parameter: name of the parameter, for the error.
        value: what was given.

    Raises:
        ParameterError: not a number, NaN or infinite.

    Example:
        >>> finite_number("target", 1)
        1.0
    """
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ParameterError(parameter, f"must be a finite number, got {value!r}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ParameterError(parameter, f"must be a finite number, got {number}")
    return number


def whole_number(parameter: str, value: object, minimum: int) -> int:
    """Return a whole number of `minimum` or more as a plain int.

    Args:
        parameter: name of the parameter, for the error.
        value: what was given.
        minimum: the smallest value that is allowed.

    Raises:
        ParameterError: not a whole number, too small, or 2^63 and more.

    Example:
        >>> whole_number("decay_steps", 100, minimum=1)
        100
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or int(value) < minimum:
        raise ParameterError(parameter, f"must be a whole number >= {minimum}, got {value!r}")
    number = int(value)
    if number > LARGEST_WHOLE:
        raise ParameterError(parameter, f"must be below 2^63, got a number of {number.bit_length()} bits")
    return number
