"""HumanEval and MBPP records: recognised, read without running them, graded in the sandbox."""

import json
import os
from pathlib import Path

import pytest

from rlenvs.errors import DataError, ParameterError
from rlenvs.graders import grade_batch
from rlenvs.graders.code import run_visible
from rlenvs.problems import JsonlSource
from rlenvs.problems.record_formats import detect_format

DATA = Path(os.environ.get("RLENVS_TEST_DATA", Path(__file__).parents[3].parent / "shared" / "data"))

HUMANEVAL = {
    "task_id": "X/0",
    "prompt": 'import math\n\n\ndef twice(n):\n    return 2 * n\n\n\ndef quad(n):\n    """Four times.\n    >>> quad(1)\n    4\n    >>> quad(2)\n    9\n    """\n',
    "entry_point": "quad",
    "canonical_solution": "    return twice(twice(n))\n",
    "test": "def check(candidate):\n    assert candidate(1) == 4\n    assert candidate(2) == 8\n    assert candidate(7) == twice(14)\n",
}
MBPP = {
    "task_id": 1,
    "text": "Write a function to join words.",
    "code": "def join(words, sep):\n    return sep.join(words)",
    "test_list": ["assert join(['a', 'b'], '-') == 'a-b'", 'assert join([], """\n""") == ""'],
    "test_setup_code": "LIMIT = 3",
    "challenge_test_list": ["assert len(join(['x'] * LIMIT, '')) == 3"],
}


def source(tmp_path, *rows, **parameters):
    path = tmp_path / "set.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return JsonlSource(str(path), held_out_fraction=0.0, **parameters)


def test_a_humaneval_record_becomes_a_task_of_asserts(tmp_path):
    assert detect_format(HUMANEVAL) == "humaneval"
    (problem,) = source(tmp_path, HUMANEVAL).problems("train")
    task = problem.task
    assert (task["type"], task["entry_point"], task["extract"]) == ("asserts", "quad", "last_python_block")
    assert task["setup_code"].rstrip().endswith("return 2 * n")
    # The example that the asserts contradict is left out.
    assert task["visible_tests"] == [{"args": [1], "expected": 4}]
    assert problem.prompt.endswith("Answer with one ```python block that defines `quad` and all that it needs.")
    wrong = problem.demonstration.replace("twice(twice(n))", "twice(n)")
    right, other = grade_batch([task, task], [problem.demonstration, wrong])
    assert (right.correct, other.correct) == (True, False)
    assert "hint" not in task
    assert source(tmp_path, HUMANEVAL, format="humaneval").problems("train") == [problem]


def test_an_mbpp_record_becomes_a_task_of_asserts(tmp_path):
    assert detect_format(MBPP) == "mbpp"
    (problem,) = source(tmp_path, MBPP, format_hint=False).problems("train")
    task = problem.task
    assert task["entry_point"] == "join"
    assert task["visible_tests"] == [{"args": [["a", "b"], "-"], "expected": "a-b"}]
    assert problem.prompt == (
        "Write a function to join words.\n\nThe function is called as here:\nassert join(['a', 'b'], '-') == 'a-b'"
    )
    answers = [problem.demonstration, "```python\ndef join(words, sep):\n    return 'a-b'\n```"]
    assert [grade.correct for grade in grade_batch([task, task], answers)] == [True, False]


def test_a_solution_need_not_be_known(tmp_path):
    without = {key: value for key, value in MBPP.items() if key != "code"}
    assert source(tmp_path, without).problems("train")[0].demonstration == ""
    without = {key: value for key, value in HUMANEVAL.items() if key != "canonical_solution"}
    assert source(tmp_path, without).problems("train")[0].demonstration == ""


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({**HUMANEVAL, "entry_point": "nine"}, r":1: field 'prompt' does not define 'nine', the field 'entry_point'"),
        ({**HUMANEVAL, "test": "x = 1"}, r":1: field 'test' does not define check\(candidate\)"),
        ({**HUMANEVAL, "test": "def check("}, r":1: field 'test' is not Python"),
        ({**HUMANEVAL, "test": 3}, r":1: field 'test': expected text, got 3"),
        ({**MBPP, "test_list": []}, None),
        ({**MBPP, "test_list": [], "challenge_test_list": []}, r":1: field 'test_list' is empty"),
        ({**MBPP, "test_list": "assert f(1)"}, r":1: field 'test_list': expected a list of texts"),
        ({**MBPP, "test_list": ["assert other(1) == 2"]}, None),
        (
            {**MBPP, "test_list": ["assert other(1) == 2"], "challenge_test_list": []},
            r"no assert of the field 'test_list'",
        ),
        ({**MBPP, "text": " "}, r":1: field 'text' is empty"),
        ({**MBPP, "code": "def join(:"}, r":1: field 'code' is not Python"),
        ({**MBPP, "test_setup_code": "x ="}, r":1: field 'test_setup_code' is not Python"),
        ({**MBPP, "test_imports": "import os"}, r":1: field 'test_imports': expected a list of texts"),
    ],
)
def test_mistakes_are_named_with_file_and_line(tmp_path, row, message):
    if message is None:
        assert source(tmp_path, row).problems("train")
        return
    with pytest.raises(DataError, match=message) as caught:
        source(tmp_path, row).problems("train")
    assert "\n" not in str(caught.value)


def test_a_program_is_asked_for_in_one_way_only(tmp_path):
    with pytest.raises(ParameterError, match="extract goes with answers, a program of 'mbpp' is in the last block"):
        source(tmp_path, MBPP, extract="last_boxed").problems("train")


def test_reading_a_record_runs_nothing(tmp_path):
    canary = tmp_path / "canary"
    evil = f"open({str(canary)!r}, 'w').close()\n"
    row = {**HUMANEVAL, "prompt": evil + HUMANEVAL["prompt"], "test": evil + HUMANEVAL["test"]}
    other = {**MBPP, "code": evil + MBPP["code"], "test_setup_code": evil}
    assert len(source(tmp_path, row).problems("train")) == len(source(tmp_path, other).problems("train")) == 1
    assert not canary.exists()


def test_published_records_are_read_and_solved_by_their_solutions():
    path = DATA / "humaneval_even.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}; set RLENVS_TEST_DATA")
    problems = [p for split in ("train", "held_out") for p in JsonlSource(str(path)).problems(split)]
    assert len(problems) == 82
    tasks = [problem.task for problem in problems]
    assert all(grade.correct for grade in grade_batch(tasks, [problem.demonstration for problem in problems]))
    codes = [problem.demonstration.removeprefix("```python\n").removesuffix("\n```") for problem in problems]
    reports = run_visible(tasks, codes)
    assert [report for report in reports if report.passed != report.total] == []
    assert sum(report.total for report in reports) > 100
