"""`rlenvs rewards preview`: what it prints on which terminal, what it writes, and how it refuses."""

import json
import os
import stat
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.cli import main
from rlenvs.cli.line_chart import display_width, draw, fit, wrap
from rlenvs.cli.preview_text import NARROWEST, PreviewText
from rlenvs.wrappers.schedules.fixed import ConstantSchedule
from rlenvs.wrappers.schedules.ramps import CyclicSchedule, LinearSchedule
from rlenvs.wrappers.schedules.reactive import GatedSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES as SCHEDULE_NAMES

RECIPE = """
reward_components:
  right: {class: CorrectnessReward}
  short: {class: LengthPenalty, params: {max_length: 4, unit: words}}
  format: {class: LengthPenalty, params: {max_length: 9, unit: words}}
reward_shaping:
  short: {initial_weight: 0.5, decay_schedule: linear, decay_steps: 800, min_weight: 0.1}
  format: {initial_weight: 1.0, decay_schedule: exponential, decay_steps: 100, decay_rate: 0.5, min_weight: 0.25}
"""

SCHEDULES = {
    "right": ConstantSchedule(1.0),
    "format": LinearSchedule(0.8, -0.2, 400, 100),
    "wave": CyclicSchedule(0.6, 0.4, 200),
    "judge": GatedSchedule(1.0, metric="right", threshold=0.5),
}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text(RECIPE)
    return path


def lines(width=80, encoding="utf-8", schedules=SCHEDULES, steps=1_000, title="my.yaml"):
    return [line.text for line in PreviewText(schedules, steps, width, encoding).lines(title)]


def braille_dots(rows):
    """The (x, y) of the dots that are set, y counted from the top: a second reading of the characters."""
    offsets = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)]  # Unicode's dots 1 to 8
    return {
        (2 * column + x, 4 * row + y)
        for row, text in enumerate(rows)
        for column, letter in enumerate(text)
        for bit, (x, y) in enumerate(offsets)
        if letter != " " and (ord(letter) - 0x2800) >> bit & 1
    }


def test_the_dots_of_a_chart_are_where_the_values_are():
    values = [0.0, 0.25, 0.5, 0.75, 1.0, 0.4]
    rows = draw([(value, value) for value in values], 0.0, 1.0, rows=5, unicode=True)
    assert len(rows) == 5
    assert braille_dots(rows) == {(x, round((1 - value) * 19)) for x, value in enumerate(values)}


def test_a_span_fills_its_column():
    assert braille_dots(draw([(0.0, 1.0)], 0.0, 1.0, rows=2, unicode=True)) == {(0, y) for y in range(8)}
    assert draw([(0.0, 1.0), (0.0, 0.0)], 0.0, 1.0, rows=2, unicode=False) == ["| ", "|."]


def test_names_are_cut_by_what_they_take_on_the_screen():
    assert display_width("e\u0301長") == 3
    assert fit("長さの罰", 5, unicode=True) == "長さ…"
    assert fit("length", 6, unicode=True) == "length"


@given(st.lists(st.text(st.sampled_from("ab長 "), max_size=9)), st.integers(8, 30))
def test_wrapped_lines_fit_and_lose_nothing(words, width):
    text = " ".join(words)
    rows = wrap(text, width, indent="  ", hang=4)
    assert all(display_width(row) <= width for row in rows)
    assert "".join("".join(rows).split()) == "".join(text.split())
    assert all(row.startswith(" " * 6) for row in rows[1:])


