"""Procedural algebra: equations, systems, remainders, sequences, fractions, chains of assignments."""

import random
from collections.abc import Sequence

from rlenvs.problems.algebra_kinds import KINDS, MOST_STEPS, Exercise
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.checks import check_bool, check_choices, check_int
from rlenvs.problems.exact_text import magnitude, plain, ramp, records
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement


class AlgebraSource(ProceduralSource):
    r"""Algebra problems without end, each with an exact answer and its working.

    | kind | problem |
    |---|---|
    | `linear` | an equation in one unknown, which may stand on both sides |
    | `system` | two equations in two unknowns; asked for one of them or their sum |
    | `modular` | a remainder, a power modulo a number, a linear congruence |
    | `sequence` | a later term of an arithmetic, geometric, quadratic or Fibonacci-like sequence, its rule named |
    | `fraction` | two or three fractions added, subtracted, multiplied or divided |
    | `chain` | two to five assignments, each of which uses the one before |

    The task record has `steps`: the working, one `{"expression", "value"}` per line. The key of the split ignores
    the wording, the names of unknowns, the order of equations and of the two sides, and what is asked about a system.

    Args:
        kinds: which kinds, drawn with equal chance; all by default.
        max_value: largest coefficient, and largest solution of an equation with an integer one, 5..1,000,000.
        rational: whether the solutions of equations may be fractions.
        extract: how the grader finds the answer, and how demonstrations write it.
        markers: for extract="last_marker" only.
        format_hint: whether the prompt says how to write the answer.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range.

    Example:
        >>> import numpy as np
        >>> source = AlgebraSource(kinds=["chain"], max_value=9, format_hint=False)
        >>> problem = source.sample(np.random.default_rng(3), "train")
        >>> problem.task["steps"][-1]["value"] == problem.task["gold"]
        True
    """

    name = "algebra"
    max_prompt_chars = 700
    max_demonstration_chars = 1500

    def __init__(
        self,
        kinds: Sequence[str] = tuple(KINDS),
        max_value: int = 20,
        rational: bool = False,
        extract: str = "last_boxed",
        markers: Sequence[str] = ("A:",),
        format_hint: bool = True,
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(held_out_fraction)
        self.kinds = check_choices("kinds", kinds, KINDS)
        self.max_value = check_int("max_value", max_value, 5, 1_000_000)
        self.rational = check_bool("rational", rational)
        self.format = AnswerFormat(extract, markers, format_hint)

    def draft(self, dice: random.Random) -> Draft:
        """Draw an exercise."""
        exercise = KINDS[dice.choice(self.kinds)](dice, self.max_value, self.rational)
        return Draft(exercise.key, lambda: self._state(exercise))

    def _state(self, exercise: Exercise) -> Statement:
        gold = plain(exercise.gold)
        prompt = self.format.ask(exercise.question)
        task = self.format.task("math", prompt, gold, steps=records(exercise.steps))
        lines = [f"{step.line()}" for step in exercise.steps]
        size = magnitude(exercise.numbers, self.max_value**2)
        difficulty = ramp(len(exercise.steps), MOST_STEPS, size)
        return Statement(prompt, task, self.format.respond(lines, gold), difficulty)

    def __repr__(self) -> str:
        return (
            f"AlgebraSource(kinds={list(self.kinds)}, max_value={self.max_value}, rational={self.rational}, "
            f"extract={self.format.extract!r}, held_out_fraction={self.held_out_fraction})"
        )
