"""Every family, at several parameters: right references, true examples, tests that nothing else passes."""

import ast
import contextlib
import io
import json
import random
import re
import sys

import pytest

from rlenvs.graders import grade_batch
from rlenvs.graders.code.admission import check_tasks
from rlenvs.problems.code import FAMILIES
from rlenvs.problems.code.exam import Exam, exam_for, exam_of
from rlenvs.problems.code.family import KINDS, READS_INPUT, filled, mutant_templates, program
from rlenvs.problems.code.statement import asked, fenced, reference_of, task_of, worded

NAMES = sorted(FAMILIES.by_name)
DRAWS = pytest.mark.parametrize("draws", [3, pytest.param(40, marks=pytest.mark.slow)])
"""How many parameters of each family are drawn: few each time, many in the long run."""
SAMPLE = NAMES[::9]
"""Some families, for what takes processes."""


def exams(name: str, count: int, tests: int = 12) -> list[Exam]:
    family, dice = FAMILIES.by_name[name], random.Random(name)
    keys = dict.fromkeys(json.dumps(family.draw(dice)) for _ in range(count))
    return [exam_of(name, key, tests) for key in keys]


def outcome(exam: Exam, code: str, entry: str, args: list) -> object:
    """What a source text does with an input, by nothing but the interpreter: a second way beside `running.loaded`."""
    args = json.loads(json.dumps(args))
    space: dict = {"__name__": "solution"}
    if exam.family.kind == "stdio":
        written, before = io.StringIO(), sys.stdin
        sys.stdin = io.StringIO(args[0])
        try:
            with contextlib.redirect_stdout(written):
                exec(code, space)  # noqa: S102 - a text of this project
        finally:
            sys.stdin = before
        return written.getvalue()
    exec(code, space)  # noqa: S102 - a text of this project
    return space[entry](*args)


def test_there_are_enough_families_of_every_kind():
    kinds = [family.kind for family in FAMILIES.by_name.values()]
    assert kinds.count("function") >= 40
    assert kinds.count("stdio") >= 6
    assert kinds.count("asserts") >= 4
    assert set(kinds) == set(KINDS)
    assert sum(family.size for family in FAMILIES.by_name.values()) > 10_000
    assert len({family.topic for family in FAMILIES.by_name.values()}) > 12
    difficulties = [family.difficulty for family in FAMILIES.by_name.values()]
    assert min(difficulties) <= 0.15
    assert max(difficulties) >= 0.55
    assert all(family.summary.endswith(".") for family in FAMILIES.by_name.values())


@DRAWS
@pytest.mark.parametrize("name", NAMES)
def test_a_text_with_its_values_filled_in_passes_the_tests_that_the_template_made(name, draws):
    for exam in exams(name, draws):
        for entry in exam.family.entries:
            code = reference_of(exam, entry)
            if exam.family.kind == "asserts":
                space: dict = {}
                exec(task_of(exam, "", entry, exam.visible)["test_code"], space)  # noqa: S102 - a text of this project
                made: dict = {}
                exec(code, made)  # noqa: S102 - a text of this project
                space["check"](made[entry])
                continue
            for case in (*exam.visible, *exam.hidden):
                found = outcome(exam, code, entry, case.args)
                if exam.family.kind == "stdio":
                    assert found == case.expected + "\n", (case, code)
                else:
                    assert (found, repr(found)) == (case.expected, repr(case.expected)), (case, code)


@DRAWS
@pytest.mark.parametrize("name", NAMES)
def test_hidden_tests_are_new_plain_and_of_many_answers(name, draws):
    for exam in exams(name, draws):
        assert len(exam.hidden) >= 12
        inputs = [repr(case.args) for case in (*exam.visible, *exam.hidden, *exam.spare)]
        assert len(set(inputs)) == len(inputs)
        assert 2 <= len(exam.visible) <= 3
        task = task_of(exam, "", "solve", exam.visible)
        assert json.loads(json.dumps(task)) == task
        answers = [repr(case.expected) for case in exam.hidden]
        assert max(map(answers.count, answers)) <= len(answers) // 2 + len(mutant_templates(exam.recipe))
        if all(isinstance(case.expected, bool) for case in exam.hidden):
            assert min(answers.count("True"), answers.count("False")) >= len(answers) // 3
        for place in range(len(exam.hidden[0].args)):
            assert sum(case.args[place] == case.expected for case in exam.hidden) <= len(answers) // 2


