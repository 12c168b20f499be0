"""`rlenvs score`: what people and programs read, what is refused, and what is never half-written."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hostile_texts import HOSTILE

from rlenvs.cli import main
from rlenvs.cli.line_chart import display_width
from rlenvs.cli.score_text import ScoreText, short_number

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("RLENVS_TEST_DATA", ROOT.parent / "shared" / "data"))
GRADED = DATA / "gsm8k_graded_solutions.jsonl"

REWARDS = """
reward_components:
  right: {class: CorrectnessReward}
  long: {class: LengthPenalty, max_length: 2, unit: words, penalty_per_token: -0.25}
reward_shaping:
  long: {initial_weight: 1.0, decay_schedule: linear, decay_steps: 100}
"""
FORM = """
reward_components:
  form: {class: FormattingReward, format: regex, pattern: "[0-9]+"}
"""
ROWS = [
    {"prompt": "2+2?", "response": "4", "correct": True},
    {"prompt": "2+3?", "response": "it is surely 5", "correct": True},
    {"prompt": "2+4?", "response": "7", "correct": False},
    {"prompt": "2+5?", "response": "no idea at all, sorry", "correct": False},
]


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(REWARDS)
    Path("form.yaml").write_text(FORM)


def write(rows: list[Any], name: str = "data.jsonl") -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


def score(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["score", *argv]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def data(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    def no_constant(text: str) -> None:
        pytest.fail(f"{text} is not JSON")

    return json.loads(score(capsys, *argv, "--json"), parse_constant=no_constant)


def test_what_a_person_reads(capsys: pytest.CaptureFixture[str]) -> None:
    assert score(capsys, write(ROWS), "--rewards", "r.yaml", "--top", "1") == (
        "r.yaml: 4 responses, 2 right and 2 wrong (50.0% right)\n"
        "\n"
        "raw values        mean     std     min     25%     50%     75%     max  spread\n"
        "right              0.5     0.5       0       0     0.5       1       1  █      █\n"
        "long            -0.312   0.325   -0.75  -0.562   -0.25       0       0  ▄ ▄    █\n"
        "shaped reward    0.188   0.647   -0.75  -0.188    0.25   0.625       1  █  █ █ █\n"
        "\n"
        "paid for           weight    right    wrong      gap        r      AUC    share\n"
        "right                   1        1        0       +1    1.000    1.000    67.3%\n"
        "long                    1    -0.25   -0.375   +0.125    0.192    0.625    32.7%\n"
        "shaped reward                 0.75   -0.375    +1.12    0.870    1.000\n"
        "\n"
        "AUC of the shaped reward 1.000 ± 0.000 (how often a right response is paid more\n"
        "  than a wrong one; ties count half)\n"
        "wrong responses that are paid at least like the average right one: none; right\n"
        "  ones that are paid at most like the average wrong one: none\n"
        "status ok everywhere\n"
        "\n"
        "wrong responses that are paid most\n"
        "  line 3: reward 0, most from long 0 (usually -0.25)\n"
        "    7\n"
        "\n"
        "right responses that are paid least\n"
        "  line 2: reward 0.5, most from long -0.5 (usually -0.25)\n"
        "    it is surely 5\n"
    )


def test_what_a_program_reads(capsys: pytest.CaptureFixture[str]) -> None:
    result = data(capsys, write(ROWS), "--rewards", "r.yaml", "--step", "50")
    assert result["file"] == "data.jsonl"
    assert [item["line"] for item in result["wrong_paid_most"]] == [3, 4]
    assert [item["line"] for item in result["right_paid_least"]] == [2, 1]
    [reward] = result["rewards"]
    assert (reward["config"], reward["responses"], reward["right"], reward["wrong"]) == ("r.yaml", 4, 2, 2)
    right, long = reward["components"]
    assert (right["weights"], long["weights"]) == ([1.0, 1.0], [0.5, 0.5])
    assert long["paid"]["right"] == -0.125
    assert long["raw"]["right"] == -0.25
    assert reward["total"]["truth"]["auc"] == 1.0
    assert reward["stored"] == 0
    assert reward["largest_change"] is None


def test_scores_of_each_response_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    out = score(capsys, write([{}, *ROWS][1:]), "--rewards", "r.yaml", "--limit", "3", "--output", "scores.jsonl")
    assert out.endswith("\nscores in scores.jsonl\n")
    written = [json.loads(line) for line in Path("scores.jsonl").read_text().splitlines()]
    assert [(row["line"], row["total"], row["truth"], row["right"]) for row in written] == [
        (1, 1.0, 1.0, True),
        (2, 0.5, 1.0, True),
        (3, 0.0, 0.0, False),
    ]
    assert written[1]["components"]["long"] == {
        "raw": -0.5, "normalized": -0.5, "weight": 1.0, "contribution": -0.5, "status": "ok"
    }  # fmt: skip
    assert written[1]["potential"] == 0.0


def test_two_rewards_are_put_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    name = write(ROWS)
    out = score(capsys, name, "--rewards", "r.yaml", "--vs", "form.yaml", "--top", "2")
    assert "AUC                                         1.000 ± 0.000          0.500 ± 0.354\n" in out
    assert "AUC changes by -0.500 ± 0.354 from the first to the second" in out
    assert "form works against the truth" not in out
    assert out.endswith("  line 2: right, 62% and 25%\n    it is surely 5\n  line 3: wrong, 38% and 75%\n    7\n")
    result = data(capsys, name, "--rewards", "r.yaml", "--vs", "form.yaml", "--output", "a.jsonl")
    assert [reward["config"] for reward in result["rewards"]] == ["r.yaml", "form.yaml"]
    assert result["comparison"]["auc_gain"] == -0.5
    assert [item["line"] for item in result["comparison"]["apart"]][:2] == [2, 3]
    assert list(json.loads(Path("a.jsonl").read_text().splitlines()[0])["components"]) == ["right", "long"]


def test_a_component_that_pays_for_being_wrong_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"response": "7" if wrong else "seven", "correct": not wrong} for wrong in [True, False] * 20]
    out = score(capsys, write(rows), "--rewards", "form.yaml", "--top", "0")
    assert "form works against the truth: AUC 0.000 ± 0.000, wrong responses get more of it\n" in out
    assert "status not ok: form invalid 20 (50.0%)\n" in out
    assert "paid most" not in out


def test_without_a_true_grade_the_parts_are_shown_and_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"response": "4"}, {"response": "four"}]
    out = score(capsys, write(rows), "--rewards", "form.yaml")
    assert out.startswith("form.yaml: 2 responses, no true grade known (--label-field, --gold-field)\n")
    assert "form                    1      0.5   100.0%\n" in out
    assert "AUC" not in out
    assert "wrong_paid_most" not in data(capsys, "data.jsonl", "--rewards", "form.yaml")
    assert "spearman" in score(capsys, "data.jsonl", "--rewards", "form.yaml", "--vs", "form.yaml").lower()


def test_a_weight_that_is_still_0_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    out = score(capsys, write(ROWS), "--rewards", "r.yaml", "--step", "100")
    assert "long has weight 0 here and pays nothing; --step N moves the clock\n" in out
    assert "long                    0        0        0        0        -        -     0.0%\n" in out


def test_rows_without_a_grade_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    out = score(capsys, write([*ROWS, {"response": "3", "correct": None}]), "--rewards", "form.yaml")
    assert out.startswith("form.yaml: 5 responses, 2 right and 2 wrong (50.0% right), 1 without a true\n  grade\n")


def test_right_answers_are_graded_where_no_grade_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"response": f"#### {answer}", "ground_truth": "#### 4"} for answer in (4, 5, 4)]
    [reward] = data(capsys, write(rows), "--rewards", "r.yaml")["rewards"]
    assert (reward["right"], reward["wrong"]) == (2, 1)


def test_grading_that_nobody_asked_for_says_what_to_ask_for(capsys: pytest.CaptureFixture[str]) -> None:
    write([{"response": "A: 4", "ground_truth": "it is four", "fine": True}], "worded.jsonl")
    assert main(["score", "worded.jsonl", "--rewards", "r.yaml"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("rlenvs: worded.jsonl:1: field 'ground_truth': ")
    assert "; --label-field names a true grade, --type, --extract and --marker say how" in err
    assert main(["score", "worded.jsonl", "--rewards", "r.yaml", "--type", "gsm8k"]) == 2
    assert "--label-field" not in capsys.readouterr().err
    assert main(["score", "worded.jsonl", "--rewards", "r.yaml", "--label-field", "fine"]) == 0


def test_a_grader_is_measured_against_labels(capsys: pytest.CaptureFixture[str]) -> None:
    # The label says who is right, the grader what CorrectnessReward sees.
    rows = [
        {"response": "\\boxed{4}", "task": {"gold": "4"}, "verdict": "honest"},
        {"response": "\\boxed{4}", "task": {"gold": "4"}, "verdict": "cheat"},
        {"response": "\\boxed{5}", "task": {"gold": "4"}, "verdict": "cheat"},
    ]
    options = ["--gold-field", "task.gold", "--type", "math", "--label-field", "verdict", "--right-label", "honest"]
    result = data(capsys, write(rows), "--rewards", "r.yaml", *options)
    assert (result["rewards"][0]["right"], result["rewards"][0]["wrong"]) == (1, 2)
    assert result["wrong_paid_most"][0]["line"] == 2
    assert result["rewards"][0]["total"]["overpaid"] == 0.5


def run_folder(rows: list[dict[str, Any]]) -> str:
    Path("run").mkdir()
    write(rows, "run/rollouts.jsonl")
    return "run"


def turn(iteration: int, reward: float) -> dict[str, Any]:
    return {
        "iteration": iteration, "step": iteration, "env": 0, "turn": 0, "prompt": "", "response": "4", "tokens": 1,
        "correct": True, "grade_status": "ok", "reward": reward, "env_reward": 1.0, "terminated": True, "start": {},
    }  # fmt: skip


GATED = """
rewards:
  reward_components:
    right: {class: CorrectnessReward}
  reward_shaping:
    right: {initial_weight: 1.0, decay_schedule: gated, metric: accuracy/greedy, threshold: 0.5, window: 1}
