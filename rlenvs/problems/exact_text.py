"""Exact numbers as texts, and the working of a demonstration."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Number = int | Fraction


@dataclass(frozen=True, slots=True)
class Step:
    """One line of working: an expression of numbers, and what it comes to."""

    expression: str
    value: str
    text: str = ""
    """What the line says before the equation; may be empty."""

    def line(self) -> str:
        """The line of a demonstration."""
        return f"{self.text}{self.expression} = {self.value}"

    def record(self) -> dict[str, str]:
        """The step as the task record has it."""
        return {"expression": self.expression, "value": self.value}


def plain(value: Number) -> str:
    """An integer, or a fraction in lowest terms.

    Example:
        >>> plain(Fraction(6, 3)), plain(Fraction(-6, 4))
        ('2', '-3/2')
    """
    return str(Fraction(value))


def bracketed(value: Number) -> str:
    """A number as an operand: negative ones and fractions in parentheses.

    Example:
        >>> bracketed(3), bracketed(-3), bracketed(Fraction(1, 2))
        ('3', '(-3)', '(1/2)')
    """
    text = plain(value)
    return text if text.isdigit() else f"({text})"


def term(coefficient: int, name: str, *, first: bool = False) -> str:
    """A term of a sum with its sign: "- 3x"; a coefficient of one is not written.

    Example:
        >>> term(-1, "x", first=True), term(4, "y"), term(-7, "")
        ('-x', ' + 4y', ' - 7')
    """
    size = "" if name and abs(coefficient) == 1 else str(abs(coefficient))
    if first:
        return f"{'-' if coefficient < 0 else ''}{size}{name}"
    return f" {'-' if coefficient < 0 else '+'} {size}{name}"


def magnitude(numbers: Iterable[Number], limit: int) -> float:
    """How large the largest number is on a logarithmic scale: 0 for 1, 1 for `limit` and above."""
    largest = max((max(abs(Fraction(n).numerator), Fraction(n).denominator) for n in numbers), default=1)
    return min(1.0, math.log(max(1, largest)) / math.log(max(2, limit)))


def ramp(steps: int, most_steps: int, size: float, size_share: float = 0.4) -> float:
    """Difficulty from the number of steps and the size of the numbers, in [0, 1]."""
    share = (steps - 1) / (most_steps - 1) if most_steps > 1 else 0.0
    return (1 - size_share) * min(1.0, share) + size_share * size


def records(steps: Sequence[Step]) -> list[dict[str, str]]:
    """The steps as the task record has them."""
    return [step.record() for step in steps]