@DRAWS
@pytest.mark.parametrize("name", NAMES)
def test_every_typical_bug_fails_hidden_tests(name, draws):
    for exam in exams(name, draws):
        texts = [program(exam.family, exam.recipe, t, exam.parameters, "Thing") for t in mutant_templates(exam.recipe)]
        assert len(set(texts)) == len(texts) >= 3
        if exam.family.kind == "asserts":
            for text in texts:
                space: dict = {}
                exec(task_of(exam, "", "Thing", exam.visible)["test_code"], space)  # noqa: S102 - a text of this project
                exec(text, space)  # noqa: S102 - a text of this project
                with pytest.raises((AssertionError, LookupError, ValueError, TypeError, AttributeError)):
                    space["check"](space["Thing"])
            continue
        for text in texts:
            assert any(failed(exam, text, case) for case in exam.hidden), text


def failed(exam: Exam, code: str, case) -> bool:
    try:
        found = outcome(exam, code, "Thing", case.args)
    except Exception:  # noqa: BLE001 - whatever a bug does
        return True
    return found != (case.expected + "\n" if exam.family.kind == "stdio" else case.expected)


@DRAWS
@pytest.mark.parametrize("name", NAMES)
def test_statements_show_true_examples_and_name_what_to_write(name, draws):
    for exam in exams(name, draws):
        dice = random.Random(name)
        for _ in range(4):
            statement, entry = worded(exam, dice)
            prompt = asked(exam, statement, entry)
            assert prompt.isascii()
            assert not set("\t\r\x0b\x0c") & set(prompt)
            assert exam.family.kind == "stdio" or entry in prompt
            for case in exam.visible:
                shown = case.expected.strip() if exam.family.kind == "stdio" else repr(case.expected)
                assert shown in prompt or exam.family.kind == "asserts"
            ast.parse(reference_of(exam, entry))
            assert "{" not in statement.replace("{'", "").replace("{}", "") or exam.family.kind != "stdio"


def test_every_wording_has_its_values_filled_in():
    for name in NAMES:
        for exam in exams(name, 3):
            assert len(set(exam.recipe.says)) >= 2, name
            for says in exam.recipe.says:
                assert (
                    not {"{k}", "{m}", "None"} & set(says.replace(",", " ").split())
                    or "or None" in says
                    or "(None" in says
                )
                assert "  " not in says, says
                assert says.endswith((".", "?")), says


@pytest.mark.parametrize(
    ("name", "parameters", "said"),
    [
        ("most_meetings", {"pause": 3, "what": "time"}, "in use"),  # closed for a pause is in use
        ("free_slots", {"day": 24, "least": 2}, "(before|within)"),  # the first and the last gap count
        ("free_slots", {"day": 24, "least": 2}, "(sorted|rising order)"),
        ("pattern_count", {"size": 2, "pattern": 0, "overlap": "may"}, "(from 0|first is 0)"),
        ("camel", {"sep": "_", "start": "lower", "digits": "x"}, "at the ends"),
        ("calculator", {"m": 20, "signs": "+-"}, r"0\.\.19"),
        ("stack_machine", {"m": 50, "empty": 0, "extra": "dup"}, "(changes nothing|as it is)"),
        ("account_log", {"start": 0, "fee": 2}, "fee"),
        ("receipt", {"rate": 5, "free": 20}, r"\(0 if"),
        ("limited_copies", {"k": 1, "side": "last", "free": 0}, "(last copy stays|occurrence)"),
    ],
)
def test_every_wording_says_what_can_be_read_in_two_ways(name, parameters, said):
    for says in FAMILIES.by_name[name].build(**parameters).says:
        assert re.search(said, says), says


