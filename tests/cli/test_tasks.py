"""`rlenvs tasks check`: what speaks against the tasks of a file, with file and line."""

import json
from pathlib import Path
from typing import Any

import pytest

from rlenvs.cli import main

GOOD = {
    "type": "function",
    "entry_point": "f",
    "tests": [{"args": [1], "expected": 2}, {"args": [3], "expected": 6}, {"args": [-2], "expected": -4}],
}
CONSTANT = {"type": "function", "entry_point": "f", "tests": [{"args": [1], "expected": 7}]}
SOLUTION = "def f(n):\n    return 2 * n\n"


def written(folder: Path, *rows: object) -> str:
    path = folder / "tasks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_fit_tasks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows: list[dict[str, Any]] = [
        GOOD,
        {"task": GOOD, "solution": SOLUTION},
        {"task": GOOD, "demonstration": f"So:\n```python\n{SOLUTION}```\n"},
        {"task": {"type": "math", "gold": "42"}},
    ]
    assert main(["tasks", "check", written(tmp_path, *rows)]) == 0
    assert capsys.readouterr().out == "4 tasks, all fit\n"


def test_refused_tasks_are_named_by_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [GOOD, CONSTANT, {"task": {"type": "function", "tests": []}}, {"task": {"type": "math"}}]
    path = written(tmp_path, *rows, {"task": GOOD, "solution": "def f(n): return n"})
    assert main(["tasks", "check", path]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"{path}:2: passed by a program that always returns 7",
        f"{path}:3: task entry_point: must be the name of the function or class to write, got None",
        f"{path}:4: task gold: must be a text, got None",
        f"{path}:5: refuses its own solution: 0 of 3 tests passed; test 1 gave a wrong answer",
        "5 tasks, 4 refused",
    ]


def test_the_prompt_of_a_line_gives_its_examples_away(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"question": "f(1) == 2, f(3) == 6, f(-2) == -4", "prompt": "Double it.", "task": GOOD}
    path = written(tmp_path, row)
    assert main(["tasks", "check", path]) == 0
    assert main(["tasks", "check", path, "--prompt-field", "question"]) == 2
    assert "knows only the examples of the prompt" in capsys.readouterr().out


def test_records_of_data_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = "def check(candidate):\n    assert candidate(1) == 2\n    assert candidate(3) == 6\n    assert candidate(5) == 10\n"
    record = {"prompt": 'def f(n):\n    """Double n."""\n', "entry_point": "f", "test": check}
    rows = [
        record | {"canonical_solution": "    return 2 * n\n"},
        record | {"canonical_solution": "    return 3 * n\n"},
        {
            "text": "Double n.",
            "code": "def f(n):\n    return 2 * n",
            "test_list": ["assert f(1) == 2", "assert f(2) == 4", "assert f(3) == 6"],
        },
        {"text": "Double n.", "code": "def f(n):\n    return 2 * n", "test_list": ["assert f(1) == 2"]},
    ]
    path = written(tmp_path, *rows)
    assert main(["tasks", "check", path]) == 2
    out = capsys.readouterr().out
    assert f"{path}:2: refuses its own solution: an assertion failed" in out
    assert f"{path}:4: passed by a program that always returns 2" in out
    assert f"{path}:1:" not in out
    assert f"{path}:3:" not in out


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, GOOD, CONSTANT)
    assert main(["tasks", "check", path, "--json"]) == 2
    assert json.loads(capsys.readouterr().out) == {
        "file": path,
        "tasks": 2,
        "refused": [{"line": 2, "problems": ["passed by a program that always returns 7"]}],
    }


def test_other_fields_and_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, {"exam": GOOD, "answer": SOLUTION}, {"exam": CONSTANT, "answer": SOLUTION})
    arguments = ["tasks", "check", path, "--task-field", "exam", "--solution-field", "answer"]
    assert main([*arguments, "--limit", "1"]) == 0
    assert main(arguments) == 2
    assert f"{path}:2: refuses its own solution" in capsys.readouterr().out


def test_solutions_are_read_as_the_task_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    marked = GOOD | {"extract": "last_marker", "markers": ["A:"]}
    rows: list[dict[str, Any]] = [
        {"task": marked, "solution": "A: f = lambda n: 2 * n"},
        {"task": marked, "solution": SOLUTION.strip()},
        {"task": GOOD | {"extract": ["whole"]}, "solution": SOLUTION},
        {
            "task": GOOD | {"require_after_think": True},
            "solution": f"```python\n1\n```</think>\n```python\n{SOLUTION}```",
        },
    ]
    path = written(tmp_path, *rows)
    assert main(["tasks", "check", path]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}:3: task extract: unknown ['whole']")
    assert lines[1:] == ["4 tasks, 1 refused"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no tasks"),
        ("{", ":1: not JSON"),
        ("[]", ":1: expected an object"),
        ('{"taks": {}}', "field 'task' is missing; did you mean 'taks'?"),
        ('{"task": 1}', ":1: field 'task': expected a task record, got 1"),
        ('{"task": {}, "solution_": 1}', "field 'solution' is missing"),
    ],
)
def test_what_is_no_file_of_tasks(text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tasks.jsonl"
    path.write_text(text)
    extra = ["--solution-field", "solution"] if "solution_" in text else []
    assert main(["tasks", "check", str(path), *extra]) == 2
    error = capsys.readouterr().err
    assert message.partition(";")[0] in error
    assert error.count("\n") == 1


def test_no_action_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks"]) == 2
    assert "check" in capsys.readouterr().out
