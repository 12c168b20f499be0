"""The sources of code problems: splits, repeatability, gradable demonstrations, bugs that show."""

import json
import pickle
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from rlenvs.errors import ParameterError
from rlenvs.graders import grade_batch
from rlenvs.problems import CodeRepairSource, CodeSource, Problem, ReasoningGymSource, grade_tasks, make_source
from rlenvs.problems.code import FAMILIES
from rlenvs.problems.code.exam import exam_of
from rlenvs.problems.code.mutation import mutations
from rlenvs.problems.code.repair import BUGS, bug_of, templates_of
from rlenvs.problems.code.running import MAX_TICKS, OutOfTicksError, differs, loaded

SOURCES = ("code", "code_repair")


def drawn(source, count, split="train", seed=0):
    rng = np.random.default_rng(seed)
    return [source.sample(rng, split) for _ in range(count)]


@pytest.mark.parametrize("count", [50, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SOURCES)
def test_problems_are_sound(name, count):
    source = make_source(name)
    for split in ("train", "held_out"):
        for problem in drawn(source, count, split):
            assert problem.split == split
            assert problem.task["question"] == problem.prompt
            assert problem.task["extract"] == "last_python_block"
            assert len(problem.prompt) <= source.max_prompt_chars
            assert len(problem.demonstration) <= source.max_demonstration_chars
            assert set(problem.prompt + problem.demonstration) <= set(source.alphabet)
            assert 0 <= problem.difficulty <= 1
            assert Problem.from_dict(json.loads(json.dumps(problem.to_dict()))) == problem


@pytest.mark.parametrize("name", SOURCES)
def test_the_same_seed_gives_the_same_problems_in_every_process(name):
    # As text: equal dictionaries may be in a different order, and the prompt shows it.
    code = (
        "import json; from rlenvs.problems import make_source; from rlenvs.problems.code import FAMILIES\n"
        f"sources = [make_source({name!r}), *(make_source({name!r}, families=[each]) for each in FAMILIES.by_name)]\n"
        "print(json.dumps([[p.to_dict() for p in s.problems('train', 1 + 11 // n, seed=4)]"
        " for n, s in enumerate(sources, start=1)]))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    first, second = (json.loads(process.communicate()[0]) for process in running)
    for one, other in zip(first, second, strict=True):
        assert json.dumps(one) == json.dumps(other)
    source = make_source(name)
    twin = pickle.loads(pickle.dumps(source))  # noqa: S301 - its own
    assert [problem.to_dict() for problem in twin.problems("train", 12, seed=4)] == first[0]
    state = random.getstate()
    assert [problem.to_dict() for problem in source.problems("train", 12, seed=4)] == first[0]
    assert random.getstate() == state


@pytest.mark.parametrize("name", SOURCES)
def test_making_up_a_problem_costs_less_than_running_a_program_for_it(name):
    source = make_source(name)
    drawn(source, 100, seed=8)
    started = time.process_time()
    drawn(source, 100, seed=9)
    assert (time.process_time() - started) / 100 < 10e-3  # 1 to 2 ms on an idle core, less once an exam is known


@pytest.mark.parametrize("count", [800, pytest.param(5000, marks=pytest.mark.slow)])
def test_thousands_of_problems_are_distinct(count):
    problems = CodeSource().problems("train", count)
    assert len({problem.prompt for problem in problems}) == count
    assert len({(p.task["family"], json.dumps(p.task["parameters"])) for p in problems}) > count // 2


def test_a_program_to_write_and_one_to_repair_are_in_the_same_split():
    keys: dict[str, set] = {"train": set(), "held_out": set()}
    for name in SOURCES:
        for split in keys:
            keys[split] |= {
                (p.task["family"], json.dumps(p.task["parameters"]))
                for p in drawn(make_source(name, held_out_fraction=0.5), 200, split)
            }
    assert not keys["train"] & keys["held_out"]
    for family in FAMILIES.by_name:
        for split in keys:
            assert drawn(CodeSource(families=[family]), 1, split), family


@pytest.mark.parametrize("name", SOURCES)
def test_demonstrations_are_right_in_the_sandbox(name):
    problems = drawn(make_source(name), 60, seed=2)
    grades = grade_batch([p.task for p in problems], [p.demonstration for p in problems])
    assert [(p.prompt, g) for p, g in zip(problems, grades, strict=True) if not g.correct] == []


def test_the_program_to_repair_is_wrong_in_the_sandbox():
    problems = drawn(CodeRepairSource(), 60, seed=3)
    answers = [f"```python\n{problem.task['program']}\n```" for problem in problems]
    for problem, grade in zip(problems, grade_batch([p.task for p in problems], answers), strict=True):
        assert not grade.correct, problem.prompt
        assert grade.status in ("ok", "timeout", "invalid")
        assert answers[0] not in problem.demonstration


@pytest.mark.parametrize("draws", [2, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", BUGS)
def test_every_family_has_bugs_that_an_example_shows(kind, draws):
    for name, family in FAMILIES.by_name.items():
        dice, shown = random.Random(name), 0
        for _ in range(draws):
            exam = exam_of(name, json.dumps(family.draw(dice)), 12)
            templates = templates_of(exam, kind)
            bugs = [bug_of(exam, template) for template in dice.sample(templates, min(4, len(templates)))]
            for bug in filter(None, bugs):
                shown += 1
                assert bug.failing in bug.visible
                call = loaded(family, bug.template, exam.parameters, bounded=True)
                assert differs(call, *bug.failing)
                assert any(differs(call, *case) for case in exam.hidden)
                assert bug.failing not in exam.hidden
        assert shown, name


def test_repairs_show_the_failing_example():
    for problem in drawn(CodeRepairSource(kinds=["function"]), 40):
        said = problem.prompt.split("```\n\n")[-1]
        assert "should be" in said
        assert any(repr(test["expected"]) in said for test in problem.task["visible_tests"])
        assert problem.task["program"] in problem.prompt


def test_mutations_change_one_place_and_stay_python():
    template = "def solve(n):\n    while n > 2 and n not in SEEN:\n        n -= 1\n    return max(n, -1)"
    made = mutations(template)
    assert len(made) == len(set(made)) >= 7
    for text in made:
        assert sum(a != b for a, b in zip(text.splitlines(), template.splitlines(), strict=True)) == 1, text
        compile(text, "", "exec")
    assert "-0" not in " ".join(made)


def test_a_mistake_that_loops_for_ever_is_stopped():
    family = FAMILIES.by_name["best_window"]
    for code in (
        "def solve(n):\n    while True:\n        pass",
        "def solve(n):\n    return solve(n)",
        "def solve(n):\n    for x in iter(int, 1):\n        try:\n            pass\n        except Exception:\n            pass",
    ):
        call = loaded(family, code, {}, bounded=True)
        with pytest.raises((OutOfTicksError, RecursionError)):
            call([1])
        assert differs(call, [1], 1)
    assert MAX_TICKS >= 10_000


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"families": ["best_windw"]}, r"families must be one of .*, got 'best_windw'; did you mean 'best_window'\?"),
        ({"kinds": ["functions"]}, r"kinds must be one of function, stdio, asserts, got 'functions'"),
        ({"families": ["stack_class"], "kinds": ["stdio"]}, r"families must leave at least one family with kinds"),
        ({"min_difficulty": 0.6, "max_difficulty": 0.5}, r"min_difficulty must be <= max_difficulty=0.5, got 0.6"),
        ({"min_difficulty": 0.99}, r"families must leave at least one family with .* a difficulty in \[0.99, 1\]"),
        ({"tests": 9}, r"tests must be an int in 10\.\.30, got 9"),
        ({"tests": True}, r"tests must be an int"),
        ({"held_out_fraction": 2}, r"held_out_fraction must be a number in \[0, 1\]"),
    ],
)
def test_mistakes_in_parameters_are_named(parameters, message):
    for source in (CodeSource, CodeRepairSource):
        with pytest.raises(ParameterError, match=message):
            source(**parameters)


