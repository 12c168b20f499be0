"""Records of code tasks: what cannot be graded by is refused, and says why."""

from typing import Any

import pytest

from rlenvs.errors import GraderError
from rlenvs.graders import TASK_TYPES, compile_task
from rlenvs.graders.code import AssertsQuestion, Closeness, FunctionQuestion, StdioQuestion

FUNCTION = {"type": "function", "entry_point": "f", "tests": [{"args": [1], "expected": 2}]}
STDIO = {"type": "stdio", "tests": [{"stdin": "1\n", "stdout": "2\n"}]}
ASSERTS = {"type": "asserts", "entry_point": "f", "test_code": "def check(candidate):\n    assert candidate(1) == 2\n"}


def test_the_three_types_are_known() -> None:
    assert {"function", "stdio", "asserts"} <= set(TASK_TYPES)
    assert isinstance(compile_task(FUNCTION), FunctionQuestion)
    assert isinstance(compile_task(STDIO), StdioQuestion)
    assert isinstance(compile_task(ASSERTS), AssertsQuestion)


def test_every_key_arrives() -> None:
    question = compile_task(
        FUNCTION
        | {"tests": [{"args": [1], "kwargs": {"x": [2]}, "expected": {"a": None}}], "visible_tests": [{"args": [], "expected": 1}]}
        | {"float_rtol": 1e-6, "float_atol": 1, "time_limit_s": 3, "memory_mb": 64, "partial": "share", "require_after_think": True}
    )  # fmt: skip
    assert isinstance(question, FunctionQuestion)
    assert question.tests[0].input == {"args": [1], "kwargs": {"x": [2]}}
    assert question.visible[0].input == []
    assert question.closeness == Closeness(1e-6, 1.0)
    assert (question.limits.wall_s, question.limits.memory_mb, question.shares) == (3.0, 64, True)
    assert question.policy.extract == "last_python_block"
    assert question.policy.after_think


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (FUNCTION | {"tests": []}, "task tests: must hold at least one test"),
        (STDIO | {"tests": []}, "task tests: must hold at least one test"),
        ({"type": "function", "entry_point": "f"}, "task tests: must hold at least one test"),
        (FUNCTION | {"tests": {"args": []}}, "task tests: must be a list of tests"),
        (FUNCTION | {"tests": ["f(1) == 2"]}, r"task tests\[0\]: must be an object with args and expected"),
        (FUNCTION | {"tests": [{"args": [1]}]}, r"task tests\[0\]: 'expected' is missing"),
        (FUNCTION | {"tests": [{"args": [1], "expectd": 1}]}, r"'expected' is missing \(did you mean 'expectd'\?\)|'expected' is missing"),
        (FUNCTION | {"tests": [{"args": [1], "expected": 1, "stdin": ""}]}, "unknown 'stdin'"),
        (FUNCTION | {"tests": [{"args": 1, "expected": 1}]}, r"task tests\[0\].args: must be the list of arguments"),
        (FUNCTION | {"tests": [{"args": [], "kwargs": [1], "expected": 1}]}, r"task tests\[0\].kwargs: must be an object"),
        (FUNCTION | {"tests": [{"args": [], "kwargs": {1: 1}, "expected": 1}]}, r"task tests\[0\].kwargs: must be an object"),
        (FUNCTION | {"tests": [{"args": [], "expected": object()}]}, r"task tests\[0\].expected: holds an object"),
        (FUNCTION | {"visible_tests": [{"args": []}]}, r"task visible_tests\[0\]: 'expected' is missing"),
        (FUNCTION | {"entry_point": None}, "task entry_point: must be the name"),
        (FUNCTION | {"entry_point": "class"}, "task entry_point: must be the name"),
        (FUNCTION | {"entry_point": "f()"}, "task entry_point: must be the name"),
        (FUNCTION | {"float_rtol": -1}, r"task float_rtol: must be a number in \[0, 1\]"),
        (FUNCTION | {"float_atol": float("nan")}, "task float_atol: must be a number"),
        (FUNCTION | {"time_limit_s": 0}, "task time_limit_s: must be a number in"),
        (FUNCTION | {"time_limit_s": True}, "task time_limit_s: must be a number in"),
        (FUNCTION | {"memory_mb": 1}, "task memory_mb: must be a number in"),
        (FUNCTION | {"partial": True}, "task partial: must be 'share' or absent"),
        (FUNCTION | {"extract": "last_python"}, "task extract: unknown 'last_python'"),
        (STDIO | {"tests": [{"stdin": "1"}]}, r"task tests\[0\]: 'stdout' is missing"),
        (STDIO | {"tests": [{"stdin": 1, "stdout": ""}]}, r"task tests\[0\].stdin: must be a text"),
        (ASSERTS | {"test_code": ""}, r"task test_code: must define check\(candidate\)"),
        (ASSERTS | {"test_code": None}, "task test_code: must be a text"),
        (ASSERTS | {"entry_point": ""}, "task entry_point: must be the name"),
        (ASSERTS | {"setup_code": 1}, "task setup_code: must be a text"),
        (ASSERTS | {"visible_test_code": 1}, "task visible_test_code: must be a text"),
        (ASSERTS | {"visible_test_code": "assert True"}, r"task visible_test_code: must define check\(candidate\)"),
        (ASSERTS | {"visible_test_code": ASSERTS["test_code"], "visible_tests": FUNCTION["tests"]}, "task visible_tests: give these or visible_test_code"),
        (ASSERTS | {"partial": "share"}, "task partial: asserts are one test"),
    ],
)  # fmt: skip
def test_what_cannot_be_graded_by_is_refused(task: dict[str, Any], problem: str) -> None:
    with pytest.raises(GraderError, match=problem):
        compile_task(task)
