"""The source of programs to repair."""

import json
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from rlenvs.problems.checks import check_choices
from rlenvs.problems.code.exam import Case, Exam, exam_of
from rlenvs.problems.code.family import KINDS, mutant_templates, program
from rlenvs.problems.code.mutation import mutations
from rlenvs.problems.code.running import Call, OutOfTicksError, differs, loaded
from rlenvs.problems.code.source import CodeSource
from rlenvs.problems.code.statement import asked, called, fenced, reference_of, session, task_of, worded
from rlenvs.problems.procedural import Statement

BUGS = ("typical", "generated")
MAX_BUGS = 12
"""Generated bugs that are tried for a problem."""
LONGEST_GIVEN = 200
"""Characters of a wrong answer that are shown."""
TURNS = (
    "This program is meant to solve the task below, but it is wrong.",
    "Find and repair the mistake in this program.",
    "The following solution fails some tests. Correct it.",
)


class Bug(NamedTuple):
    """A wrong program with an example that shows it."""

    template: str
    failing: Case
    given: str
    """What it does there, in words."""
    visible: tuple[Case, ...]


def given_by(call: Call, case: Case) -> str:
    """What a program does with an input, in words; "" if it is right."""
    try:
        result = call(case.args)
    except OutOfTicksError:
        return "does not end"
    except Exception as error:  # noqa: BLE001 - whatever a bug does
        return f"raises {type(error).__name__}"
    return "" if result == case.expected else f"gives {result!r:.{LONGEST_GIVEN}}"


def bug_of(exam: Exam, template: str) -> Bug | None:
    """A template as a bug, if its examples can show it and hidden tests find it still."""
    try:
        call = loaded(exam.family, template, exam.parameters, bounded=True)
    except (Exception, OutOfTicksError):  # noqa: BLE001 - a change that cannot even be loaded is no program to repair
        return None
    if not any(differs(call, *case) for case in exam.hidden):
        return None
    for case in (*exam.visible, *exam.spare):
        given = given_by(call, case)
        if given:
            visible = exam.visible if case in exam.visible else (*exam.visible, case)
            return Bug(template, case, given, visible)
    return None


@lru_cache(maxsize=8192)
def known_bug(name: str, key: str, tests: int, template: str) -> Bug | None:
    """`bug_of` for the problem of a family with parameters, as JSON."""
    return bug_of(exam_of(name, key, tests), template)


def templates_of(exam: Exam, kind: str) -> Sequence[str]:
    """The bugs of a problem: those of its family, or the generated ones."""
    return mutant_templates(exam.recipe) if kind == "typical" else mutations(exam.recipe.code)


def failure(exam: Exam, entry: str, bug: Bug) -> str:
    """The example that fails, in words."""
    case = bug.failing
    if exam.family.kind == "function":
        return f"{called(entry, case.args)} should be {case.expected!r}, but the program {bug.given}."
    if exam.family.kind == "stdio":
        return f"For the input\n{case.args[0].rstrip()}\nit should print\n{case.expected.rstrip()}\nbut it {bug.given}."
    return f"This should hold, but does not:\n{session(entry, case)}"


class CodeRepairSource(CodeSource):
    """Programs with one mistake to find and repair, without end.

    The problems are those of `CodeSource`, with the same keys of the split. The prompt shows a program that fails, and
    an example where it does, which is among the visible tests; the hidden tests fail it too. A mistake is either one of
    the family's typical bugs or a generated one: an operator, a constant or a function of the reference taken for
    another. Every generated one was run, and fails; those that change nothing are left out. The demonstration is the
    reference. The task record has the program under "program".

    Args:
        families: names of families; None for all that the other parameters allow.
        kinds: task types, a choice of "function", "stdio", "asserts".
        bugs: which mistakes, a choice of "typical" and "generated". One problem in a hundred has no generated one that
            an example shows, and gets a typical one in any case.
        min_difficulty: lowest difficulty of a family, in [0, 1].
        max_difficulty: highest difficulty of a family, in [0, 1].
        tests: hidden tests of each problem, 10..30.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range, or no family left by the others.

    Example:
        >>> import numpy as np
        >>> problem = CodeRepairSource(families=["best_window"]).sample(np.random.default_rng(0), "train")
        >>> problem.task["program"] in problem.prompt, problem.task["program"] in problem.demonstration
        (True, False)
    """

    name = "code_repair"
    max_prompt_chars = 5000

    def __init__(
        self,
        families: Sequence[str] | None = None,
        kinds: Sequence[str] = KINDS,
        bugs: Sequence[str] = BUGS,
        min_difficulty: float = 0.0,
        max_difficulty: float = 1.0,
        tests: int = 12,
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(families, kinds, min_difficulty, max_difficulty, tests, held_out_fraction)
        self.bugs = check_choices("bugs", bugs, BUGS)

    def _state(self, exam: Exam, dice: random.Random) -> Statement:
        bug = self._bug(exam, dice)
        statement, entry = worded(exam, dice)
        wrong = program(exam.family, exam.recipe, bug.template, exam.parameters, entry)
        parts = [dice.choice(TURNS), statement, f"The program:\n{fenced(wrong)}", failure(exam, entry, bug)]
        prompt = asked(exam, "\n\n".join(parts), entry)
        task = {**task_of(exam, prompt, entry, bug.visible), "program": wrong}
        return Statement(prompt, task, fenced(reference_of(exam, entry)), exam.family.difficulty)

    def _bug(self, exam: Exam, dice: random.Random) -> Bug:
        """Draw a mistake; one of the other kind where a problem has none of the kind that was drawn."""
        key = json.dumps(exam.parameters)
        kinds = list(self.bugs)
        dice.shuffle(kinds)
        # A single kind that a problem has none of gives way to the other one.
        for kind in (*kinds, *BUGS):
            templates = templates_of(exam, kind)
            for template in dice.sample(templates, min(MAX_BUGS, len(templates))):
                bug = known_bug(exam.family.name, key, self.tests, template)
                if bug is not None:
                    return bug
        raise AssertionError(f"{exam.family.key(exam.parameters)} has no bug that an example shows")

    def __repr__(self) -> str:
        return f"{super().__repr__()[:-1]}, bugs={list(self.bugs)})"
