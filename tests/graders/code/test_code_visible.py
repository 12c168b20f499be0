"""What a policy is shown of a program's run: visible tests with values, hidden ones never."""

import pytest

from rlenvs.errors import GraderError, RlenvsError, UserError
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
        ("def double(n):\n    raise ValueError(object())", "double(1) raised ValueError: <object object at 0x...> (line 2), expected 2"),
        ("raise ValueError(object())", "The program raised ValueError before its tests (ValueError: <object object at 0x...> (line 1))."),
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


COUNTER = {
    "type": "asserts",
    "entry_point": "Counter",
    "test_code": "def check(candidate):\n    it = candidate(4711)\n    assert it.add(4712) == 9423\n",
    "visible_test_code": "def check(candidate):\n    it = candidate(1)\n    assert it.add(2) == 3\n    assert it.add(1) == 4, 'add(1)'\n",
    "time_limit_s": 1,
}  # fmt: skip
ADDS = "class Counter:\n    def __init__(self, n):\n        self.n = n\n    def add(self, k):\n        {}\n        return self.n"


@pytest.mark.parametrize(
    ("code", "line"),
    [
        (ADDS.format("self.n += 1"), "assert it.add(2) == 3 failed: AssertionError"),
        (ADDS.format("self.n = 3"), "assert it.add(1) == 4, 'add(1)' failed: AssertionError: add(1)"),
        (ADDS.format("raise IndexError(k)"), "assert it.add(2) == 3 failed: IndexError: 2"),
        (ADDS.format("raise ValueError('no\\n (line 2)')"), r"assert it.add(2) == 3 failed: ValueError: no\n (line 2)"),
        (ADDS.format("raise ValueError('x' * 999)"), f"assert it.add(2) == 3 failed: ValueError: {'x' * 188}..."),
        (ADDS.format("raise ValueError(self)"), "assert it.add(2) == 3 failed: ValueError: <solution.Counter object at 0x...>"),
        ("class Counter:\n    pass", "it = Counter(1) failed: TypeError: Counter() takes no arguments"),
        ("class Counter", "The program is no Python (SyntaxError: expected ':' (<solution>, line 1))."),
        ("1 / 0", "The program raised ZeroDivisionError before its tests (ZeroDivisionError: division by zero (line 1))."),
        ("x = 1", "The program does not define Counter (NameError: there is no Counter)."),
        (ADDS.format("while True: pass"), "The program ran out of time."),
    ],
)  # fmt: skip
def test_visible_asserts_say_which_one_failed(code: str, line: str) -> None:
    (report,) = run_visible([COUNTER], [code])
    assert (report.passed, report.total, report.lines) == (0, 1, (line,))


def test_visible_asserts_run_beside_other_tests_and_hide_the_hidden_ones() -> None:
    spy = ADDS.format("self.n = [o for o in __import__('gc').get_objects() if isinstance(o, str) and '47' + '11' in o]")
    reports = run_visible(
        [COUNTER, FUNCTION, COUNTER, COUNTER | {"setup_code": "START = 1\n"}],
        [ADDS.format("self.n += k"), "def double(n):\n    return 2 * n", spy, "class Counter: pass"],
    )
    assert [(report.passed, report.total) for report in reports] == [(1, 1), (2, 2), (0, 1), (0, 1)]
    assert [report.lines for report in reports[:3]] == [(), (), ("assert it.add(2) == 3 failed: AssertionError",)]
    assert reports[3].lines == ("Counter failed its test: TypeError: Counter() takes no arguments (line 2)",)


def test_visible_asserts_that_cannot_be_used_are_no_verdict() -> None:
    for code in ("def check(candidate)", "def check(candidate):\n    pass\n"):
        with pytest.raises(GraderError, match="a program could not be judged"):
            run_visible([COUNTER | {"visible_test_code": code}], [ADDS.format("self.n += k")])


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


@pytest.mark.parametrize(
    ("task", "code", "message"),
    [
        ({"type": "math", "gold": "1"}, "", "task type: must be one of function, stdio, asserts, got 'math'"),
        ({}, "", "task type: must be one of function, stdio, asserts, got None"),
        ({"type": ["stdio"]}, "", "task type: must be one of"),
        (None, "", "task: must be a mapping"),
        (FUNCTION, None, "must be a str, got NoneType"),
    ],
)
def test_what_is_no_code_task_or_no_program_says_so(task: object, code: object, message: str) -> None:
    with pytest.raises(RlenvsError, match=message):
        run_visible([task], [code])  # type: ignore[list-item]