@pytest.mark.parametrize("name", SOURCES)
def test_whoever_changes_a_task_changes_no_other(name):
    def spoil(value):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, dict | list):
                spoil(each)
        value.clear()

    families = ["runs", "coin_change", "receipt", "stack_class", "merged_mappings"]
    source = make_source(name, families=families)
    before = [json.dumps(problem.to_dict()) for problem in source.problems("train", 40)]
    for problem in source.problems("train", 40):
        spoil(problem.task)
    assert [json.dumps(problem.to_dict()) for problem in source.problems("train", 40)] == before


def test_bugs_are_chosen_by_name():
    with pytest.raises(ParameterError, match="bugs must be one of typical, generated"):
        CodeRepairSource(bugs=["typo"])
    assert "bugs=['typical']" in repr(CodeRepairSource(bugs=["typical"]))


def test_families_kinds_and_difficulty_are_kept_to():
    assert {p.task["type"] for p in drawn(CodeSource(kinds=["stdio"]), 30)} == {"stdio"}
    assert {p.task["family"] for p in drawn(CodeSource(families=["runs", "names"]), 30)} == {"runs", "names"}
    assert all(p.difficulty >= 0.5 for p in drawn(CodeSource(min_difficulty=0.5), 30))
    assert all(len(p.task["tests"]) == 25 for p in drawn(CodeSource(kinds=["function"], tests=25), 10))


@pytest.mark.parametrize("dataset", ["bf", "codeio"])
def test_the_data_sets_of_reasoning_gym_about_code_work(dataset):
    pytest.importorskip("reasoning_gym")
    problems = drawn(ReasoningGymSource(dataset, size=50), 5)
    grades = grade_tasks([p.task for p in problems], [p.demonstration for p in problems])
    assert all(grade.correct for grade in grades)
    wrong = grade_tasks([p.task for p in problems], ["<answer>?</answer>"] * 5)
    assert not any(grade.correct for grade in wrong)
