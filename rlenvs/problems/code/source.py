"""The source of code problems."""

import random
from collections.abc import Sequence

from rlenvs.errors import ParameterError
from rlenvs.problems.checks import check_choices, check_int, check_share
from rlenvs.problems.code.exam import MAX_TESTS, MIN_TESTS, Exam, exam_for
from rlenvs.problems.code.families import FAMILY_MODULES
from rlenvs.problems.code.family import FAMILIES, KINDS, Family
from rlenvs.problems.code.statement import asked, fenced, reference_of, task_of, worded
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement

assert FAMILY_MODULES, "the families are in the list once their modules are imported"


def chosen_families(
    families: Sequence[str] | None, kinds: Sequence[str], min_difficulty: float, max_difficulty: float
) -> tuple[Family, ...]:
    """The families that all four parameters allow.

    Raises:
        ParameterError: an unknown name, or none is left.
    """
    known = FAMILIES.by_name
    named = tuple(known) if families is None else check_choices("families", families, known)
    if min_difficulty > max_difficulty:
        raise ParameterError("min_difficulty", f"must be <= max_difficulty={max_difficulty}, got {min_difficulty}")
    left = tuple(
        known[name]
        for name in named
        if known[name].kind in kinds and min_difficulty <= known[name].difficulty <= max_difficulty
    )
    if not left:
        bounds = f"kinds={list(kinds)} and a difficulty in [{min_difficulty:g}, {max_difficulty:g}]"
        raise ParameterError("families", f"must leave at least one family with {bounds}, got {list(named)!r:.80}")
    return left


class CodeSource(ProceduralSource):
    """Programming problems without end, each with a reference solution, examples and hidden tests.

    A family is a kind of problem with parameters; `rlenvs.problems.code.families` has them all. The task record is one
    of the code types of `rlenvs.graders`: "function" (arguments to results), "stdio" (input to output) or "asserts"
    (a class and the calls on it). `visible_tests` are the examples of the statement, `tests` are hidden and decide.
    They are computed with the reference, and chosen so that no constant, no argument handed back, no table of the
    examples and none of the family's plausible bugs passes. Where answers are true or false, half of them are either.

    The key of the split is the family with its parameters, whatever the wording, and the same as that of
    `CodeRepairSource`.

    Args:
        families: names of families; None for all that the other parameters allow.
        kinds: task types, a choice of "function", "stdio", "asserts".
        min_difficulty: lowest difficulty of a family, in [0, 1].
        max_difficulty: highest difficulty of a family, in [0, 1].
        tests: hidden tests of each problem, 10..30; a class has one script of calls for each.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range, or no family left by the others.

    Example:
        >>> import numpy as np
        >>> problem = CodeSource(families=["best_window"]).sample(np.random.default_rng(0), "train")
        >>> sorted(problem.task["tests"][0]), problem.demonstration.splitlines()[0]
        (['args', 'expected'], '```python')
    """

    name = "code"
    max_prompt_chars = 3000
    max_demonstration_chars = 3000

    def __init__(
        self,
        families: Sequence[str] | None = None,
        kinds: Sequence[str] = KINDS,
        min_difficulty: float = 0.0,
        max_difficulty: float = 1.0,
        tests: int = 12,
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(held_out_fraction)
        self.kinds = check_choices("kinds", kinds, KINDS)
        self.min_difficulty = check_share("min_difficulty", min_difficulty)
        self.max_difficulty = check_share("max_difficulty", max_difficulty)
        self.families = families if families is None else tuple(families)
        self.chosen = [
            family.name for family in chosen_families(families, self.kinds, self.min_difficulty, self.max_difficulty)
        ]
        self.tests = check_int("tests", tests, MIN_TESTS, MAX_TESTS)

    def draft(self, dice: random.Random) -> Draft:
        """Draw a family and its parameters."""
        family = FAMILIES.by_name[dice.choice(self.chosen)]
        parameters = family.draw(dice)
        return Draft(family.key(parameters), lambda: self._state(exam_for(family, parameters, self.tests), dice))

    def _state(self, exam: Exam, dice: random.Random) -> Statement:
        statement, entry = worded(exam, dice)
        prompt = asked(exam, statement, entry)
        return Statement(
            prompt,
            task_of(exam, prompt, entry, exam.visible),
            fenced(reference_of(exam, entry)),
            exam.family.difficulty,
        )

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(families={self.families}, kinds={list(self.kinds)}, "
            f"min_difficulty={self.min_difficulty:g}, max_difficulty={self.max_difficulty:g}, tests={self.tests}, "
            f"held_out_fraction={self.held_out_fraction})"
        )
