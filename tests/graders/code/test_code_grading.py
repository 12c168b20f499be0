"""Grades of programs: scores, statuses, reasons, and what is no verdict but a failure."""

from typing import Any

import pytest

from rlenvs.errors import GraderError
from rlenvs.graders import Grade, grade, grade_batch
from rlenvs.graders.code.cases import CallCase
from rlenvs.graders.code.jobs import CallsJob, definite, run_jobs
from rlenvs.sandbox import Limits, Outcome, Program, Result

TESTS = [{"args": [n], "expected": 2 * n} for n in range(4)]
DOUBLE: dict[str, Any] = {"type": "function", "entry_point": "double", "tests": TESTS}
SECRET = "4711"


def fenced(code: str) -> str:
    return f"```python\n{code}\n```"


RIGHT = fenced("def double(n):\n    return 2 * n")


def test_right_and_wrong() -> None:
    assert grade(DOUBLE, RIGHT) == Grade(1.0, True, "ok", "def double(n):\n    return 2 * n", "passes all 4 tests")
    half = grade(DOUBLE, fenced("def double(n):\n    return 2 * n if n % 2 else None"))
    assert (half.score, half.correct, half.status) == (0.0, False, "ok")
    assert half.reason == "2 of 4 tests passed; test 1 gave a wrong answer"


def test_partial_credit_is_asked_for_by_name() -> None:
    half = grade(DOUBLE | {"partial": "share"}, fenced("def double(n):\n    return 2 * n if n % 2 else None"))
    assert (half.score, half.correct) == (0.5, False)
    assert grade(DOUBLE | {"partial": "share"}, RIGHT).score == 1.0
    assert grade(DOUBLE | {"partial": "share"}, "no code").score == 0.0


@pytest.mark.parametrize(
    ("response", "status", "reason"),
    [
        ("I do not know.", "invalid", "no closed ```python block in the response"),
        ("```python\ndef double(n):", "invalid", "no closed ```python block in the response"),
        ("```python\n```", "invalid", "the last ```python block is empty"),
        ("```python\n" + "#" * 70_000 + "\n```", "invalid", "longer than 65536 characters"),
        (fenced("def double(n)\n    return 2 * n"), "invalid", "the program is no Python"),
        (fenced("import sys\nsys.exit(0)"), "ok", "raised SystemExit before its tests"),
        (fenced("1 / 0"), "ok", "raised ZeroDivisionError before its tests"),
        (fenced("x = 1"), "invalid", "the program does not define double"),
        (fenced("def double(n):\n    raise KeyError(n)"), "ok", "test 1 raised KeyError"),
        (fenced("def double(n):\n    return object()"), "ok", "test 1 gave something other than plain data"),
        (fenced("def double(n):\n    while True: pass"), "timeout", "ran out of time"),
        (fenced("def double(n):\n    print('x' * 10**6)"), "invalid", "printed or returned more than is allowed"),
        (fenced("import os\ndef double(n):\n    os._exit(0)"), "ok", "ended before its tests"),
    ],
)
def test_what_a_program_provokes_is_a_definite_verdict(response: str, status: str, reason: str) -> None:
    verdict = grade(DOUBLE | {"time_limit_s": 1}, response)
    assert (verdict.score, verdict.correct, verdict.status) == (0.0, False, status)
    assert reason in verdict.reason


def test_reasons_tell_nothing_of_hidden_tests() -> None:
    """A program that says its inputs in exceptions, types and prints gets none of them into the reason."""
    task = {"type": "function", "entry_point": "f", "tests": [{"args": [f"secret {SECRET}"], "expected": SECRET}]}
    codes = [
        "def f(x):\n    raise ValueError(x)",
        "def f(x):\n    raise type(x, (Exception,), {})",
        "def f(x):\n    return x",
        "def f(x):\n    return type(x, (), {})()",
        "def f(x):\n    print(x)\n    raise SystemExit(x)",
        "import gc\nraise ValueError([o for o in gc.get_objects() if 'secret' in str(o)][:1])",
    ]
    for verdict in grade_batch([task] * len(codes), list(map(fenced, codes))):
        assert not verdict.correct
        assert SECRET not in verdict.reason
        assert "secret" not in verdict.reason


