"""Countdown: an expression of given numbers that has a given value."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rlenvs.errors import GraderError
from rlenvs.graders.numbers import MINUS_SIGNS, undelimited
from rlenvs.graders.question import Grade, Policy, Question, invalid, right, shown, wrong

MAX_DEPTH = 100
MAX_LITERAL_CHARS = 30
MAX_NUMBERS = 200
LITERAL = re.compile(r"[0-9]+(?:\.[0-9]+)?", re.ASCII)
SIGNS = {
    "\u00d7": "*",
    "\u2217": "*",
    "x": "*",
    "\\left": "",
    "\\right": "",
    "\u00b7": "*",
    "\u00f7": "/",
    "\\times": "*",
    "\\cdot": "*",
    "\\div": "/",
}
PRECEDENCE = {"+": 1, "-": 1, "*": 2, "/": 2, "neg": 3}
FRACTION = re.compile(r"\\[dt]?frac\s?\{([^{}\\]*)\}\s?\{([^{}\\]*)\}")
USES = ("all", "some")


class ExpressionError(Exception):
    """Not an expression that countdown allows."""


def tokens_of(text: str) -> list[str]:
    """Numbers, operators and parentheses.

    Raises:
        ExpressionError: anything else.
    """
    tokens: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if character in " \t\r\n":
            continue
        if character in "+-*/()":
            if character in "*/" and tokens and tokens[-1] == character and text[position - 2] == character:
                raise ExpressionError(f"{character * 2} is not allowed")
            tokens.append(character)
            continue
        if character not in "0123456789.":
            raise ExpressionError(f"{character!r} is not allowed")
        start = position - 1
        while position < len(text) and text[position] in "0123456789.":
            position += 1
        tokens.append(text[start:position])
    return tokens


def literal(token: str) -> Fraction:
    """The value of digits with at most one point."""
    whole, _, decimals = token.partition(".")
    if len(token) > MAX_LITERAL_CHARS or LITERAL.fullmatch(token) is None:
        raise ExpressionError(f"{token[:MAX_LITERAL_CHARS]!r} is not a number")
    return Fraction(int(whole + decimals), 10 ** len(decimals))


def evaluate(text: str) -> tuple[Fraction, list[Fraction]]:
    """The exact value of an expression and the numbers in it, in time linear in its length.

    It has numbers, `+ - * /`, a minus in front of a number or a parenthesis, and parentheses. Two operators never
    touch, except for that minus behind another one; nothing is multiplied without a sign.

    Raises:
        ExpressionError: it is malformed, divides by zero, or is nested too deeply.

    Example:
        >>> evaluate("3*((7-8)+9)")[0]
        Fraction(24, 1)
    """
    values: list[Fraction] = []
    pending: list[str] = []
    used: list[Fraction] = []
    wants_operand = True
    for token in tokens_of(text):
        if wants_operand and token == "(":
            pending.append(token)
            if len(pending) > MAX_DEPTH:
                raise ExpressionError("nested too deeply")
        elif wants_operand and token == "-" and (not pending or pending[-1] != "neg"):
            pending.append("neg")
        elif wants_operand and token not in "+-*/)":
            used.append(literal(token))
            if len(used) > MAX_NUMBERS:
                raise ExpressionError("too many numbers")
            values.append(used[-1])
            wants_operand = False
        elif not wants_operand and token in ("+", "-", "*", "/"):
            reduce(values, pending, PRECEDENCE[token])
            pending.append(token)
            wants_operand = True
        elif not wants_operand and token == ")":
            reduce(values, pending, 0)
            if not pending:
                raise ExpressionError("a parenthesis that was not opened")
            pending.pop()
        else:
            raise ExpressionError(f"{token[:MAX_LITERAL_CHARS]!r} in the wrong place")
    if wants_operand:
        raise ExpressionError("it ends too early")
    reduce(values, pending, 0)
    if pending:
        raise ExpressionError("a parenthesis is not closed")
    return values[0], used


def reduce(values: list[Fraction], pending: list[str], precedence: int) -> None:
    """Apply the operators that bind at least so tightly, down to the last parenthesis."""
    while pending and pending[-1] != "(" and PRECEDENCE[pending[-1]] >= precedence:
        operator = pending.pop()
        right_value = values.pop()
        if operator == "neg":
            values.append(-right_value)
            continue
        left_value = values.pop()
        if operator == "+":
            values.append(left_value + right_value)
        elif operator == "-":
            values.append(left_value - right_value)
        elif operator == "*":
            values.append(left_value * right_value)
        elif right_value:
            values.append(left_value / right_value)
        else:
            raise ExpressionError("a division by zero")


@dataclass(frozen=True)
class CountdownQuestion(Question):
    """An expression is right if it has the target as its exact value and uses the numbers as allowed."""

    numbers: tuple[Fraction, ...]
    target: Fraction
    use: str

    def judge(self, answer: str, where: str) -> Grade:
        """Judge an expression, perhaps followed by `= target`."""
        text = undelimited(answer.translate(MINUS_SIGNS)).removesuffix(".")
        text = FRACTION.sub(r"((\1)/(\2))", text)
        for left, right_sign in SIGNS.items():
            text = text.replace(left, right_sign)
        text, equals, result = text.partition("=")
        try:
            value, used = evaluate(text)
            if equals and literal(result.strip().removeprefix("-")) != abs(self.target):
                return wrong(answer, f"it says another result than the target, {where}")
            if equals and result.strip().startswith("-") != (self.target < 0):
                return wrong(answer, f"it says another result than the target, {where}")
        except ExpressionError as error:
            return invalid(answer, f"not an expression of + - * / and parentheses ({error}): {shown(answer)}")
        extra = Counter(used) - Counter(self.numbers)
        if extra:
            return Grade(0.0, False, "ok", answer, f"uses a number that it may not: {plain_number(min(extra))}")
        left_over = Counter(self.numbers) - Counter(used)
        if left_over and self.use == "all":
            return Grade(0.0, False, "ok", answer, f"does not use {plain_number(min(left_over))}")
        return right(answer, where) if value == self.target else wrong(answer, where)


def plain_number(value: Fraction) -> str:
    """A number for a message."""
    return str(value)


def number_of(key: str, value: object) -> Fraction:
    """An exact number of a task record."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) == float("inf"):
        raise GraderError(f"task {key}: must be a finite number, got {value!r:.80}")
    # The decimal number that was written, not the nearest binary one.
    return Fraction(repr(value)) if isinstance(value, float) else Fraction(value)


def compile_countdown(task: Mapping[str, Any], policy: Policy) -> CountdownQuestion:
    """Read the keys of a countdown task.

    Raises:
        GraderError: one of them is missing or unusable.
    """
    numbers = task.get("numbers")
    if not isinstance(numbers, list | tuple) or not 1 <= len(numbers) <= MAX_NUMBERS:
        raise GraderError(f"task numbers: must be a list of 1 to {MAX_NUMBERS} numbers, got {numbers!r:.80}")
    use = task.get("use", "all")
    if use not in USES:
        raise GraderError(f"task use: must be one of {', '.join(USES)}, got {use!r:.80}")
    target = number_of("target", task.get("target"))
    values = tuple(number_of("numbers", number) for number in numbers)
    if min(values) < 0:
        raise GraderError(f"task numbers: must not be negative, got {min(values)}")
    return CountdownQuestion(policy, values, target, use)
