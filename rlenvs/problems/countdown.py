"""Countdown: make a number out of others."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rlenvs.errors import ParameterError, UserError
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.checks import check_int
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement

OPERATIONS = "+-*/"
MAX_TRIES = 2_000
"""Expressions that are tried for a target in range; parameters that need more do not fit together."""
MOST_NUMBERS = 6


@dataclass(frozen=True, slots=True)
class Part:
    """A subexpression with a positive whole value."""

    value: int
    text: str
    top: str
    """Its outermost operator; "" for a number."""


def joined(left: Part, sign: str, right: Part) -> Part:
    """Two parts with an operator between them, and the parentheses that this needs."""
    first = f"({left.text})" if sign in "*/" and left.top in ("+", "-") else left.text
    tight = (sign in "*/" and right.top in ("+", "-")) or (sign == "-" and right.top in ("+", "-"))
    second = f"({right.text})" if tight or (sign == "/" and right.top in ("*", "/")) else right.text
    value = {"+": left.value + right.value, "-": left.value - right.value, "*": left.value * right.value}.get(sign)
    return Part(left.value // right.value if value is None else value, f"{first}{sign}{second}", sign)


class CountdownSource(ProceduralSource):
    """Numbers and a target: write an expression that uses each number exactly once. A solution always exists.

    The solution is drawn first: numbers are joined in random pairs, with positive whole results throughout, until one
    is left; if it is in range it is the target. Responses may go through negative numbers and fractions all the same.

    Args:
        min_numbers: fewest numbers, 2..6.
        max_numbers: most numbers, 2..6.
        max_number: largest number, 2..1000; the smallest is 1.
        min_target: smallest target, at least 1.
        max_target: largest target, up to 100,000.
        operations: what the solution is made with, a choice of "+", "-", "*", "/", each once. The grader accepts all
            four from a response.
        extract: how the grader finds the expression, and how demonstrations write it.
        markers: for extract="last_marker" only.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range.

    Example:
        >>> import numpy as np
        >>> from rlenvs.graders import grade
        >>> problem = CountdownSource(min_numbers=4, max_numbers=4).sample(np.random.default_rng(0), "train")
        >>> grade(problem.task, problem.demonstration).correct
        True
    """

    name = "countdown"
    max_prompt_chars = 300
    max_demonstration_chars = 120

    def __init__(
        self,
        min_numbers: int = 4,
        max_numbers: int = 6,
        max_number: int = 25,
        min_target: int = 10,
        max_target: int = 200,
        operations: str = OPERATIONS,
        extract: str = "last_answer_tag",
        markers: Sequence[str] = ("A:",),
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(held_out_fraction)
        self.min_numbers = check_int("min_numbers", min_numbers, 2, MOST_NUMBERS)
        self.max_numbers = check_int("max_numbers", max_numbers, 2, MOST_NUMBERS)
        if min_numbers > max_numbers:
            raise ParameterError("min_numbers", f"must be <= max_numbers={max_numbers}, got {min_numbers}")
        self.max_number = check_int("max_number", max_number, 2, 1000)
        self.min_target = check_int("min_target", min_target, 1, 100_000)
        self.max_target = check_int("max_target", max_target, 1, 100_000)
        if min_target > max_target:
            raise ParameterError("min_target", f"must be <= max_target={max_target}, got {min_target}")
        chosen = isinstance(operations, str) and operations and set(operations) <= set(OPERATIONS)
        if not chosen or len(set(operations)) != len(operations):
            raise ParameterError("operations", f"must be a non-empty choice of '+-*/', each once, got {operations!r}")
        self.operations = operations
        self.format = AnswerFormat(extract, markers)

    def draft(self, dice: random.Random) -> Draft:
        """Draw numbers and a solution."""
        for _ in range(MAX_TRIES):
            count = dice.randint(self.min_numbers, self.max_numbers)
            numbers = [dice.randint(1, self.max_number) for _ in range(count)]
            whole = self._join(dice, numbers)
            if whole is not None and self.min_target <= whole.value <= self.max_target:
                return Draft(f"{sorted(numbers)}={whole.value}", partial(self._state, numbers, whole))
        raise UserError(f"{self}: no target in range was found with these numbers and operations: widen one of them")

    def _join(self, dice: random.Random, numbers: Sequence[int]) -> Part | None:
        """Join numbers until one part is left; None if no operator fits two of them."""
        parts = [Part(number, str(number), "") for number in numbers]
        while len(parts) > 1:
            one, two = (parts.pop(dice.randrange(len(parts))) for _ in range(2))
            large, small = (one, two) if one.value >= two.value else (two, one)
            fits = [
                sign
                for sign in self.operations
                if sign == "+"
                or (sign == "-" and large.value > small.value)
                or (sign == "*" and large.value * small.value <= 50 * self.max_target)
                or (sign == "/" and small.value > 1 and large.value % small.value == 0)
            ]
            if not fits:
                return None
            parts.append(joined(large, dice.choice(fits), small))
        return parts[0]

    def _state(self, numbers: Sequence[int], whole: Part) -> Statement:
        signs = " ".join(self.operations)
        prompt = self.format.ask(
            f"Using the numbers {list(numbers)} each exactly once and {signs} and parentheses, make {whole.value}.",
            "the expression",
        )
        task = self.format.task("countdown", prompt, whole.text, numbers=list(numbers), target=whole.value)
        hard = sum(sign in "*/" for sign in whole.text) / (MOST_NUMBERS - 1)
        difficulty = 0.7 * (len(numbers) - 1) / (MOST_NUMBERS - 1) + 0.3 * hard
        return Statement(prompt, task, self.format.respond([], whole.text), difficulty)

    def __repr__(self) -> str:
        return (
            f"CountdownSource(min_numbers={self.min_numbers}, max_numbers={self.max_numbers}, "
            f"max_number={self.max_number}, min_target={self.min_target}, max_target={self.max_target}, "
            f"operations={self.operations!r}, extract={self.format.extract!r}, "
            f"held_out_fraction={self.held_out_fraction})"
        )
