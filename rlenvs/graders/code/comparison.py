r"""Whether what a program gave is what its test expects; compared in the grader, on freshly decoded plain data.

The gold drives the comparison, so that it takes time and depth in proportion to the gold, whatever came back.

| gold | what equals it |
|---|---|
| null, true, false | itself: `1` is not `true` |
| integer | the same integer; with a tolerance also a float that is close |
| float | the same float; with a tolerance an integer or a float that is close; NaN only where the gold is NaN |
| text, bytes | itself |
| list, tuple | a list or a tuple of equal items in the same order: JSON has no tuples, so a gold cannot ask for one |
| object | a dict with the same keys, types of keys included, and equal values, in any order |
| set, frozenset | a set or frozenset with the same items (golds made in Python only) |
"""

import math
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from rlenvs.sandbox.codec import MAX_INT_BITS

__all__ = ["MAX_DEPTH", "Closeness", "same_output", "same_value", "why_not_plain"]

MAX_DEPTH = 64
"""Nesting of a gold or an argument; deeper ones are refused when the task is read."""

MAX_NUMBER_CHARS = 400
"""A longer word is not read as a number; the longest finite float has 309 digits before its point."""

is_number = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch

SEQUENCES = (list, tuple)
SETS = (set, frozenset)
SCALARS = (type(None), bool, int, float, complex, str, bytes)


class Closeness(NamedTuple):
    """How far a number may be from the gold: |value - gold| <= max(absolute, relative * |gold|)."""

    relative: float
    absolute: float


def same_value(value: object, expected: object, closeness: Closeness | None = None) -> bool:
    """Whether a decoded value equals the gold.

    Args:
        value: what the program gave: builtins of exact types, any size.
        expected: the gold, checked by `why_not_plain`.
        closeness: the tolerance of the task for numbers; None asks for equality of type and value.

    Example:
        >>> same_value((1, "a"), [1, "a"]), same_value(True, 1), same_value(1.0, 1)
        (True, False, False)
        >>> same_value(0.1 + 0.2, 0.3, Closeness(1e-9, 0.0))
        True
    """
    try:
        return _same(value, expected, closeness)
    except (ArithmeticError, ValueError, TypeError, RecursionError, MemoryError):
        return False


def _same(value: Any, expected: Any, closeness: Closeness | None) -> bool:
    kind = type(expected)
    if kind in SEQUENCES:
        return (
            type(value) in SEQUENCES
            and len(value) == len(expected)
            and all(_same(one, other, closeness) for one, other in zip(value, expected, strict=True))
        )
    if kind is dict:
        if type(value) is not dict or len(value) != len(expected):
            return False
        found = {_tagged(key): item for key, item in value.items()}
        return all(
            (tag := _tagged(key)) in found and _same(found[tag], item, closeness) for key, item in expected.items()
        )
    if kind in SETS:
        return (
            type(value) in SETS
            and len(value) == len(expected)
            and set(map(_tagged, value)) == set(map(_tagged, expected))
        )
    if kind is float or (kind is int and type(value) is float):
        return _same_number(value, expected, closeness)
    return type(value) is kind and bool(value == expected)


def _same_number(value: Any, expected: float, closeness: Closeness | None) -> bool:
    if type(value) is not float and (closeness is None or type(value) is not int):
        return False
    if type(expected) is float and math.isnan(expected):
        return type(value) is float and math.isnan(value)
    if closeness is None:
        return type(value) is type(expected) and value == expected
    if value == expected:
        return True
    if not all(type(number) is int or math.isfinite(number) for number in (value, expected)):
        return False
    if type(value) is int or type(expected) is int:  # as floats, long ones would all be equal
        gold = Fraction(expected)
        return abs(Fraction(value) - gold) <= max(
            Fraction(closeness.absolute), Fraction(closeness.relative) * abs(gold)
        )
    return abs(value - expected) <= max(closeness.absolute, closeness.relative * abs(expected))


def _tagged(item: Any) -> tuple[str, Any]:
    """A hashable value with its type, so that 1, 1.0 and True are three things, and NaN equals itself."""
    kind = type(item)
    if kind is tuple:
        return "tuple", tuple(map(_tagged, item))
    if kind is frozenset:
        return "frozenset", frozenset(map(_tagged, item))
    if kind is float:
        return "float", (item + 0.0).hex()  # -0.0 becomes 0.0
    return kind.__name__, item


def same_output(output: str, expected: str, closeness: Closeness | None = None) -> bool:
    r"""Whether a printed text equals the gold line by line, words compared, blanks between them and at ends ignored.

    Empty lines at the end do not count; others do. With a tolerance, words that both are numbers may differ by it.

    Example:
        >>> same_output("8  5 \n\n", "8 5\n"), same_output("8\n5\n", "8 5\n")
        (True, False)
    """
    lines, golds = _words(output), _words(expected)
    if len(lines) != len(golds):
        return False
    return all(
        len(line) == len(gold)
        and all(one == other or _close(one, other, closeness) for one, other in zip(line, gold, strict=True))
        for line, gold in zip(lines, golds, strict=True)
    )


def _words(text: str) -> list[list[str]]:
    return [line.split() for line in text.rstrip().split("\n")]


def _close(word: str, gold: str, closeness: Closeness | None) -> bool:
    if closeness is None or len(word) > MAX_NUMBER_CHARS or not (is_number(word) and is_number(gold)):
        return False
    return _same_number(_number(word), _number(gold), closeness)


def _number(word: str) -> float:
    return int(word) if word.lstrip("+-").isdecimal() else float(word)


def why_not_plain(value: object) -> str | None:
    """Why a value cannot be an argument or a gold; None where it can.

    Example:
        >>> why_not_plain({"a": [1, 2.5, None]}) is None
        True
        >>> why_not_plain([object()])
        'holds an object'
    """
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return None
        inner: list[Any] = []
        for item in level:
            kind = type(item)
            if kind in SCALARS:
                if kind is int and item.bit_length() > MAX_INT_BITS:
                    return f"holds an int of more than {MAX_INT_BITS} bits"
                continue
            if kind in SEQUENCES or kind in SETS:
                inner.extend(item)
            elif kind is dict:
                inner.extend(item)
                inner.extend(item.values())
            else:
                return f"holds {'a mapping' if isinstance(item, Mapping) else _a(kind.__name__)}"
        level = inner
    return f"is nested more than {MAX_DEPTH} deep"


def _a(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"
