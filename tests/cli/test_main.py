"""The front door: help, exit codes, error lines, did-you-mean."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rlenvs import __version__
from rlenvs.cli import build_parser, main
from rlenvs.cli.output import table
from rlenvs.errors import ComponentError, ConfigError, GraderError, UserError

COMMANDS = ["train", "sft", "tune", "eval", "score", "rewards", "tasks", "report", "envs", "schema", "doctor"]


def replace_command(monkeypatch: pytest.MonkeyPatch, run: Callable[..., int]) -> None:
    """Let `rlenvs envs` do something else."""
    monkeypatch.setattr("rlenvs.cli.envs.run", run)


def raiser(error: BaseException) -> Callable[..., int]:
    def run(args: object) -> int:
        raise error

    return run


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"rlenvs {__version__}\n"


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert build_parser()[1] == COMMANDS
    assert all(f"    {command} " in out for command in COMMANDS)


def test_without_a_command_the_help_is_shown_and_the_exit_code_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("usage: rlenvs")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_complete_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"example:\n  rlenvs {command}" in out
    options = out.partition("options:")[2].partition("example:")[0]
    for line in options.splitlines():
        if line.startswith("  --") and len(line.split("  ")[-1]) < 3:
            pytest.fail(f"{command}: option without help: {line}")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "rlenvs: unknown command 'trian'; did you mean 'train'? (known: train, sft, tune, eval, "),
        (["xyzzy"], "rlenvs: unknown command 'xyzzy' (known: train"),
        (["--debug", "evl"], "rlenvs: unknown command 'evl'; did you mean 'eval'?"),
        (["--verzion"], "rlenvs: unknown option '--verzion'; did you mean '--version'? (see: rlenvs --help)"),
        (["eval", "--respnses", "x"], "rlenvs: unknown option '--respnses'; did you mean '--responses'? (see: rlenvs"),
        (["eval", "--respnses=x"], "rlenvs: unknown option '--respnses'; did you mean '--responses'?"),
        (["eval", "--prob", "3"], "rlenvs: unknown option '--prob'; did you mean '--problems'?"),
        (["envs", "more"], "rlenvs: unexpected argument 'more' (see: rlenvs envs --help)"),
        (["eval"], "rlenvs: expected either MODEL_DIR or --responses FILE.jsonl"),
        (["eval", "m", "--responses", "x"], "rlenvs: expected either MODEL_DIR or --responses"),
        (["eval", "m", "--problems", "0"], "rlenvs: argument --problems: must be >= 1, got 0"),
        (["eval", "m", "--problems", "x"], "rlenvs: argument --problems: expected an integer, got 'x'"),
        (["eval", "m", "--temperature", "nan"], "rlenvs: argument --temperature: must be finite and >= 0.01, got nan"),
        (
            ["eval", "m", "--device", "gpu"],
            "rlenvs: unknown --device 'gpu'; did you mean 'cpu'? (known: auto, cpu, cuda)",
        ),
        (["schema", "trian"], "rlenvs: unknown kind 'trian'; did you mean 'train'?"),
        (["rewards", "chek"], "rlenvs: unknown action 'chek'; did you mean 'check'? (known: check, preview)"),
        (["tasks", "chek", "x.jsonl"], "rlenvs: unknown action 'chek'; did you mean 'check'? (known: check)"),
        (["report"], "rlenvs: the following arguments are required: RUN_DIR"),
    ],
)
def test_usage_errors(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_each_line_of_a_user_error_is_its_own_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_command(monkeypatch, raiser(ConfigError("a.yaml:1:1: one\na.yaml:2:1: two")))
    assert main(["envs"]) == 2
    assert capsys.readouterr().err == "rlenvs: a.yaml:1:1: one\nrlenvs: a.yaml:2:1: two\n"


@pytest.mark.parametrize("error", [ComponentError("lost"), GraderError("lost")])
def test_a_failure_that_is_not_the_users_exits_with_1(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_command(monkeypatch, raiser(error))
    assert main(["envs"]) == 1
    assert capsys.readouterr().err == "rlenvs: lost\n"


@pytest.mark.parametrize("way", ["option before", "option after", "variable"])
def test_debug_shows_the_traceback(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    replace_command(monkeypatch, raiser(UserError("wrong")))
    if way == "variable":
        monkeypatch.setenv("RLENVS_DEBUG", "1")
    argv = {"option before": ["--debug", "envs"], "option after": ["envs", "--debug"], "variable": ["envs"]}[way]
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.endswith("rlenvs: wrong\n")


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_command(monkeypatch, raiser(ZeroDivisionError("bug")))
    with pytest.raises(ZeroDivisionError, match="bug"):
        main(["envs"])


def test_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    replace_command(monkeypatch, raiser(KeyboardInterrupt()))
    assert main(["envs"]) == 130
    assert capsys.readouterr().err == "rlenvs: interrupted\n"


def test_envs_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    from rlenvs.registration import environment_table

    assert main(["envs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == environment_table()
    assert main(["envs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["id", *[row["id"] for row in environment_table()]]


@pytest.mark.parametrize(
    ("kind", "key"), [("train", "ppo"), ("sft", "data"), ("sb3", "algorithm"), ("rewards", "reward_components")]
)
def test_schema_is_json_schema_that_knows_the_keys(kind: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert key in schema["properties"]
    assert schema["additionalProperties"] is False


def test_light_commands_load_neither_torch_nor_transformers() -> None:
    script = """
import contextlib, io, sys
from rlenvs.cli import main
light = [["--help"], ["envs"], ["schema"], ["schema", "sft"], ["schema", "sb3"], ["schema", "rewards"], ["doctor", "-h"], ["eval", "-h"], ["train", "-h"], ["sft", "-h"]]
with contextlib.redirect_stdout(io.StringIO()):
    codes = [main(argv) for argv in light]
print(codes, sorted({"torch", "transformers", "rich"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0] []\n"


def test_a_reader_that_goes_away_is_not_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(
        [sys.executable, "-m", "rlenvs", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60
    )
    os.close(writer)
    assert process.stderr == ""
    assert process.returncode == 141


def test_broken_pipe_without_a_file_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    replace_command(monkeypatch, raiser(BrokenPipeError()))
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert main(["envs"]) == 141


def test_table_of_nothing_is_its_header() -> None:
    assert table([], header=("a", "b")) == "a  b"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_the_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-m", "rlenvs", "envs"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1
    assert ended.stderr.splitlines() == ["rlenvs: cannot write (No space left on device)"]
