"""`rlenvs rewards check`: a table, the reasons, and an exit code that means something."""

import io
import json
from pathlib import Path

import pytest

from rlenvs.cli import main

RECIPES = sorted((Path(__file__).parents[2] / "configs" / "rewards").glob("*.yaml"))

RECIPE = """
reward_components:
  right: {class: CorrectnessReward}
  format: {class: FormattingReward}
  guide: {class: LLMPotentialBasedReward, params: {potential_function: progress, gamma: 1.0}}
reward_shaping:
  format: {initial_weight: 0.3, decay_schedule: linear, decay_steps: 400}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> str:
    path = tmp_path / "my.yaml"
    path.write_text(RECIPE)
    return str(path)


def test_a_table_and_the_reasons(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rewards", "check", recipe]) == 0
    table, _, reasons = capsys.readouterr().out.partition("\n\n")
    header, *rows = table.splitlines()
    assert header.split() == ["component", "class", "weight", "normalization", "optimum"]
    assert [(row.split()[0], row.split()[-1]) for row in rows] == [("right", "keeps"), ("format", "fades"), ("guide", "keeps")]  # fmt: skip
    assert "potential: progress" in rows[2]
    assert "0.3 -> 0" in rows[1]
    assert "fades    format: a policy can gain by" in reasons
    assert "from step 400 on" in " ".join(reasons.split())
    assert max(map(len, reasons.splitlines())) <= 80


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_reasons_fit_the_terminal(
    columns: int, recipe: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    assert main(["rewards", "check", recipe]) == 0
    reasons = capsys.readouterr().out.partition("\n\n")[2].splitlines()
    assert max(map(len, reasons)) <= min(columns, 110)
    assert all(line[:9].strip() in ("", "keeps", "fades", "changes", "note") for line in reasons)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
@pytest.mark.parametrize("as_json", [False, True])
def test_names_are_shown_whatever_they_are(
    encoding: str, as_json: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "\u9577\u3044\x1b[31m\nred"
    path = tmp_path / "names.yaml"
    path.write_text(json.dumps({"reward_components": {name: {"class": "EnvReward"}}}))
    written = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["rewards", "check", str(path), *(["--json"] if as_json else [])]) == 0
    text = written.getvalue().decode(encoding)
    assert "\x1b" not in text
    if as_json:
        assert json.loads(text)["components"][0]["component"] == name
    else:
        shown = r"\u9577\u3044" if encoding == "ascii" else "\u9577\u3044"
        header, row = text.splitlines()[:2]
        assert row.startswith(shown + r"\x1b[31m\nred  EnvReward")
        wide = 0 if encoding == "ascii" else 2
        assert header.index("class") - wide == row.index("EnvReward")


def test_json_has_all_of_it(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rewards", "check", recipe, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["verdict"] == "fades"
    assert [row["component"] for row in printed["components"]] == ["right", "format", "guide"]
    assert {finding["verdict"] for finding in printed["findings"]} == {"keeps", "fades"}


def test_findings_that_say_the_same_are_said_once(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["composer_settings.normalization_strategy=z_score", "reward_shaping.format.min_weight=0.1"]
    assert main(["rewards", "check", recipe, *settings]) == 0
    out = capsys.readouterr().out
    assert " ".join(out.split()).count("subtracts the mean of the last values") == 1
    assert "changes  right, format (normalization): z_score" in out


@pytest.mark.parametrize(
    ("setting", "strict", "code"),
    [
        ("reward_shaping.format.min_weight=0.1", [], 0),
        ("reward_shaping.format.min_weight=0.1", ["--strict"], 1),
        ("reward_shaping.format.min_weight=0.0", ["--strict"], 0),
    ],
)
def test_strict_fails_where_the_optimum_changes_for_good(
    recipe: str, setting: str, strict: list[str], code: int
) -> None:
    assert main(["rewards", "check", recipe, setting, *strict]) == code


def test_a_mistake_is_named_with_file_line_and_key(recipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(recipe).write_text(RECIPE.replace("decay_steps", "decay_step"))
    assert main(["rewards", "check", recipe]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"rlenvs: {recipe}:7:57: reward_shaping.format.decay_step: unknown key 'decay_step'; did you")
    assert "Traceback" not in err


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_can_be_checked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rewards", "check", str(path)]) == 0
    assert capsys.readouterr().out.startswith("component")


def test_the_help_explains_verdicts_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rewards", "check", "--help"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("keeps", "fades", "changes", "note", "--strict", "exit code is 0"))
    assert main(["rewards"]) == 2
    assert "check" in capsys.readouterr().out