@pytest.mark.parametrize("width", [1, 30, 46, 80, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1", "UTF_8"])
def test_it_fits_the_terminal_and_its_encoding(width, encoding):
    names = {"長さ" * 9: LinearSchedule(1.0, 0.0, 500), "x" * 40: CyclicSchedule(123456.789, 0.0, 99)}
    for line in lines(width, encoding, SCHEDULES | names, steps=10**9):
        line.encode(encoding)
        assert display_width(line) <= max(width, NARROWEST)


def test_every_weight_is_shown_once_and_constants_without_a_curve():
    text = lines()
    assert [line.partition(":")[0] for line in text if ": " in line and not line.startswith(" ")] == [
        "my.yaml", "right", "format", "wave"
    ]  # fmt: skip
    assert "right: constant, initial_weight=1" in text
    assert sum(line.endswith("step 1,000") for line in text) == 2  # the axes of format and wave
    assert "  judge: gated, 0 until the mean of the last 100 values of 'right' is >= 0.5," in text


def test_axes_name_the_ends_of_the_weight_and_hold_zero():
    text = lines()
    start = text.index("format: linear, initial_weight=0.8 min_weight=-0.2 decay_steps=400") + 2
    assert "start_step=100" in text[start - 1]
    assert text[start].split("│")[0].strip() == "0.8"
    assert text[start + 3].split("│")[0].strip() == "-0.2"
    wave = text.index("wave: cyclic, initial_weight=0.6 min_weight=0.4 decay_steps=200") + 1
    assert [text[wave + row].split("│")[0].strip() for row in range(4)] == ["0.6", "", "", "0"]


def test_the_table_is_the_schedules_at_tenths_of_the_run():
    text = lines()
    rows = [line.split() for line in text[text.index(next(line for line in text if line.split()[:1] == ["step"])) :]]
    assert rows[0] == ["step", "right", "format", "wave"]
    assert rows[1:] == [
        [f"{t:,}", *(f"{SCHEDULES[name](t):.4g}" for name in rows[0][1:])] for t in range(0, 1_001, 100)
    ]


def test_a_table_too_wide_goes_on_below():
    many = {f"component{k}": LinearSchedule(1.0, 0.0, 500) for k in range(9)}
    heads = [line.split() for line in lines(40, schedules=many) if line.split()[:1] == ["step"]]
    assert len(heads) > 2
    assert [name for head in heads for name in head[1:]] == list(many)


def test_control_characters_are_not_obeyed():
    text = lines(schedules={"a\x1b[2Jb\nc": ConstantSchedule(1.0)}, title="x\x07.yaml")
    assert all(letter.isprintable() for line in text for letter in line)
    assert any(line.startswith("a\\x1b[2Jb\\nc") for line in text)


def test_a_recipe_is_drawn(recipe, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "70")
    assert main(["rewards", "preview", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert "weights over 1,000 environment steps" in " ".join(out.split())
    assert "short: linear, initial_weight=0.5 min_weight=0.1 decay_steps=800" in out
    assert out.splitlines()[-1].split() == ["1,000", "1", "0.1", "0.25"]


def test_the_rewards_of_a_training_configuration_are_drawn(tmp_path, capsys):
    path = tmp_path / "train.yaml"
    path.write_text("name: a\nrewards:" + RECIPE.replace("\n", "\n  "))
    assert main(["rewards", "preview", str(path), "--json", "--steps", "10"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"]["right"] == [1.0] * 11


def test_mistakes_in_a_training_configuration_are_named_where_they_are(tmp_path, capsys):
    path = tmp_path / "train.yaml"
    path.write_text("name: a\nrewards:" + RECIPE.replace("\n", "\n  ").replace("decay_rate: 0.5", "decay_rate: 5"))
    assert main(["rewards", "preview", str(path)]) == 2
    assert f"{path}:9:" in capsys.readouterr().err


def test_a_reward_whose_components_and_weights_stand_together_is_drawn(tmp_path, capsys):
    path = tmp_path / "guide.yaml"
    path.write_text("""
reward_shaping:
  short:
    class: LengthPenalty
    params: {max_length: 4, unit: words}
    weight_schedule: {initial_weight: 0.5, schedule_type: linear, decay_steps: 800}
  right: {class: CorrectnessReward}
""")
    assert main(["rewards", "preview", str(path), "--json", "reward_shaping.short.weight_schedule.decay_steps=80"]) == 0
    assert json.loads(capsys.readouterr().out)["schedules"] == {
        "short": "linear, initial_weight=0.5 min_weight=0 decay_steps=80",
        "right": "constant, initial_weight=1",
    }


def test_every_schedule_can_be_previewed_from_a_file(tmp_path, capsys):
    """The parameters of the schedule classes are the keys of the file."""
    keys = {
        "none": "", "constant": "", "linear": "decay_steps: 90", "linear_increase": "decay_steps: 90, max_weight: 2",
        "exponential": "decay_steps: 90, decay_rate: 0.5", "cosine": "decay_steps: 90, start_step: 5",
        "polynomial": "decay_steps: 90, power: 3", "step": "boundaries: [30, 60], values: [0.5, 0.25]",
        "warmup": "decay_steps: 90", "cyclic": "decay_steps: 90, min_weight: 0.5",
        "gated": "metric: none, threshold: 0.5, direction: below, window: 5, decay_steps: 90",
        "lagrangian": "target: -0.5, learning_rate: 0.01, max_weight: 5",
    }  # fmt: skip
    assert set(keys) == set(SCHEDULE_NAMES)
    parts = "".join(f"  {name}: {{class: CorrectnessReward}}\n" for name in keys)
    shaping = "".join(
        f"  {name}: {{initial_weight: 1.0, decay_schedule: {name}{', ' if more else ''}{more}}}\n"
        for name, more in keys.items()
    )
    path = tmp_path / "all.yaml"
    path.write_text(f"reward_components:\n{parts}reward_shaping:\n{shaping}")
    assert main(["rewards", "preview", str(path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    kinds = {name: text.partition(",")[0] for name, text in data["schedules"].items()}
    assert kinds == {name: name for name in keys} | {"none": "constant"}
    assert set(data["weights"]) == set(keys) - {"gated", "lagrangian"}
    assert main(["rewards", "preview", str(path)]) == 0
    assert "  lagrangian: lagrangian, 1 plus the sum of 0.01 * (-0.5 - raw value)" in capsys.readouterr().out


def test_settings_override_the_file(recipe, capsys):
    setting = "reward_shaping.short.decay_steps=4000"
    assert main(["rewards", "preview", str(recipe), "--json", setting]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["steps"][-1] == 5_000
    assert data["weights"]["short"][4] == pytest.approx(0.5 - 0.4 * 2_000 / 4_000)
    assert data["schedules"]["short"] == "linear, initial_weight=0.5 min_weight=0.1 decay_steps=4000"


def test_the_drawing_is_written_whole_and_readable(recipe, tmp_path, capsys):
    target = tmp_path / "weights.svg"
    target.write_text("an older drawing")
    mask = os.umask(0o022)
    try:
        assert main(["rewards", "preview", str(recipe), "--svg", str(target)]) == 0
    finally:
        os.umask(mask)
    assert ET.parse(target).getroot().tag.endswith("svg")
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert capsys.readouterr().out.endswith(f"\ndrawing: {target}\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my.yaml", "weights.svg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope.yaml"], "rlenvs: nope.yaml: no such file"),
        ([], "rlenvs: the following arguments are required: CONFIG.yaml (see: rlenvs rewards preview --help)"),
        (["my.yaml", "--steps", "0"], "rlenvs: argument --steps: must be >= 1, got 0"),
        (["my.yaml", "--steps", str(2**63)], "rlenvs: argument --steps: must be below 2^63"),
        (["my.yaml", "--setps", "5"], "rlenvs: unknown option '--setps'; did you mean '--steps'?"),
        (["my.yaml", "--svg", "no/such/folder/a.svg"], "rlenvs: no/such/folder/a.svg: cannot be written (No such"),
        (["my.yaml", "--svg", "folder"], "rlenvs: folder: cannot be written (Is a directory)"),
        (["my.yaml", "--svg", "./my.yaml"], "rlenvs: --svg would replace the configuration my.yaml"),
        (["my.yaml", "reward_shaping.shrt.initial_weight=5", "--svg", "a.svg"], "no component has this name; did you mean 'short'?"),
        (["my.yaml", "reward_shaping.short.decay_steps=x", "--svg", "a.svg"], "expected an integer, got 'x'"),
        (["broken.yaml", "--svg", "a.svg"], "broken.yaml:"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line_and_leave_nothing_behind(arguments, message, recipe, capsys, monkeypatch):
    monkeypatch.chdir(recipe.parent)
    (recipe.parent / "folder").mkdir()
    (recipe.parent / "broken.yaml").write_text("reward_components: [")
    before = sorted(recipe.parent.rglob("*"))
    assert main(["rewards", "preview", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert sorted(recipe.parent.rglob("*")) == before
    assert recipe.read_text() == RECIPE


def test_without_an_action_the_help_is_shown(capsys):
    assert main(["rewards"]) == 2
    assert "preview   draw the weights of a reward over a run" in capsys.readouterr().out


@pytest.mark.parametrize(("variable", "coloured"), [("", True), ("1", False)])
def test_colours_are_for_terminals_that_want_them(variable, coloured, recipe, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setenv("FORCE_COLOR", "")
    monkeypatch.delenv("FORCE_COLOR")
    assert main(["rewards", "preview", str(recipe)]) == 0
    out = capsys.readouterr().out
    assert ("\x1b[" in out) == coloured
    assert "short: linear" in out
