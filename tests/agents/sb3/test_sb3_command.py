"""`rlenvs train`, `eval` and `report` of a run of Stable-Baselines3."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml
from sb3_runs import numbers, quiet, rows, sb3_config, sb3_data

from rlenvs.agents.sb3 import evaluate_sb3, train_sb3
from rlenvs.cli import main
from rlenvs.errors import ModelLoadError


@pytest.fixture
def run_yaml(tmp_path, monkeypatch):
    """A configuration file without a run folder; the working folder is the test's."""
    monkeypatch.chdir(tmp_path)
    data = sb3_data(tmp_path)
    del data["output"]["dir"]
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return "run.yaml"


def test_a_section_algorithm_makes_it_a_run_of_stable_baselines(tmp_path, run_yaml, capsys):
    assert main(["train", run_yaml, "--output", "here", "--plain"]) == 0
    out = capsys.readouterr().out
    assert "run small: 6 iterations on cpu, PPO (" in out
    assert "reward components: right, short, guide" in out
    assert "| return " in out
    assert "| shaped " in out
    assert "finished: run folder here, report here/report.html, greedy accuracy " in out
    assert [row["iteration"] for row in rows(tmp_path / "here")] == list(range(7))
    assert main(["report", "here"]) == 0
    assert capsys.readouterr().out == "here/report.html\n"


def test_a_dry_run_says_what_it_would_be_and_writes_nothing(tmp_path, run_yaml, capsys):
    assert main(["train", run_yaml, "algorithm.n_epochs=7", "--output", "here", "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "  n_epochs: 7\n" in out
    assert "# 6 iterations of 32 steps, " in out
    assert "# 8 held-out problems of rlenvs/ArithmeticTokens-v0\n" in out
    assert not (tmp_path / "here").exists()
    assert yaml.safe_load(out)["algorithm"]["n_epochs"] == 7


def test_resume_and_auto_go_on(tmp_path, run_yaml, capsys):
    arguments = ["train", run_yaml, "--output", "here", "--resume", "auto", "--plain"]
    assert main([*arguments, "algorithm.total_timesteps=64"]) == 0
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "resumed after iteration 2, 64 steps" in out
    assert "changed since the checkpoint: algorithm.total_timesteps: 64 -> 192" in out
    assert [row["iteration"] for row in rows(tmp_path / "here")] == list(range(7))
    assert main(["train", "--resume", "here", "algorithm.total_timesteps=224", "--plain"]) == 0
    assert rows(tmp_path / "here")[-1]["step"] == 224
    assert main(["train", "--resume", "here", "--dry-run"]) == 0
    assert "# goes on with here after iteration 7" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-iterations", "3"], "--max-iterations is for language models; its length is counted in environment steps"),
        (["--model", "x"], "--model is for language models"),
        (["algorithm.clip_rang=1"], "unknown key 'clip_rang'; did you mean 'clip_range'?"),
        (["ppo.iterations=3"], "ppo: unknown key 'ppo'"),
        (["--no-reward", "gide"], "there is no reward component 'gide'; did you mean 'guide'?"),
        (["env.id=rlenvs/Arithmetic-v0"], "use 'rlenvs/ArithmeticTokens-v0'"),
    ],
)  # fmt: skip
def test_mistakes_exit_with_2_and_one_line(run_yaml, capsys, arguments, message):
    assert main(["train", run_yaml, *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("package", ["stable_baselines3", "sb3_contrib"])
def test_a_missing_package_names_the_extra(run_yaml, capsys, monkeypatch, package):
    class Absent:
        def find_spec(self, name, path=None, target=None):
            if name == package:
                raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr("sys.meta_path", [Absent(), *sys.meta_path])
    assert main(["train", run_yaml]) == 2
    assert capsys.readouterr().err == (
        f"rlenvs: {package} is not installed: training with Stable-Baselines3 needs it; install it with: "
        "pip install 'rlenvs[sb3]'\n"
    )


def test_eval_gives_the_numbers_of_the_run(tmp_path, capsys):
    result = train_sb3(sb3_config(tmp_path), view=quiet())
    model = str(result.run_dir / "model")
    assert main(["eval", model, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == result.after | {"env": "rlenvs/ArithmeticTokens-v0", "model": model}
    assert evaluate_sb3(result.run_dir / "model" / "model.zip", limit=3)["accuracy/problems"] == 3
    assert main(["eval", model, "--temperature", "0.5"]) == 2
    assert "--temperature is for language models" in capsys.readouterr().err
    (result.run_dir / "model" / "model.zip").write_bytes(b"no zip")
    with pytest.raises(ModelLoadError, match="does not load"):
        evaluate_sb3(model)


def test_schema_describes_every_algorithm(capsys):
    assert main(["schema", "sb3"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert set(schema["properties"]) >= {"algorithm", "env", "rewards", "policy", "evaluation", "output"}
    assert set(schema["properties"]["algorithm"]["discriminator"]["mapping"]) == {
        "ppo", "a2c", "dqn", "maskable_ppo", "recurrent_ppo",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 130), (signal.SIGUSR1, 75)])
def test_a_signal_stops_between_two_rounds_and_the_run_goes_on_exactly(tmp_path, run_yaml, number, code):
    long = ["algorithm.total_timesteps=2560", "evaluation.every=1000", "output.checkpoint_every=1000", "--plain"]
    command = [sys.executable, "-m", "rlenvs", "train", run_yaml, *long]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*command, "--output", "killed"], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        metrics = tmp_path / "killed" / "metrics.jsonl"
        deadline = time.monotonic() + 240
        while not (metrics.exists() and metrics.read_text().count("\n") > 4):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        out = process.communicate(timeout=240)[0]
    assert process.returncode == code
    assert "resume rlenvs train --resume killed" in out
    assert main(["train", "--resume", "killed", "--plain"]) == 0
    assert main(["train", run_yaml, *long, "--output", "whole"]) == 0
    assert numbers(tmp_path / "killed") == numbers(tmp_path / "whole")