def test_a_batch_mixes_types_and_keeps_its_order() -> None:
    stdio: dict[str, Any] = {"type": "stdio", "tests": [{"stdin": "2\n", "stdout": "4\n"}]}
    asserts: dict[str, Any] = {
        "type": "asserts",
        "entry_point": "double",
        "test_code": "def check(f):\n    assert f(2) == 4\n",
    }
    math: dict[str, Any] = {"type": "math", "gold": "42"}
    printer = fenced("print(2 * int(input()))")
    tasks = [DOUBLE, math, stdio, asserts, math, DOUBLE, stdio, asserts]
    answers = [RIGHT, "\\boxed{42}", printer, RIGHT, "\\boxed{41}", printer, RIGHT, fenced("def double(n): return 5")]
    assert [verdict.correct for verdict in grade_batch(tasks, answers)] == [True, True, True, True] + [False] * 4


def test_setup_code_is_the_asserts_own() -> None:
    task = {
        "type": "asserts",
        "entry_point": "double",
        "setup_code": "def reference(n):\n    return n + n\n",
        "test_code": "def check(candidate):\n    for n in range(5):\n        assert candidate(n) == reference(n)\n",
    }
    assert grade(task, RIGHT).correct
    assert not grade(task, fenced("double = reference")).correct


@pytest.mark.parametrize(
    ("test_code", "problem"),
    [
        ("def check(candidate):\n    pass\n", "the asserts never use what the program defines"),
        ("def check(candidate:\n    pass\n", "SyntaxError"),
        ("def check_(candidate):\n    assert candidate(1) == 2\n", "check"),
        ("import nothing_of_this_name\ndef check(candidate):\n    assert candidate(1) == 2\n", "nothing_of_this_name"),
    ],
)
def test_asserts_that_test_nothing_are_a_mistake_of_the_task(test_code: str, problem: str) -> None:
    task = {"type": "asserts", "entry_point": "double", "test_code": test_code}
    with pytest.raises(GraderError, match=problem):
        grade(task, RIGHT)


def test_tolerance_of_printed_numbers() -> None:
    task = {"type": "stdio", "tests": [{"stdin": "", "stdout": "0.3\n"}]}
    sum_of_tenths = fenced("print(0.1 + 0.2)")
    assert not grade(task, sum_of_tenths).correct
    assert grade(task | {"float_rtol": 1e-9}, sum_of_tenths).correct


def test_keyword_arguments_and_fresh_ones_for_each_call() -> None:
    tests = [{"args": [[1]], "kwargs": {"extra": 2}, "expected": [1, 2]}] * 3
    task = {"type": "function", "entry_point": "f", "tests": tests}
    assert grade(task, fenced("def f(xs, *, extra):\n    xs.append(extra)\n    return xs")).correct


def test_a_block_that_is_indented_as_a_whole_is_read() -> None:
    assert grade(DOUBLE, "1. Like this:\n   ```python\n   def double(n):\n       return 2 * n\n   ```\n").correct


class Scripted:
    """A sandbox that gives what it was told."""

    tier = "scripted"

    def __init__(self, result: Result) -> None:
        self.result = result
        self.programs: list[Program] = []

    def run_batch(self, programs: list[Program]) -> list[Result]:
        self.programs += programs
        return [self.result] * len(programs)


def job(code: str = "", count: int = 6) -> CallsJob:
    cases = tuple(CallCase([number], {}, number) for number in range(count))
    return CallsJob(code, "f", cases, None, Limits())


def test_a_failure_of_the_sandbox_is_no_verdict() -> None:
    with pytest.raises(GraderError, match="a program could not be judged: no worker answers"):
        definite(run_jobs([job()], Scripted(Result("error", reason="no worker answers"))))  # type: ignore[arg-type]