"""


def test_a_run_is_scored_with_its_own_reward_and_what_it_measured(capsys: pytest.CaptureFixture[str]) -> None:
    run = run_folder([turn(1, 0.0), turn(2, 0.0), turn(3, 1.0)])
    Path("run/config.yaml").write_text(GATED)
    write([{"iteration": 0, "step": 0, "accuracy/greedy": 0.2}, {"iteration": 2, "step": 2, "accuracy/greedy": 0.6}],
          "run/metrics.jsonl")  # fmt: skip
    with Path("run/rollouts.jsonl").open("a") as file:
        file.write('{"iteration": 4, "st')  # killed while it wrote
    for name in (run, "run/rollouts.jsonl"):
        assert "3 of 3 stored rewards come out the same, to 1e-9\n" in score(capsys, name)
    Path("run/metrics.jsonl").unlink()
    out = score(capsys, run)
    assert "2 of 3 stored rewards come out the same, to 1e-9; the largest difference is 1\n" in out
    assert "right has weight 0 here" in out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no.jsonl", "--rewards", "r.yaml"], "no.jsonl: no such file"),
        (["data.jsonl"], "--rewards CONFIG.yaml is needed: only a run folder has a configuration of its own"),
        ([".", "--rewards", "r.yaml"], ".: no rollouts.jsonl in it; name a run folder or a file of responses"),
        (["data.jsonl", "--rewards", "no.yaml"], "no.yaml: no such file"),
        (["data.jsonl", "--rewards", "r.yaml", "--vs", "no.yaml"], "no.yaml: no such file"),
        (["data.jsonl", "--rewards", "r.yaml", "--prompt-field", "promt"],
         "data.jsonl:1: field 'promt' is missing; did you mean 'prompt'? (found: prompt, response, correct)"),
        (["data.jsonl", "--rewards", "r.yaml", "--label-field", "prompt"],
         "data.jsonl:1: field 'prompt': expected true, false or a finite number, got '2+2?'"),
        (["data.jsonl", "--rewards", "r.yaml", "--type", "maths"], "--type: unknown 'maths'; did you mean 'math'?"),
        (["data.jsonl", "--rewards", "r.yaml", "--type", "math"], "data.jsonl:1: field 'ground_truth' is missing"),
        (["data.jsonl", "--rewards", "r.yaml", "--marker", "A:", "--extract", "whole"], "--extract last_marker and"),
        (["data.jsonl", "--rewards", "r.yaml", "--output", "./data.jsonl"], "--output would replace the responses"),
        (["data.jsonl", "--rewards", "r.yaml", "--output", "./r.yaml"], "--output would replace the configuration ./r.yaml"),
        (["data.jsonl", "--rewards", "r.yaml", "--vs", "form.yaml", "--output", "form.yaml"], "--output would replace the configuration of --vs"),
        (["/dev/null", "--rewards", "r.yaml"], "/dev/null: not a file; responses are read more than once"),
        (["data.jsonl", "--rewards", "r.yaml", "--output", "no/out.jsonl"], "no/out.jsonl: cannot be written"),
        (["data.jsonl", "--rewards", "r.yaml", "--limit", "0"], "argument --limit: must be >= 1, got 0"),
        (["data.jsonl", "--rewards", "r.yaml", "--top", "-1"], "argument --top: must be >= 0, got -1"),
        (["data.jsonl", "--rewards", "r.yaml", "--step", str(2**63)], "argument --step: must be below 2^63"),
        (["data.jsonl", "--rewards", "r.yaml", "--right-from", "nan"], "argument --right-from: must be finite, got nan"),
        (["data.jsonl", "--rewards", "r.yaml", "--right-from", "x"], "argument --right-from: expected a number"),
        (["data.jsonl", "--reward", "r.yaml"], "unknown option '--reward'; did you mean '--rewards'?"),
        (["empty.jsonl", "--rewards", "r.yaml"], "empty.jsonl: holds no responses"),
    ],
)  # fmt: skip
def test_what_is_refused(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(ROWS)
    write([], "empty.jsonl")
    assert main(["score", *argv]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("rlenvs: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


NEEDS = "reward_components: {{judge: {{class: InfoValueReward, info_key: judge{more}}}}}\n"


@pytest.mark.parametrize("rows_before", [1, 300])
def test_a_missing_info_key_names_component_line_and_way_out_and_writes_nothing(
    rows_before: int, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("needs.yaml").write_text(NEEDS.format(more=""))
    name = write([{"response": "", "judge": 1}] * rows_before + [{"response": ""}])
    Path("out.jsonl").write_text("from before\n")
    assert main(["score", name, "--rewards", "needs.yaml", "--output", "out.jsonl"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(
        f"rlenvs: data.jsonl:{rows_before + 1}: reward component 'judge' failed twice: KeyError: "
    )
    assert "info has no 'judge'" in captured.err
    assert captured.err.endswith("; set its on_error to mask, penalty or default to go on\n")
    assert Path("out.jsonl").read_text() == "from before\n"
    assert not list(Path.cwd().glob(".out*"))


def test_masked_errors_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("needs.yaml").write_text(NEEDS.format(more=", on_error: mask"))
    name = write([{"response": "", "judge": 1, "correct": True}] * 2 + [{"response": "", "correct": False}])
    out = score(capsys, name, "--rewards", "needs.yaml", "--output", "out.jsonl")
    assert "status not ok: judge error 1 (33.3%); left out: judge masked 1\n" in out
    last = json.loads(Path("out.jsonl").read_text().splitlines()[-1])
    assert last["components"]["judge"]["raw"] is None
    assert last["total"] == 0.0


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
@pytest.mark.parametrize("width", [20, 60, 80, 100, 500])
@pytest.mark.parametrize("name", HOSTILE)
def test_no_response_gets_out_of_its_line(name: str, width: int, encoding: str) -> None:
    text = ScoreText(width, encoding)
    for response in (HOSTILE[name], HOSTILE[name][:300], f"\x1b[2J\x1b]0;owned\x07{HOSTILE[name]}\r\u202eend"):
        line = text.excerpt(response, text.width - 4)
        assert display_width(line) <= text.width - 4
        line.encode(encoding)
        assert not any(ord(character) < 32 or character in "\x7f\u202e\u2028" for character in line)


def test_beginning_and_end_of_a_response_are_shown() -> None:
    line = ScoreText(80, "utf-8").excerpt("First " + "and then " * 500 + "finally A: 42", 40)
    assert line.startswith("First and then")
    assert line.endswith("finally A: 42")
    assert ScoreText(80, "utf-8").excerpt("short", 40) == "short"
    assert ScoreText(80, "utf-8").excerpt(" \n", 40) == "(blank)"


HOSTILE_ROWS = [
    {"prompt": "\x1b[31m", "response": f"\x1b]0;t\x07\u202e{text}", "correct": bool(number % 2)}
    for number, text in enumerate(["", "\ud800", "長さ" * 60, "a\u0301" * 500, "x\ny\tz", "\u2028" * 9])
]


@pytest.mark.parametrize("columns", ["20", "60", "80", "200"])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_the_output_fits_any_terminal_and_obeys_nobody(
    columns: str, encoding: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(type(sys.stdout), "encoding", property(lambda self: encoding), raising=False)
    Path("odd.yaml").write_text(
        'reward_components:\n  "\\e[31mevil 長さ and a very long name": {class: FormattingReward, format: json}\n'
        "  n: {class: LengthPenalty, max_length: 1, unit: chars, penalty_per_token: -12345678.0}\n"
    )
    name = write(HOSTILE_ROWS)
    for more in ([], ["--vs", "r.yaml"]):
        out = score(capsys, name, "--rewards", "odd.yaml", *more)
        out.encode(encoding)
        assert all(display_width(line) <= max(80, int(columns)) for line in out.splitlines())
        assert not any(ord(character) < 32 or character in "\x7f\u202e\u2028" for character in out.replace("\n", ""))


@pytest.mark.parametrize("value", [0, 1, -1, 0.1, -0.1, 1 / 3, -2 / 3, 0.00123456, -0.00123456, 1e-9, -1e-11, 99.96, 999.7,
                                   -999.7, 1234.5, -12345.6, 99999.9, -1e5, 123456789.0, -1e300, float("inf")])  # fmt: skip
def test_short_numbers_are_short_and_near(value: float) -> None:
    for signed in (False, True):
        text = short_number(value, signed=signed)
        assert len(text) <= 7
        assert float(text) == pytest.approx(value, rel=0.5 if "e" in text else 0.05)
    assert short_number(float("nan")) == "-"
    assert short_number(0.3 - 3 * 0.1) == short_number(-0.0, signed=True) == "0"


def test_neither_torch_nor_rich_is_needed() -> None:
    write(ROWS)
    code = (
        "import sys\nsys.modules['torch'] = sys.modules['rich'] = sys.modules['transformers'] = None\n"
        "from rlenvs.cli import main\nsys.exit(main(['score', 'data.jsonl', '--rewards', 'r.yaml']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "AUC of the shaped reward" in done.stdout


@pytest.mark.skipif(not GRADED.is_file(), reason="needs the graded solutions")
def test_graded_solutions(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in GRADED.read_text().splitlines()]
    options = ["--prompt-field", "question", "--label-field", "is_correct"]
    [reward] = data(capsys, str(GRADED), "--rewards", "r.yaml", *options)["rewards"]
    assert reward["responses"] == len(rows)
    assert reward["right"] == sum(row["is_correct"] for row in rows)
    penalties = [-0.25 * max(0, len(row["response"].split()) - 2) for row in rows]
    assert reward["components"][1]["values"]["mean"] == pytest.approx(sum(penalties) / len(rows))
    graded = data(capsys, str(GRADED), "--rewards", "r.yaml", *options, "--marker", "A:")["rewards"][0]
    assert graded["components"][0]["paid"]["auc"] > 0.99
