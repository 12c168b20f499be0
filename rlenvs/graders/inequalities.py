r"""Reads solved inequalities exactly: `x < 2`, `0 \le x < 1`, `x < -1 \text{ or } x > 1`, `\{x \mid x \ge 2\}`.

One is the same as the interval or the union that it says. What is still to be solved (`2x < 4`) has no value here.
"""

import re
from collections.abc import Callable

from rlenvs.graders.polynomials import BeyondError
from rlenvs.graders.values import Value, entry_of, union

RELATION = re.compile(r"\\(?:leqslant|geqslant|leq|geq|le|ge|lt|gt)(?![A-Za-z])|<=|>=|[<>\u2264\u2265]")
VARIABLE = re.compile(r"[A-Za-z](?:_(?:[A-Za-z0-9]|\{[A-Za-z0-9]{1,8}\}))?", re.ASCII)
SET_BUILDER = re.compile(
    r"\\\{\s*(?P<name>[A-Za-z])\s*(?:\\in\s*\\(?:mathbb\s*\{R\}|mathbb\s*R|R|Reals?)\s*)?(?:\\mid|\\vert|:|\|)(?P<inside>.+)\\\}"
)
OR = re.compile(r"\s*(?:\\text\s*\{\s*,?\s*or\s*\}|\bor\b|\\lor(?![A-Za-z])|\\vee(?![A-Za-z]))\s*")
MAX_PARTS = 20


def read_inequality(text: str, read_number: Callable[[str], Value]) -> Value:
    r"""The set of values that an inequality allows its variable, as a value of the kind "inequality".

    Args:
        text: a formula without what changes only its look.
        read_number: reads what stands beside the variable.

    Raises:
        BeyondError: it is no inequality, or not solved for a variable.
    """
    builder = SET_BUILDER.fullmatch(text)
    parts = OR.split(builder["inside"] if builder else text)
    if len(parts) > MAX_PARTS:
        raise BeyondError
    intervals = [read_part(part, read_number) for part in parts]
    names = {interval.name for interval in intervals}
    if len(names) != 1 or (builder and names != {builder["name"]}):
        raise BeyondError
    bare = [Value("interval", interval.body, interval.level) for interval in intervals]
    whole = bare[0] if len(bare) == 1 else union(bare)
    return Value("inequality", (whole.kind, whole.body), max(item.level for item in bare), names.pop())


def read_part(text: str, read_number: Callable[[str], Value]) -> Value:
    """One or two relations around a variable."""
    sides = [side.strip() for side in RELATION.split(text)]
    signs = [sign_of(match[0]) for match in RELATION.finditer(text)]
    if len(sides) == 2 and VARIABLE.fullmatch(sides[0]):
        sides, signs = sides[::-1], [(-signs[0][0], signs[0][1])]  # x < 2 as 2 > x
    if len(sides) not in (2, 3) or not VARIABLE.fullmatch(sides[1]) or len({way for way, _ in signs}) != 1:
        raise BeyondError
    name = re.sub(r"[{}]", "", sides[1])
    ends = [(constant_of(read_number(side)), closed) for side, (_, closed) in zip(sides[::2], signs, strict=False)]
    upwards = signs[0][0] > 0
    if len(ends) == 1:
        ends.append((Value("infinity", 1 if upwards else -1), False))
    low, high = ends if upwards else ends[::-1]
    level = max(low[0].level, high[0].level)
    return Value("interval", (entry_of(low[0]), entry_of(high[0]), low[1], high[1]), level, name)


def sign_of(relation: str) -> tuple[int, bool]:
    """The way in which a relation grows, and whether it includes equality."""
    name = relation.lstrip("\\")
    upwards = name[0] in "l<\u2264"
    return (1 if upwards else -1), name not in ("<", ">", "lt", "gt")


def constant_of(value: Value) -> Value:
    """A value that is a number without variables, or an infinity.

    Raises:
        BeyondError: it is neither.
    """
    number = value.number
    constants = {"\\pi", "e"}
    if value.kind != "infinity" and (number is None or {name for _, names in number for name, _ in names} - constants):
        raise BeyondError
    return value
