"""Checks of plain parameters that constructors share."""

import math
from numbers import Integral, Real

from rlenvs.errors import ParameterError


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
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ParameterError(parameter, f"must be a finite number, got {value!r}")
    return float(value)


def whole_number(parameter: str, value: object, minimum: int) -> int:
    """Return a whole number of `minimum` or more as a plain int.

    Args:
        parameter: name of the parameter, for the error.
        value: what was given.
        minimum: the smallest value that is allowed.

    Raises:
        ParameterError: not a whole number, or too small.

    Example:
        >>> whole_number("decay_steps", 100, minimum=1)
        100
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < minimum:
        raise ParameterError(parameter, f"must be a whole number >= {minimum}, got {value!r}")
    return int(value)