def test_calls_come_in_an_order_that_depends_on_the_program_and_the_task() -> None:
    orders = {code: job(code, 8).order() for code in map(str, range(50))}
    assert all(sorted(order) == list(range(8)) for order in orders.values())
    assert len(set(map(tuple, orders.values()))) > 45
    assert orders == {code: job(code, 8).order() for code in orders}
    other = CallsJob("0", "f", tuple(CallCase([n], {}, n + 1) for n in range(8)), None, Limits())
    assert other.order() != orders["0"]


def test_inputs_go_out_shuffled_and_verdicts_come_back_in_the_order_of_the_task() -> None:
    asked = job("x")
    program = asked.program()
    assert program.inputs == [[index] for index in asked.order()]
    # Nothing but the inputs: no gold, no count, no order.
    outcomes = tuple(Outcome("returned", given[0] if given[0] != 3 else 0) for given in program.inputs)
    report = asked.read(Result("ok", outcomes))
    assert [verdict.passed for verdict in report.verdicts] == [True, True, True, False, True, True]


@pytest.mark.parametrize("status", ["timeout", "memory", "output", "crash", "malformed"])
def test_a_bad_end_is_no_pass_even_with_all_answers_right(status: Any) -> None:
    asked = job("x")
    outcomes = tuple(Outcome("returned", given[0]) for given in asked.program().inputs)
    report = asked.read(Result(status, outcomes, reason="whatever"))
    assert report.passed == 6
    assert not report.is_right


def test_missing_and_surplus_outcomes() -> None:
    asked = job("x")
    outcomes = tuple(Outcome("returned", given[0]) for given in asked.program().inputs)
    assert not asked.read(Result("ok", outcomes[:-1])).is_right
    assert not asked.read(Result("ok", ())).is_right
    assert asked.read(Result("ok", (*outcomes, Outcome("returned", 0)))).is_right


NO_ANSWER: Any = [Outcome("missing"), Outcome("opaque", 3), Outcome("raised", 3, "X: 3"), Outcome("missing", 3)]


@pytest.mark.parametrize("outcome", NO_ANSWER)
def test_only_what_was_returned_counts(outcome: Outcome) -> None:
    asked = CallsJob("", "f", (CallCase([], {}, 3), CallCase([], {}, None)), None, Limits())
    report = asked.read(Result("ok", (outcome, outcome)))
    assert report.passed == 0


def test_a_right_answer_fits_however_large_its_gold_is() -> None:
    """Beyond the default limits of one answer, of all answers together, and of what a program prints."""
    texts = [{"args": ["x", 900_000 + n], "expected": "x" * (900_000 + n)} for n in range(20)]
    many = {"type": "function", "entry_point": "f", "tests": texts, "time_limit_s": 20}
    one = many | {"tests": [{"args": [[0], 200_000], "expected": [0] * 200_000}]}
    printed = "".join(f"{n}\n" for n in range(20_000))
    stdio = {"type": "stdio", "tests": [{"stdin": "20000", "stdout": printed}], "time_limit_s": 20}
    program, script = "def f(x, n):\n    return x * n", "for n in range(int(input())):\n    print(n)"
    grades = grade_batch([one, many, stdio], [fenced(program), fenced(program), fenced(script)])
    assert [verdict.reason for verdict in grades] == ["passes the tests", "passes all 20 tests", "passes the tests"]
    flood = grade(stdio, fenced("while True:\n    print('x' * 1000)"))
    assert (flood.status, flood.score) == ("invalid", 0.0)


@pytest.mark.parametrize(
    ("gold", "problem"),
    [("x" * (1 << 27), "larger than"), ([None] * (1 << 18), "too many values")],
    ids=["size", "count"],
)
def test_a_gold_that_nothing_can_send_is_refused(gold: Any, problem: str) -> None:
    tests = [{"args": [], "expected": 0}, {"args": [], "expected": gold}]
    with pytest.raises(GraderError, match=rf"task tests\[1\].expected: {problem}"):
        grade({"type": "function", "entry_point": "f", "tests": tests}, RIGHT)
