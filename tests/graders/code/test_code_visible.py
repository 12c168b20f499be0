"""What a policy is shown of a program's run: visible tests with values, hidden ones never."""

import pytest

from rlenvs.errors import UserError
from rlenvs.graders import compile_task
from rlenvs.graders.code import run_visible

FUNCTION = {
    "type": "function",
    "entry_point": "double",
    "tests": [{"args": [4711], "expected": 9422}],
    "visible_tests": [{"args": [1], "expected": 2}, {"args": [], "kwargs": {"n": 0}, "expected": 0}],
    "time_limit_s": 1,
}
STDIO = {
    "type": "stdio",
    "tests": [{"stdin": "4711\n", "stdout": "9422\n"}],
    "visible_tests": [{"stdin": "1\n", "stdout": "2\n"}],
}


def test_each_failing_test_is_a_line() -> None:
    (report,) = run_visible([FUNCTION], ["def double(n):\n    return n"])
    assert (report.passed, report.total, report.share) == (1, 2, 0.5)
    assert report.lines == ("double(1) returned 1, expected 2",)


def test_all_pass() -> None:
    (report,) = run_visible([compile_task(FUNCTION)], ["def double(n):\n    return 2 * n"])  # type: ignore[list-item]
    assert (report.passed, report.total, report.lines) == (2, 2, ())


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("def double(n):\n    raise ValueError('no\\x1b[31m')", "double(1) raised ValueError: no\\x1b[31m (line 2), expected 2"),
        ("def double(n):\n    return {1}", "double(n=0) returned {1}, expected 0"),
        ("def double(n):\n    return print", "double(1) gave something other than plain data, expected 2"),
        ("def double(n)", "The program is no Python (SyntaxError"),
        ("def double(n):\n    while True: pass", "The program ran out of time."),
        ("def double(n):\n    return 'x' * 1000", f"double(1) returned 'x{'x' * 198}..., expected 2"),
        ("def double(n):\n    return 10**100000", "double(1) returned int too long to show, expected 2"),
    ],
)  # fmt: skip
def test_lines(code: str, line: str) -> None:
    (report,) = run_visible([FUNCTION], [code])
    assert report.passed == 0
    assert any(text.startswith(line) for text in report.lines), report.lines
    assert all("\n" not in text and text.isprintable() and len(text) < 1000 for text in report.lines)


def test_scripts() -> None:
    right, wrong = run_visible([STDIO, STDIO], ["print(2 * int(input()))", "print(input())"])
    assert (right.passed, right.total, right.lines) == (1, 1, ())
    assert wrong.lines == ("input '1\\n' printed '1\\n', expected output '2\\n'",)


def test_asserts_show_calls() -> None:
    task = {
        "type": "asserts",
        "entry_point": "double",
        "test_code": "def check(c):\n    assert c(4711) == 9422\n",
        "visible_tests": [{"args": [1], "expected": 2}],
    }
    (report,) = run_visible([task], ["def double(n):\n    return 2"])
    assert (report.passed, report.total) == (1, 1)


def test_without_visible_tests_nothing_runs() -> None:
    task = {key: value for key, value in FUNCTION.items() if key != "visible_tests"}
    (report,) = run_visible([task], ["while True: pass"])
    assert (report.passed, report.total, report.share, report.lines) == (0, 0, 0.0, ())


def test_hidden_tests_stay_hidden() -> None:
    spy = "import gc\nseen = [o for o in gc.get_objects() if isinstance(o, (list, tuple)) and int('47' + '11') in o]\ndef double(n):\n    return str(seen)[:50]"
    (report,) = run_visible([FUNCTION], [spy])
    assert report.lines == ("double(1) returned '[]', expected 2", "double(n=0) returned '[]', expected 0")


def test_lengths_must_agree() -> None:
    with pytest.raises(UserError, match="one program per task, got 1 tasks and 2 programs"):
        run_visible([FUNCTION], ["", ""])