def test_different_parameters_make_different_problems():
    for family in FAMILIES.by_name.values():
        # Else one problem could be in both splits, under two keys.
        made = {
            (recipe.says[0], filled(recipe.code, parameters))
            for parameters in family.every()
            for recipe in [family.build(**parameters)]
        }
        assert len(made) == family.size, (family.name, len(made), family.size)
        assert len({family.key(parameters) for parameters in family.every()}) == family.size


def test_values_stand_in_for_names_in_capitals_alone():
    assert filled("x[K] + KEY - k + M", {"k": -3, "m": [1, 2]}) == "x[(-3)] + KEY - k + [1, 2]"
    assert filled("    return D", {"d": -1}) == "    return -1"
    exam = exams("receipt", 1)[0]
    assert reference_of(exam, "solve").endswith(READS_INPUT)


def test_the_number_of_tests_can_be_chosen():
    for name in ("best_window", "names", "league_table", "stack_class"):
        for tests in (10, 30):
            for exam in exams(name, 3, tests):
                assert len(exam.hidden) == tests


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_makes_an_exam(name):
    family = FAMILIES.by_name[name]
    for number, parameters in enumerate(family.every()):
        if number % max(1, family.size // 300) == 0:
            assert len(exam_for(family, parameters, 10).hidden) == 10
            assert len(exam_for(family, parameters, 30).hidden) == 30


@pytest.mark.parametrize("names", [SAMPLE, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_references_pass_and_bugs_fail_in_the_sandbox(names):
    tasks, answers, bugs = [], [], []
    for name in names:
        for exam in exams(name, 2):
            entry = exam.family.entries[0]
            for template in (exam.recipe.code, *mutant_templates(exam.recipe)):
                tasks.append(task_of(exam, "", entry, exam.visible))
                answers.append(fenced(program(exam.family, exam.recipe, template, exam.parameters, entry)))
                bugs.append(template != exam.recipe.code)
    grades = grade_batch(tasks, answers)
    judged = zip(tasks, answers, grades, bugs, strict=True)
    assert [(task["family"], text, grade) for task, text, grade, bug in judged if grade.correct == bug] == []
    assert bugs.count(True) >= 3 * bugs.count(False) >= 3 * len(names)


@pytest.mark.parametrize("names", [SAMPLE, pytest.param(NAMES, marks=pytest.mark.slow)], ids=["some", "all"])
def test_bodies_that_solve_nothing_fail_in_the_sandbox(names):
    tasks, answers = [], []
    for name in names:
        (exam,) = exams(name, 1)
        entry = exam.family.entries[0]
        code = reference_of(exam, entry)
        values = {repr(case.expected) for case in exam.hidden} if exam.family.kind == "function" else set()
        for body in sorted({"return None", "pass", "return 0", "return ''", "return True", "first argument"} | values):
            tasks.append(task_of(exam, "", entry, exam.visible))
            answers.append(fenced(hollow(code, body, exam.family.kind)))
    grades = grade_batch(tasks, answers)
    assert [
        (task["family"], text) for task, text, grade in zip(tasks, answers, grades, strict=True) if grade.correct
    ] == []


def hollow(code: str, body: str, kind: str) -> str:
    """A program whose function, or whose methods, do nothing but what the body says."""
    tree = ast.parse(code)
    (scope,) = [node for node in tree.body if isinstance(node, ast.ClassDef)] if kind == "asserts" else [tree]
    for function in scope.body:
        if isinstance(function, ast.FunctionDef) and function.name != "__init__":
            names = [each.arg for each in function.args.args if each.arg != "self"]
            said = f"return {(names or ['self'])[0]}" if body == "first argument" else body
            function.body = ast.parse(said if said.startswith(("return", "pass")) else f"return {said}").body
    return ast.unparse(tree)


@pytest.mark.slow
def test_no_task_is_refused_by_the_admission_check():
    tasks, solutions, prompts = [], [], []
    for name in NAMES:
        for exam in exams(name, 2):
            statement, entry = worded(exam, random.Random(name))
            prompts.append(asked(exam, statement, entry))
            tasks.append(task_of(exam, prompts[-1], entry, exam.visible))
            solutions.append(reference_of(exam, entry))
    problems = check_tasks(tasks, solutions, prompts=prompts)
    assert {task["family"]: found for task, found in zip(tasks, problems, strict=True) if found} == {}
