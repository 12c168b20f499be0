"""Whole runs: what they leave behind, how they are killed and resumed, what bad input leaves (nothing)."""

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

from rlenvs.agents.llm import TrainConfig, evaluate_model, resume, train
from rlenvs.agents.llm.command import run_cli
from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams
from rlenvs.agents.llm.evaluation import Examination
from rlenvs.agents.llm.rollout.chat import ChatFormat
from rlenvs.agents.reporting import make_view
from rlenvs.agents.runs.run_folder import RunFolder, choose_run_folder
from rlenvs.config_file import dump_config
from rlenvs.errors import ConfigError, DataError, DeviceError, ModelLoadError, RunFolderError
from rlenvs.graders import Grade
from rlenvs.problems import ArithmeticSource


def rows(run_dir: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def numbers(run_dir: Path) -> list[dict]:
    """Metrics without wall-clock times, which no two runs share."""
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows(run_dir, "metrics.jsonl")]


def quiet():
    return make_view(plain=True, stream=io.StringIO())


def test_a_run_leaves_everything_a_person_and_a_program_need(tiny_run):
    result = train(tiny_run, view=quiet())
    run = result.run_dir
    assert {p.name for p in run.iterdir()} >= {
        "config.yaml", "metrics.jsonl", "rollouts.jsonl", "checkpoints", "model", "report.html"
    }  # fmt: skip
    metrics = rows(run, "metrics.jsonl")
    assert [m["iteration"] for m in metrics] == list(range(7))
    assert [m["iteration"] for m in metrics if "accuracy/greedy" in m] == [0, 2, 4, 6]
    rollouts = rows(run, "rollouts.jsonl")
    assert len(rollouts) == 6 * 24
    assert set(rollouts[0]["components"]) == {"right", "form", "guide"}
    assert set(rollouts[0]["components"]["right"]) == {"raw", "weight", "contribution", "status"}
    assert TrainConfig.load(run / "config.yaml") == tiny_run
    AutoModelForCausalLM.from_pretrained(run / "model")
    assert result.after["accuracy/greedy"] == metrics[-1]["accuracy/greedy"]
    again = evaluate_model(run / "model")
    assert again["accuracy/greedy"] == result.after["accuracy/greedy"]
    assert again["accuracy/sampled"] == result.after["accuracy/sampled"]
    assert again["accuracy/problems"] == metrics[-1]["accuracy/problems"] == 10


def test_stopping_and_resuming_gives_the_numbers_of_an_uninterrupted_run(tiny_run, tmp_path):
    whole = train(tiny_run, view=quiet()).run_dir
    config = tiny_run.model_copy(update={"output": tiny_run.output.model_copy(update={"dir": str(tmp_path / "cut")})})
    asked = iter([False, False, False, True])
    stopped = train(config, view=quiet(), stop=lambda: next(asked))
    assert stopped.interrupted
    assert stopped.iterations == 3
    finished = resume(stopped.run_dir, view=quiet())
    assert finished.iterations == 6
    assert numbers(stopped.run_dir) == numbers(whole)
    assert rows(stopped.run_dir, "rollouts.jsonl") == rows(whole, "rollouts.jsonl")
    assert finished.before == pytest.approx({k: numbers(whole)[0][k] for k in finished.before})


KILLED = """
import sys, torch
torch.set_num_threads(1)
from rlenvs.agents.llm.command import run_cli
from rlenvs.agents.runs.run_folder import RunFolder, choose_run_folder
sys.exit(run_cli(sys.argv[1] if sys.argv[1] != "-" else None, sys.argv[3:], sys.argv[2] if sys.argv[2] != "-" else None, False, None, True))
"""


