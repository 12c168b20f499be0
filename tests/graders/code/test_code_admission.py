"""Tasks that pay for nothing are refused, good ones are not."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from rlenvs.graders import grade
from rlenvs.graders.code.admission import check_task, check_tasks
from rlenvs.graders.code.comparison import same_value
from rlenvs.graders.code.examples import Example, examples_of
from rlenvs.graders.code.questions import compile_code
from rlenvs.graders.code.trivial import literal, trivial_programs
from rlenvs.graders.question import Policy

DATA = Path(os.environ.get("RLENVS_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))


def function(*tests: tuple[list[Any], Any], **keys: Any) -> dict[str, Any]:
    return {"type": "function", "entry_point": "f", "tests": [{"args": a, "expected": e} for a, e in tests], **keys}


DOUBLE = function(([1], 2), ([3], 6), ([-2], -4))
EVEN = function(*(([n], n % 2 == 0) for n in range(12)))


def test_a_good_task_and_its_solution() -> None:
    assert check_task(DOUBLE, "def f(n):\n    return 2 * n") == []
    assert check_task(EVEN, "def f(n):\n    return n % 2 == 0") == []


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (function(([1], 7), ([2], 7)), "passed by a program that always returns 7"),
        (function(([1], None), ([2], None)), "passed by a program that always returns None"),
        (function(([[]], []), ([[0]], [])), "passed by a program that always returns []"),
        (function(([1], {"a": 1.5}), ([2], {"a": 1.5})), "passed by a program that always returns {'a': 1.5}"),
        (function(([1], float("nan"))), "passed by a program that always returns float('nan')"),
        (function(([1], 10**5000)), "passed by a program that always returns 0x"),
        (function(([5], 5), ([6], 6)), "passed by a program that returns its argument 1"),
        (function(([5, 1], 1), ([6, 2], 2)), "passed by a program that returns its argument 2"),
        (function(([1], 2), ([3], 6), prompt="f(1) == 2 and f(3) == 6"), "knows only the examples of the prompt"),
        (function(([1], 2), ([3], 6), prompt=">>> f(1)\n2\n>>> f(3)\n6\n"), "knows only the examples of the prompt"),
        (function(([1], 2), ([3], 6), ([9], 6), prompt="f(1) -> 2"), "knows only the examples of the prompt"),
        (function(([1], 2), ([3], 6), visible_tests=[{"args": [1], "expected": 2}]), "knows only the examples"),
        (function(*(([n], n > 2) for n in range(6))), "asks yes or no with 6 tests"),
        (function(*(([n], n == 2) for n in range(12))), "asks yes or no with 1 of 12 tests true"),
        (function(), "task tests: must hold at least one test"),
        ({"type": "math", "gold": "42"}, "task type: must be one of function, stdio, asserts"),
    ],
)  # fmt: skip
def test_refused(task: dict[str, Any], problem: str) -> None:
    assert any(problem in found for found in check_task(task)), check_task(task)


def stdio(*tests: tuple[str, str]) -> dict[str, Any]:
    return {"type": "stdio", "tests": [{"stdin": given, "stdout": wanted} for given, wanted in tests]}


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (stdio(("1\n", ""), ("2\n", "")), "passed by a program that is empty"),
        (stdio(("1\n", "YES\n"), ("2\n", "YES\n")), "passed by a program that always prints 'YES'"),
        (stdio(("1\n", "1\n"), ("2\n", "2\n")), "passed by a program that prints its input"),
        (stdio(("1\nx\n", "1\n"), ("2\ny\n", "2\n")), "passed by a program that prints the first line of its input"),
    ],
)
def test_scripts_refused(task: dict[str, Any], problem: str) -> None:
    assert problem in check_task(task)


def asserts(body: str, entry_point: str = "f") -> dict[str, Any]:
    return {"type": "asserts", "entry_point": entry_point, "test_code": f"def check(candidate):\n    {body}\n"}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("assert 1 + 1 == 2", "never use"),
        ("assert candidate is not None", "never use"),
        ("assert callable(candidate)", "never use"),
        ("assert candidate(1) == 7", "passed by a program that always returns 7"),
        ("assert candidate(1)", "passed by a program that always returns 1"),
        ("assert candidate(1) == 1; assert candidate(2) == 2", "passed by a program that returns its argument 1"),
        ("candidate(1)", "passed by a program that always returns None"),
    ],
)
def test_asserts_refused(body: str, problem: str) -> None:
    found = check_task(asserts(body))
    assert any(problem in text for text in found), found


def test_a_check_that_hides_failures_is_refused() -> None:
    task = asserts("try:\n        assert candidate(1) == 2\n    except Exception:\n        pass")
    assert any("raises in f" in text for text in check_task(task))


def test_classes_that_answer_everything() -> None:
    task = asserts("c = candidate()\n    c.add(1)\n    assert c.total() is None", "Counter")
    assert any("answers every call with None" in text for text in check_task(task))
    good = asserts(
        "c = candidate()\n    c.add(1)\n    c.add(2)\n    assert c.total() == 3\n    c.add(1)\n    assert c.total() == 4",
        "Counter",
    )
    assert check_task(good) == []


def test_a_solution_that_fails_is_told_with_its_reason() -> None:
    assert check_task(DOUBLE, "def f(n):\n    return n + n + n") == [
        "refuses its own solution: 0 of 3 tests passed; test 1 gave a wrong answer"
    ]
    assert check_task(asserts("assert candidate(2) == 4\n    assert candidate(3) == 6"), "f = 1")[0].startswith(
        "refuses its own"
    )


def test_a_solution_that_fails_visible_tests_is_told() -> None:
    wrong = [{"args": [1], "expected": 3}]
    assert check_task(DOUBLE | {"visible_tests": wrong}, "def f(n):\n    return 2 * n") == [
        "refuses its own solution, visible tests: gave a wrong answer"
    ]
    task = asserts("assert candidate(2) == 4\n    assert candidate(3) == 6")
    visible = "def check(candidate):\n    assert candidate({}) == {}\n"
    good, bad, unused = visible.format(5, 10), visible.format(5, 11), "def check(candidate):\n    pass\n"
    found = check_tasks(
        [task | {"visible_test_code": code} for code in (good, bad, unused)], ["def f(n): return 2 * n"] * 3
    )
    assert found[:2] == [[], ["refuses its own solution, visible tests: an assertion failed"]]
    assert found[2] == ["cannot be graded by, visible tests: the asserts never use what the program defines"]


def test_visible_asserts_are_examples_that_are_given_away() -> None:
    code = "def check(candidate):\n    assert candidate(1) == 5\n    assert candidate(2) == 4\n"
    assert any(
        "knows only the examples" in text
        for text in check_task({"type": "asserts", "entry_point": "f", "test_code": code, "visible_test_code": code})
    )


def test_asserts_that_do_not_parse_are_refused() -> None:
    assert check_task(asserts("assert candidate(1) ==")) != []


def test_many_tasks_keep_their_order() -> None:
    found = check_tasks(
        [DOUBLE, function(([1], 7)), {"type": "nonsense"}, EVEN], [None, None, None, "def f(n): return 1"]
    )
    assert [bool(problems) for problems in found] == [False, True, True, True]


def test_tasks_of_the_corpus_are_fit() -> None:
    path = DATA / "reward_hacks.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}; set RLENVS_TEST_DATA")
    rows = [row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if row["kind"] == "code"]
    tasks = list({json.dumps(row["task"]): row["task"] for row in rows}.values())
    assert check_tasks(tasks) == [[] for _ in tasks]


@pytest.mark.parametrize(
    ("prompt", "examples"),
    [
        ("is_f(7) is True; f(7) is True, f(8) is False", [([7], True), ([8], False)]),
        ("f([1, 2], 'a)b') == {'x': (1, 2)}.", [([[1, 2], "a)b"], {"x": (1, 2)})]),
        ("    >>> f('a')\n    'b'\n    >>> f(1.5)\n    2.5\n", [(["a"], "b"), ([1.5], 2.5)]),
        ("f(1) => 2\nf(2) \u279e 3\nf(3) returns 4\nf(4) should return 5\nf(5) # 6\nf(6) = 7", [([n], n + 1) for n in range(1, 7)]),
        ("`f(1)` == `2`", [([1], 2)]),
        ("f(x) == 2, f(1) == x, f(1, f(1) == 2", [([1], 2)]),
        ("def f(n: int) -> int:", []),
        ("f(", []),
        ("f('unclosed) == 1", []),
        ("", []),
    ],
)  # fmt: skip
def test_examples_of_a_prompt(prompt: str, examples: list[tuple[list[Any], Any]]) -> None:
    assert [(example.args, example.expected) for example in examples_of(prompt, "f")] == examples


def test_examples_keep_keywords() -> None:
    assert examples_of("f(1, by=[2]) == 3", "f") == [Example([1], {"by": [2]}, 3)]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), set(), frozenset({1}), (), (1,), {"a": [None]}, [10**6000], "\ud800'", b"\0", -0.0, 1j])  # fmt: skip
def test_literals_are_read_back(value: Any) -> None:
    found = eval(literal(value))  # noqa: S307 - text of this test
    assert same_value(found, value)
    assert type(found) is type(value)


def test_trivial_programs_do_not_pass_a_good_task() -> None:
    question = compile_code(DOUBLE, Policy("last_python_block"))
    programs = trivial_programs(question, "f(1) == 2")
    assert len(programs) > 20
    assert len({program.code for program in programs}) == len(programs)
    for program in programs[:5]:
        assert not grade(DOUBLE, f"```python\n{program.code}\n```").correct
