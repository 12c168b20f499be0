"""Grading stored responses."""

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from rlenvs.cli import main
from rlenvs.cli.evaluate import GOLD_TYPES
from rlenvs.cli.responses import BATCH, Fields, grade_file
from rlenvs.errors import DataError

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RLENVS_TEST_DATA", ROOT.parent / "shared" / "data"))
GRADED = DATA / "gsm8k_graded_solutions.jsonl"

TASK = {"type": "math", "extract": "whole"}
FIELDS = Fields(gold="gold", label="label")


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def row(response: Any = "4", gold: Any = "4", **more: Any) -> dict[str, Any]:
    return {"response": response, "gold": gold, "label": True, **more}


def test_counts_agreement_and_verdicts(tmp_path: Path) -> None:
    rows = [row("4"), row("5"), row("5", label=False), row("no number", label=0), row("12", gold=12)]
    path = write(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    summary = grade_file(path, FIELDS, TASK, output=out)
    assert summary["responses"] == 5
    assert summary["correct"] == 2
    assert summary["accuracy"] == 2 / 5
    assert sum(summary["status"].values()) == 5
    assert summary["status"]["invalid"] == 1
    assert summary["agreement"] == 4
    assert [item["line"] for item in summary["disagreements"]] == [2]
    verdicts = [json.loads(line) for line in out.read_text().splitlines()]
    assert [item["correct"] for item in verdicts] == [True, False, False, False, True]
    assert [item["line"] for item in verdicts] == [1, 2, 3, 4, 5]
    assert verdicts[1] == summary["disagreements"][0]


def test_without_labels_nothing_is_compared(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [{"response": "4", "ground_truth": "4"}])
    summary = grade_file(path, Fields(), TASK)
    assert "agreement" not in summary
    assert "disagreements" not in summary


def test_more_than_one_batch_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("\n".join(f'{{"response": "{i}", "gold": "{i - i % 3}"}}\n' for i in range(BATCH + 5)))
    summary = grade_file(path, Fields(gold="gold"), TASK, output=tmp_path / "out.jsonl")
    assert summary["responses"] == BATCH + 5
    assert summary["correct"] == len(range(0, BATCH + 5, 3))
    lines = [json.loads(line)["line"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines == list(range(1, 2 * (BATCH + 5), 2))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"in\.jsonl:2: not JSON"),
        ("[" * 100_000, r"in\.jsonl:2: not JSON"),
        ("[1]", r"in\.jsonl:2: expected an object, got \[1\]"),
        ("{}", r"in\.jsonl:2: field 'gold' is missing \(found: none\)"),
        (
            '{"respnse": "4", "gold": "4", "label": true}',
            r"in\.jsonl:2: field 'response' is missing; did you mean 'respnse'\? \(found: respnse, gold, label\)",
        ),
        ('{"response": 4, "gold": "4", "label": true}', r"in\.jsonl:2: field 'response': expected text, got 4"),
        ('{"response": "4", "gold": null, "label": true}', r"in\.jsonl:2: field 'gold': expected text, got null"),
        ('{"response": "4", "gold": true, "label": true}', r"in\.jsonl:2: field 'gold': expected text, got true"),
        ('{"response": "4", "gold": "4", "label": "yes"}', r"in\.jsonl:2: field 'label': expected true or false"),
        ('{"response": "4", "gold": "", "label": true}', r"in\.jsonl:2: field 'gold': "),
    ],
)
def test_wrong_lines_are_named_and_leave_no_output(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps(row()) + "\n" + line + "\n")
    (tmp_path / "out.jsonl").write_text("old")
    with pytest.raises(DataError, match=message):
        grade_file(path, FIELDS, TASK, output=tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "old"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        grade_file(tmp_path / "none.jsonl", FIELDS, TASK)
    with pytest.raises(DataError, match="cannot be read"):
        grade_file(tmp_path, FIELDS, TASK)
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match=r"empty\.jsonl: holds no responses"):
        grade_file(tmp_path / "empty.jsonl", FIELDS, TASK)
    (tmp_path / "latin.jsonl").write_bytes(b'{"response": "\xfc"}')
    with pytest.raises(DataError, match="not UTF-8 text"):
        grade_file(tmp_path / "latin.jsonl", FIELDS, TASK)
    path = write(tmp_path / "in.jsonl", [row()])
    with pytest.raises(DataError, match="the verdicts would overwrite the responses"):
        grade_file(path, FIELDS, TASK, output=tmp_path / "." / "in.jsonl")
    with pytest.raises(DataError, match="cannot be written"):
        grade_file(path, FIELDS, TASK, output=tmp_path / "none" / "out.jsonl")


def test_output_has_the_permissions_of_an_ordinary_file(tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [row()])
    grade_file(path, FIELDS, TASK, output=tmp_path / "out.jsonl")
    (tmp_path / "ordinary").touch()
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("out.jsonl", "ordinary")]
    assert modes[0] == modes[1]


def test_command_prints_summary_and_first_disagreements(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "in.jsonl", [row(), *[row("5")] * 7])
    argv = ["eval", "--responses", str(path), "--gold-field", "gold", "--label-field", "label", "--type", "math"]
    assert main([*argv, "--extract", "whole"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "responses 8"
    assert lines[1] == "accuracy 0.1250 (1/8)"
    assert lines[3] == "agreement 1/8"
    assert lines[4].startswith("  line 2: labelled True, graded False (extracted '5'")
    assert len(lines) == 10
    assert lines[-1] == "  and 2 more"
    assert main([*argv, "--extract", "whole", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["agreement"] == 1


@pytest.mark.parametrize(
    ("kind", "response", "gold"),
    [("gsm8k", "#### 4", "2+2\n#### 4"), ("math", "\\boxed{4}", "4"), ("qa_exact", "four", "four"), ("mcq", "Answer: B", "B")],
)  # fmt: skip
def test_every_kind_of_answer_is_graded_by_a_field(
    kind: str, response: str, gold: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert kind in GOLD_TYPES
    path = write(tmp_path / "in.jsonl", [row(response, gold), row("none", gold, label=False)])
    argv = [
        "eval",
        "--responses",
        str(path),
        "--gold-field",
        "gold",
        "--label-field",
        "label",
        "--type",
        kind,
        "--json",
    ]
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["agreement"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--type", "gsmk"], "--type: unknown 'gsmk'; did you mean 'gsm8k'?"),
        (["--type", "function"], "--type: a task of type 'function' is more than a right answer in a field"),
        (["--type", "countdown"], "(known here: gsm8k, math, qa_exact, mcq); rlenvs.graders.grade_batch takes whole"),
        (["--extract", "last_box"], "--extract: unknown 'last_box'; did you mean 'last_boxed'?"),
        (["--extract", "last_marker"], "--extract last_marker and --marker need each other"),
        (["--extract", "whole", "--marker", "A:"], "--extract last_marker and --marker need each other"),
    ],
)
def test_wrong_options(options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "in.jsonl", [row()])
    assert main(["eval", "--responses", str(path), *options]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.skipif(not GRADED.is_file(), reason="the graded solutions are not on this machine")
def test_agrees_with_every_published_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["eval", "--responses", str(GRADED), "--question-field", "question", "--label-field", "is_correct"]
    assert main([*argv, "--extract", "last_marker", "--marker", "A:"]) == 0
    assert "agreement 1320/1320\n" in capsys.readouterr().out