def start(config: str, resume_dir: str, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, config, resume_dir, *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(run: Path, lines: int) -> None:
    """Wait until the run has logged so many iterations."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        log = run / "metrics.jsonl"
        if log.is_file() and log.read_text().count("\n") >= lines:
            return
        time.sleep(0.01)
    raise AssertionError("the run did not get going")


@pytest.fixture
def config_file(tiny_run, tmp_path) -> Path:
    """The tiny run, long enough to be killed in the middle."""
    config = tiny_run.model_copy(
        update={
            "ppo": tiny_run.ppo.model_copy(update={"iterations": 60}),
            "output": tiny_run.output.model_copy(update={"checkpoint_every": 7}),
        }
    )
    path = tmp_path / "run.yaml"
    path.write_text(dump_config(config))
    return path


@pytest.mark.slow
@pytest.mark.ci
def test_a_killed_run_resumes_to_identical_metrics(config_file, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    straight = start(str(config_file), "-", f"output.dir={whole}")
    assert (straight.communicate(timeout=240), straight.returncode)[1] == 0
    for lines in (10, 30):
        process = start(str(config_file), "-", f"output.dir={cut}") if lines == 10 else start("-", str(cut))
        wait_for(cut, lines)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    last = start("-", str(cut))
    assert (last.communicate(timeout=240), last.returncode)[1] == 0
    assert len(numbers(cut)) == 61
    assert numbers(cut) == numbers(whole)
    assert (cut / "rollouts.jsonl").read_bytes() == (whole / "rollouts.jsonl").read_bytes()
    weights = [
        torch.load(d / "checkpoints/iteration-000060/state.pt", weights_only=True)["trainer"]["learner"]["policy"]
        for d in (cut, whole)
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_says_how_to_go_on(config_file, tmp_path, number):
    cut = tmp_path / "cut"
    process = start(str(config_file), "-", f"output.dir={cut}")
    wait_for(cut, 5)
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 130
    assert f"rlenvs train --resume {cut}" in output
    assert "Traceback" not in output
    assert (cut / "report.html").is_file()
    done = numbers(cut)[-1]["iteration"]
    assert (cut / f"checkpoints/iteration-{done:06d}").is_dir()


@pytest.mark.parametrize(
    ("override", "kind", "message"),
    [
        ("env.id=rlenvs/Arithmetc-v0", ConfigError, "Did you mean: `Arithmetic`"),
        ("env.kwargs.digitz=2", ConfigError, "env.kwargs.*'digits'"),
        ("env.kwargs.digits=99", ConfigError, "env.kwargs.*1..9"),
        ("policy.model=/no/such/folder", ModelLoadError, "/no/such/folder"),
        ("rollout.context_tokens=5", DataError, "rollout.context_tokens"),
        ("device=cuda", DeviceError, "no CUDA device"),
        ("ppo.gamma=0.5", ConfigError, "ppo.gamma"),
        ("env.kwargs.split=held_out", ConfigError, "env.kwargs.split: is not yours to set"),
        ("policy.embedded.hidden_size=6", ConfigError, "must be even"),
        ("policy.prompt_format=chat", ConfigError, "no chat template"),
        ("policy.embedded.max_positions=8", ConfigError, "rollout.context_tokens: must be <= 8"),
        ("rewards.reward_components.guide.params.potential_params.info_key=dificulty", ConfigError, "no 'dificulty'"),
        ("policy.model=''", ConfigError, "policy.model: must have at least 1 char"),
        ("rollout.stop=['']", ConfigError, "rollout.stop.0: must have at least 1 char"),
        ("rollout.engine={name: http, url: 'http://a/v1', model: m}", ConfigError, "engine.weights: must say how new"),
        (
            "rollout.engine={name: http, url: 'http://a/v1', model: m, weights: adapter, weights_dir: d}",
            ConfigError,
            "engine.weights: 'adapter' brings a trained adapter to the server: set policy.adapter",
        ),
        ("env.id=CartPole-v1", ConfigError, "'CartPole-v1': training needs a vector form of texts"),
        ("output.dir=/proc/nope/run", RunFolderError, "cannot write to"),
    ],
)
def test_bad_input_leaves_no_run_folder(tiny_run, tmp_path, monkeypatch, override, kind, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(kind, match=message) as caught:
        train(TrainConfig.load(TINY_RUN, [f"output.dir={tmp_path / 'run'}", override]), view=quiet())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_an_output_folder_with_something_in_it_is_left_alone(tiny_run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "precious").write_text("x")
    with pytest.raises(RunFolderError, match=r"is not empty: choose another with output.dir=\.\.\.$"):
        train(tiny_run, view=quiet())
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("done", "message"),
    [([], "ended before its first checkpoint: --resume auto removes it"), ([0], "or go on with it by --resume .*run$")],
)
def test_a_run_in_the_output_folder_says_how_to_go_on_with_it(tiny_run, tmp_path, done, message):
    folder = RunFolder.create(tmp_path / "run", tiny_run)
    for iteration in done:
        (folder.checkpoints / f"iteration-{iteration:06d}").mkdir()
    with pytest.raises(RunFolderError, match=message):
        choose_run_folder(tiny_run)


def test_a_trial_of_a_model_that_is_not_there_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(json.dumps(TINY_RUN))
    with pytest.raises(ModelLoadError, match=r"there is no folder '\./model'"):
        run_cli("run.yaml", ["policy.model=./model"], None, True, None, True)


def test_resuming_what_is_not_a_run(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder"):
        resume(tmp_path)


def test_a_run_folder_named_like_a_number_is_that_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("run.yaml").write_text(json.dumps(TINY_RUN))
    assert run_cli("run.yaml", [], None, True, "123", True) == 0
    assert "dir: '123'" in capsys.readouterr().out


def test_evaluating_a_run_names_its_model(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").touch()
    with pytest.raises(ModelLoadError, match=r"is no model folder .*; did you mean '.*/model'"):
        evaluate_model(tmp_path)


def test_evaluating_a_model_needs_an_environment(tmp_path):
    (tmp_path / "config.json").touch()
    with pytest.raises(ConfigError, match="name one with --env"):
        evaluate_model(tmp_path)


def test_a_run_evaluated_again_gives_its_own_last_numbers(tiny_run):
    """Temperature, seed, batch size and problems are the run's, unless asked for otherwise."""
    changes = {
        "seed": 3,
        "rollout": tiny_run.rollout.model_copy(update={"temperature": 1.2, "batch_size": 5}),
        "evaluation": tiny_run.evaluation.model_copy(update={"problems": 9}),
    }
    result = train(tiny_run.model_copy(update=changes), view=quiet())
    again = evaluate_model(result.run_dir / "model")
    assert {key: again[key] for key in result.after} == result.after
    assert again["accuracy/problems"] == 9
    assert again["accuracy/sampled"] > 0


def test_evaluation_asks_the_environments_own_grader(monkeypatch, policy):
    """An environment that accepts nothing gives accuracy 0, whatever the task records say."""
    problems = ArithmeticSource(digits=1).problems("train", limit=20)
    examination = Examination("rlenvs/Arithmetic-v0", {"digits": 1}, problems)
    refusal = Grade(0.0, False, "ok", None, "never")
    object.__setattr__(examination.envs.unwrapped.task, "grader", lambda tasks, responses: [refusal] * len(tasks))
    monkeypatch.setattr(policy, "message_text", lambda ids: next(golds))
    golds = iter([p.task["gold"] for p in problems])
    arguments = (
        policy,
        GenerateEngine(policy),
        ChatFormat(policy.tokenizer),
        SamplingParams(3, 0.0),
        torch.Generator(),
    )
    assert examination.accuracy(*arguments) == 0.0
    golds = iter([p.task["gold"] for p in problems])
    assert Examination("rlenvs/Arithmetic-v0", {"digits": 1}, problems).accuracy(*arguments) == 1.0


def test_two_runs_of_one_second_get_a_folder_each(tiny_run):
    path = Path("runs/same")
    config = tiny_run.model_copy(update={"output": tiny_run.output.model_copy(update={"dir": None})})
    folders = [RunFolder.create(path, config).path for _ in range(3)]
    assert [folder.name for folder in folders] == ["same", "same-2", "same-3"]


@pytest.mark.slow
@pytest.mark.ci
def test_ctrl_c_during_the_warm_start_ends_at_once_and_leaves_nothing(config_file, tmp_path, monkeypatch):
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path / "other-cache"))
    never = ["policy.embedded.warm_start.target_accuracy=1.0", "policy.embedded.warm_start.max_accuracy=1.0"]
    process = start(str(config_file), "-", f"output.dir={tmp_path / 'cut'}", *never)
    for line in process.stdout:
        if "warm start" in line:
            break
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode not in (0, None)
    assert not (tmp_path / "cut").exists()


def test_a_shipped_configuration_is_found_by_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run_cli("instruct.yaml", ["policy.model=some/where"], None, True, None, True) == 0
    assert "model: some/where" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"nothing\.yaml: no such file"):
        run_cli("nothing.yaml", [], None, True, None, True)
    assert not list(tmp_path.iterdir())
