"""Whole supervised runs: what they leave behind, how they are killed and resumed, what comes after them."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny import TINY_RUN
from transformers import AutoModelForCausalLM

from rlenvs.agents.llm import TrainConfig, evaluate_model, train
from rlenvs.agents.llm import resume as resume_training
from rlenvs.agents.llm.sft import SFTConfig, resume, sft
from rlenvs.agents.llm.sft.command import run_cli
from rlenvs.agents.llm.sft.imitation import Imitation
from rlenvs.agents.reporting import make_view
from rlenvs.config_file import dump_config
from rlenvs.errors import ConfigError, DataError, ModelLoadError, RunFolderError, TrainingDivergedError

SHIPPED = sorted((Path(__file__).parents[4] / "configs" / "sft").glob("*.yaml"))
TINY_SFT = {
    "name": "tiny-sft",
    "env": TINY_RUN["env"],
    "data": {"held_out_share": 0.2},
    "policy": {"embedded": {"hidden_size": 32, "layers": 1, "heads": 2}},
    "rollout": {"max_new_tokens": 4, "context_tokens": 16, "engine": {"name": "static"}},
    "sft": {"epochs": 3, "batch_size": 24, "learning_rate": 5e-3, "warmup_steps": 2},
    "memory": {"micro_batch_size": 8},
    "evaluation": {"every": 3, "problems": 20},
    "output": {"checkpoint_every": 2, "trackers": []},
}


@pytest.fixture
def tiny_sft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SFTConfig:
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return SFTConfig.load(TINY_SFT, [f"output.dir={tmp_path / 'run'}"])


def rows(run_dir: Path, name: str = "metrics.jsonl") -> list[dict]:
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def numbers(run_dir: Path) -> list[dict]:
    """Metrics without wall-clock times, which no two runs share."""
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows(run_dir)]


def quiet():
    return make_view(plain=True, stream=io.StringIO())


def changed(config: SFTConfig, *overrides: str) -> SFTConfig:
    return SFTConfig.load(config.model_dump(by_alias=True), overrides)


def test_a_run_leaves_what_every_run_leaves(tiny_sft):
    result = sft(tiny_sft, view=quiet())
    run = result.run_dir
    assert {p.name for p in run.iterdir()} >= {"config.yaml", "metrics.jsonl", "checkpoints", "model", "report.html"}
    metrics = rows(run)
    assert [m["iteration"] for m in metrics] == list(range(result.steps + 1))
    assert metrics[-1]["epoch"] == 3.0
    assert [m["iteration"] for m in metrics if "loss/held_out" in m] == [0, 3, 6, 9]
    assert metrics[-1]["loss/held_out"] < metrics[0]["loss/held_out"]
    assert metrics[1]["learning_rate"] == pytest.approx(2.5e-3), "half of the peak in the first of two warm-up steps"
    assert metrics[-1]["learning_rate"] < 5e-3
    assert SFTConfig.load(run / "config.yaml") == tiny_sft
    AutoModelForCausalLM.from_pretrained(run / "model")
    again = evaluate_model(run / "model")
    assert {key: again[key] for key in again if key.startswith("accuracy/")} == {
        key: value for key, value in result.after.items() if key.startswith("accuracy/")
    }


def test_the_tokens_of_an_epoch_are_those_of_all_demonstrations(tiny_sft):
    result = sft(changed(tiny_sft, "sft.epochs=1", "data.held_out_share=0.0"), view=quiet())
    from rlenvs.problems import ArithmeticSource

    problems = ArithmeticSource(**TINY_SFT["env"]["kwargs"]).problems("train")
    said = sum(len(problem.demonstration) + 1 for problem in problems)
    assert rows(result.run_dir)[-1]["tokens"] == said
    assert "loss/held_out" not in result.after


def test_stopping_and_resuming_gives_the_numbers_of_an_uninterrupted_run(tiny_sft, tmp_path):
    whole = sft(tiny_sft, view=quiet()).run_dir
    asked = iter([False, False, False, True])
    cut = changed(tiny_sft, f"output.dir={tmp_path / 'cut'}")
    stopped = sft(cut, view=quiet(), stop=lambda: next(asked))
    assert (stopped.interrupted, stopped.steps) == (True, 3)
    finished = resume(stopped.run_dir, view=quiet())
    assert not finished.interrupted
    assert numbers(stopped.run_dir) == numbers(whole)


KILLED = """
import sys, torch
torch.set_num_threads(1)
from rlenvs.agents.llm.sft.command import run_cli
from rlenvs.agents.llm.sft.imitation import Imitation
sys.exit(run_cli(sys.argv[1] or None, sys.argv[3:], sys.argv[2] or None, False, None, True))
"""


def start(config: str, resume_dir: str, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, config, resume_dir, *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(run: Path, lines: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        log = run / "metrics.jsonl"
        if log.is_file() and log.read_text().count("\n") >= lines:
            return
        time.sleep(0.01)
    raise AssertionError("the run did not get going")


@pytest.mark.slow
@pytest.mark.ci
def test_a_killed_run_resumes_to_identical_metrics(tiny_sft, tmp_path):
    """Also with a target that a check may overshoot, so that the best policy so far is part of the state."""
    path = tmp_path / "run.yaml"
    long = [
        "sft.epochs=20",
        "sft.target_accuracy=0.99",
        "sft.max_accuracy=0.995",
        "sft.check_every=5",
        "evaluation.every=20",
    ]
    path.write_text(dump_config(changed(tiny_sft, *long, "output.checkpoint_every=7")))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    straight = start(str(path), "", f"output.dir={whole}")
    output, _ = straight.communicate(timeout=240)
    assert straight.returncode == 0, output
    process = start(str(path), "", f"output.dir={cut}")
    wait_for(cut, 20)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    last = start("", str(cut))
    output, _ = last.communicate(timeout=240)
    assert last.returncode == 0, output
    assert numbers(cut) == numbers(whole)
    states = [
        torch.load(sorted((d / "checkpoints").glob("iteration-*"))[-1] / "state.pt", weights_only=True)
        for d in (cut, whole)
    ]
    weights = [state["trainer"]["policy"] for state in states]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_resume_auto_starts_goes_on_and_finds_nothing_left_to_do(tiny_sft, tmp_path, capsys):
    path = tmp_path / "run.yaml"
    path.write_text(dump_config(changed(tiny_sft, "sft.epochs=1")))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_text("torn")  # of a run that ended before its first checkpoint
    assert run_cli(str(path), [], "auto", False, None, True) == 0
    first = numbers(tmp_path / "run")
    assert run_cli(str(path), [], "auto", False, None, True) == 0
    assert "resumed after step 3" in capsys.readouterr().out
    assert numbers(tmp_path / "run") == first


def test_a_failure_says_how_to_go_on(tiny_sft, monkeypatch):
    stream, step, count = io.StringIO(), Imitation.step, iter(range(10))

    def fails(self, demonstrations):
        if next(count) == 5:
            raise TrainingDivergedError("the loss is not finite")
        return step(self, demonstrations)

    monkeypatch.setattr(Imitation, "step", fails)
    with pytest.raises(TrainingDivergedError) as caught:
        sft(tiny_sft, view=make_view(plain=True, stream=stream))
    hint = f"failed at step 6; go on after step 4: rlenvs sft --resume {tiny_sft.output.dir}"
    assert hint in stream.getvalue()
    assert hint in caught.value.__notes__
    monkeypatch.setattr(Imitation, "step", step)
    assert resume(tiny_sft.output.dir, view=quiet()).steps == 9


def test_data_that_changed_since_the_checkpoint_are_refused(tiny_sft, tmp_path):
    talks = tmp_path / "talks.jsonl"
    talks.write_text("".join(f'{{"prompt": "{i}+1=", "response": "{i + 1}"}}\n' for i in range(9)))
    settings = ["data.source=jsonl", f"data.path={talks}", "sft.batch_size=4"]
    stopped = sft(changed(tiny_sft, *settings), view=quiet(), stop=iter([False, True]).__next__)
    talks.write_text(talks.read_text().replace("3+1=", "3+2="))
    with pytest.raises(RunFolderError, match="demonstrations have changed since the checkpoint"):
        resume(stopped.run_dir, view=quiet())


@pytest.mark.slow
@pytest.mark.ci
def test_a_target_ends_the_run(tiny_sft):
    config = changed(
        tiny_sft, "sft.epochs=100", "sft.target_accuracy=0.3", "sft.check_every=4", "sft.check_problems=40"
    )
    result = sft(config, view=quiet())
    metrics = rows(result.run_dir)
    checks = [m["accuracy/train"] for m in metrics if "accuracy/train" in m]
    assert result.reached_target
    assert result.steps % 4 == 0
    assert result.steps < 300
    assert checks[-1] >= 0.3 > max([0.0, *checks[:-1]])
    assert "accuracy/greedy" in metrics[-1]


def test_files_without_an_environment_give_a_loss_and_no_accuracy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "talks.jsonl").write_text(
        '{"prompt": "hi", "response": "hello"}\n{"prompt": "ho", "response": "hoy"}\n'
    )
    settings = {key: value for key, value in TINY_SFT.items() if key != "env"}
    data = {"source": "jsonl", "path": "talks.jsonl", "held_out_share": 0.5}
    stream = io.StringIO()
    result = sft(SFTConfig.load(settings | {"data": data}), view=make_view(plain=True, stream=stream))
    assert set(result.after) == {"loss/held_out"}
    assert f"rlenvs train policy.model={result.run_dir / 'model'}" in stream.getvalue()
    with pytest.raises(ConfigError, match="name one with --env"):
        evaluate_model(result.run_dir / "model")


@pytest.mark.slow
@pytest.mark.ci
def test_reinforcement_learning_starts_from_it_and_its_rollouts_teach_again(tiny_sft, tmp_path):
    """Imitate, reinforce, imitate the best of what reinforcement sampled."""
    first = sft(changed(tiny_sft, "sft.epochs=30", "sft.target_accuracy=0.3", "sft.check_every=5"), view=quiet())
    overrides = [f"output.dir={tmp_path / 'ppo'}", f"policy.model={first.run_dir / 'model'}", "ppo.iterations=3"]
    reinforced = train(TrainConfig.load(TINY_RUN, overrides), view=quiet())
    assert reinforced.before["accuracy/greedy"] == first.after["accuracy/greedy"]
    settings = [
        f"output.dir={tmp_path / 'best'}", f"policy.model={first.run_dir / 'model'}",
        "data.source=rollouts", f"data.path={reinforced.run_dir}", "data.min_reward=1.0", "sft.epochs=1",
    ]  # fmt: skip
    again = sft(changed(tiny_sft, *settings), view=quiet())
    right = {(r["prompt"], r["response"]) for r in rows(reinforced.run_dir, "rollouts.jsonl") if r["env_reward"] == 1.0}
    tokens = sum(len(response) + 1 for _, response in right)
    assert 0 < rows(again.run_dir)[-1]["tokens"] <= tokens
    with pytest.raises(RunFolderError, match=r"run of another kind: .* go on with it by `rlenvs sft --resume"):
        resume_training(first.run_dir)
    with pytest.raises(RunFolderError, match=r"run of another kind: .* go on with it by `rlenvs train --resume"):
        resume(reinforced.run_dir)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft, with transformers
def test_adapters_are_trained_and_saved_as_adapters(tiny_sft, tmp_path):
    pytest.importorskip("peft")
    base = sft(changed(tiny_sft, f"output.dir={tmp_path / 'base'}"), view=quiet()).run_dir / "model"
    result = sft(
        changed(tiny_sft, f"policy.model={base}", "policy.adapter={rank: 4, alpha: 8}", "sft.epochs=1"), view=quiet()
    )
    model = result.run_dir / "model"
    assert (model / "adapter_config.json").is_file()
    assert result.after["loss/held_out"] < result.before["loss/held_out"]
    again = evaluate_model(model)
    assert again["accuracy/greedy"] == result.after["accuracy/greedy"]


@pytest.mark.parametrize(
    "memory",
    [
        {"micro_batch_tokens": 64},
        {"gradient_checkpointing": True},
        {"packing": True},
    ],
)
def test_memory_options_change_nothing_that_is_learned(tiny_sft, tmp_path, memory):
    plain = sft(changed(tiny_sft, "sft.epochs=1"), view=quiet())
    overrides = [f"memory.{key}={json.dumps(value)}" for key, value in memory.items()]
    found = sft(changed(tiny_sft, "sft.epochs=1", f"output.dir={tmp_path / 'other'}", *overrides), view=quiet())
    pairs = zip(rows(plain.run_dir)[1:], rows(found.run_dir)[1:], strict=True)
    assert all(new["loss/train"] == pytest.approx(old["loss/train"], rel=1e-4) for old, new in pairs)


@pytest.mark.parametrize(
    ("override", "kind", "message"),
    [
        ("env.id=rlenvs/Arithmetc-v0", ConfigError, "Did you mean: `Arithmetic`"),
        (
            "rollout={context_tokens: 6, max_new_tokens: 2}",
            DataError,
            r"rlenvs/Arithmetic-v0\[\d+\]: the demonstration has 7 tokens",
        ),
        ("policy.embedded.max_positions=8", ConfigError, "rollout.context_tokens: must be <= 8"),
        ("rollout={context_tokens: 8, max_new_tokens: 7}", DataError, "the prompt of problem .* has 4 tokens"),
        ("policy.model=/no/such/folder", ModelLoadError, "/no/such/folder"),
        ("output.dir=/proc/nope/run", RunFolderError, "cannot write to"),
    ],
)
def test_bad_input_leaves_no_run_folder(tiny_sft, tmp_path, override, kind, message):
    with pytest.raises(kind, match=message):
        sft(changed(tiny_sft, override), view=quiet())
    assert not (tmp_path / "run").exists()


def test_demonstrations_longer_than_the_context_may_be_left_out(tiny_sft):
    stream = io.StringIO()
    short = "rollout={context_tokens: 6, max_new_tokens: 2}"  # no room for sums of two digits
    config = changed(tiny_sft, short, "data.overlong=leave_out", "sft.epochs=1")
    sft(config, view=make_view(plain=True, stream=stream))
    assert "left out: longer than the context" in stream.getvalue()


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_configuration_can_be_rehearsed(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    config = SFTConfig.load(path)
    overrides = []
    if config.data.source == "rollouts":
        record = {"iteration": 1, "env": 0, "turn": 0, "prompt": "2+2=", "response": "4", "reward": 1.0,
                  "env_reward": 1.0, "terminated": True, "finish": "stop"}  # fmt: skip
        (tmp_path / "rollouts.jsonl").write_text(json.dumps(record) + "\n")
        overrides = [f"data.path={tmp_path / 'rollouts.jsonl'}", "policy.model=embedded"]
    if config.data.source == "jsonl":
        (tmp_path / "talks.jsonl").write_text('{"prompt": "2+2=", "response": "4"}\n')
        overrides = [f"data.path={tmp_path / 'talks.jsonl'}"]
    if config.data.source == "env":
        overrides = ["data.limit=50"]
    assert run_cli(path.name, overrides, None, True, None, True) == 0
    out = capsys.readouterr().out
    assert "demonstrations with" in out
    assert SFTConfig.load(path, overrides) == SFTConfig.load(_stored(tmp_path, out))
    assert {p.name for p in tmp_path.iterdir()} <= {"rollouts.jsonl", "talks.jsonl", "printed.yaml"}


def _stored(folder: Path, text: str) -> Path:
    (folder / "printed.yaml").write_text(text)
    return folder / "printed.yaml"


@pytest.mark.slow
@pytest.mark.ci
def test_imitation_learns_arithmetic(tmp_path, monkeypatch):
    """From random weights to more than half of the held-out problems, which no demonstration shows."""
    monkeypatch.chdir(tmp_path)
    smaller = [
        "policy.embedded.layers=2",
        "sft.batch_size=128",
        "sft.learning_rate=3e-3",
        "memory.micro_batch_size=128",
    ]
    goal = ["sft.target_accuracy=0.7", "sft.max_accuracy=1.0", "evaluation.every=1000", "evaluation.problems=300"]
    config = SFTConfig.load(next(path for path in SHIPPED if path.stem == "arithmetic"), [*smaller, *goal])
    result = sft(config, view=quiet())
    assert result.reached_target
    assert result.before["accuracy/greedy"] < 0.1
    assert result.after["accuracy/greedy"] > 0.5
    assert result.after["loss/held_out"] < 0.5 < result.before["loss/held_out"]
