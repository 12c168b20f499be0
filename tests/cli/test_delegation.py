"""What `train`, `eval MODEL_DIR` and `report` pass on."""

import inspect
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rlenvs.cli import main
from rlenvs.cli.train import split_settings
from rlenvs.errors import UserError

pytest.importorskip("torch")
pytest.importorskip("transformers")


class Recorder:
    """Stands in for a function and remembers how it was called."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls: list[dict[str, Any]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls.append({"args": args, **kwargs})
        return self.result


def install(monkeypatch: pytest.MonkeyPatch, module: str, name: str, result: Any) -> Recorder:
    recorder = Recorder(result)
    stand_in = ModuleType(module)
    setattr(stand_in, name, recorder)
    monkeypatch.setitem(sys.modules, module, stand_in)
    return recorder


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {}),
        (["run.yaml"], {"config_path": "run.yaml"}),
        (["a=1", "b.c=x=y"], {"overrides": ["a=1", "b.c=x=y"]}),
        (
            ["run.yaml", "--dry-run", "a=1", "--output", "out", "b=2"],
            {"config_path": "run.yaml", "overrides": ["a=1", "b=2"], "dry_run": True, "output": "out"},
        ),
        (["--plain", "runs/lr=1e-4/run.yaml"], {"config_path": "runs/lr=1e-4/run.yaml", "plain": True}),
        (["--resume", "runs/a", "--plain"], {"resume_dir": "runs/a", "plain": True}),
        (["--resume", "runs/a", "x=1"], {"resume_dir": "runs/a", "overrides": ["x=1"]}),
        (["a.yaml", "--resume", "auto"], {"config_path": "a.yaml", "resume_dir": "auto"}),
        (["--model", "123", "a=1"], {"overrides": ["a=1", 'policy.model="123"']}),
        (
            ["--max-iterations", "5", "--save-every", "2", "--checkpoint-dir", "/big: disk"],
            {"overrides": ["ppo.iterations=5", "output.checkpoint_every=2", 'output.checkpoint_dir="/big: disk"']},
        ),
        (["--no-reward", "judge", "--no-reward", "form"], {"without_rewards": ["judge", "form"]}),
    ],
)
def test_train_passes_its_arguments_on(
    argv: list[str], expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cli = install(monkeypatch, "rlenvs.agents.llm.command", "run_cli", 7)
    defaults = {
        "config_path": None,
        "overrides": [],
        "resume_dir": None,
        "dry_run": False,
        "output": None,
        "plain": False,
        "without_rewards": [],
    }
    assert main(["train", *argv]) == 7
    assert run_cli.calls == [{"args": (), **defaults, **expected}]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["a.yaml", "b.yaml"], "expected one configuration file, got 2: a.yaml, b.yaml"),
        (["a.yaml", "--resume", "runs/a"], "--resume goes on with the configuration of runs/a; leave 'a.yaml' out"),
        (["--max-iterations", "0"], "--max-iterations: must be >= 1, got 0"),
        (["--save-every", "often"], "--save-every: expected an integer, got 'often'"),
        (["--no-rewards", "x"], "unknown option '--no-rewards'; did you mean '--no-reward'?"),
        (["--dry-rn"], "unknown option '--dry-rn'; did you mean '--dry-run'?"),
    ],
)
def test_train_refuses(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *argv]) == 2
    assert message in capsys.readouterr().err


def test_split_settings_of_two_files() -> None:
    with pytest.raises(UserError, match="expected one configuration file, got 2"):
        split_settings(["a", "b"])


@pytest.mark.parametrize("command", [["train"], ["sft"], ["eval", "model"]])
def test_missing_torch_names_the_extra(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr("sys.meta_path", [_Absent(), *sys.meta_path])
    assert main(command) == 2
    err = capsys.readouterr().err
    assert err.startswith("rlenvs: torch is not installed: ")
    assert err.endswith("install it with: pip install 'rlenvs[llm]'\n")


class _Absent:
    """An import finder on whose machine torch does not exist."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")


def test_eval_passes_its_arguments_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    result = {"accuracy/greedy": 0.75, "accuracy/sampled": 0.5, "problems": 100}
    evaluate_model = install(monkeypatch, "rlenvs.agents.llm.evaluation", "evaluate_model", result)
    argv = ["eval", "runs/a/model", "--env", "rlenvs/Arithmetic-v0", "--set", "digits=3", "--set", "operators='+-'"]
    assert main([*argv, "--problems", "100", "--device", "cpu", "--batch-size", "8", "--seed", "3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == result
    assert evaluate_model.calls == [
        {
            "args": ("runs/a/model",),
            "env_id": "rlenvs/Arithmetic-v0",
            "env_kwargs": {"digits": 3, "operators": "+-"},
            "limit": 100,
            "device": "cpu",
            "batch_size": 8,
            "temperature": None,
            "seed": 3,
            "max_new_tokens": None,
        }
    ]
    assert main(["eval", "runs/a/model"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1:] == ["accuracy/greedy   0.7500", "accuracy/sampled  0.5000", "problems          100"]
    assert evaluate_model.calls[1]["env_kwargs"] is None


def test_report_prints_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_report = install(monkeypatch, "rlenvs.agents.reporting", "write_report", tmp_path / "report.html")
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/report.html\n"
    assert write_report.calls == [{"args": (str(tmp_path),)}]


def test_the_real_functions_take_these_arguments() -> None:
    from rlenvs.agents.llm.command import run_cli
    from rlenvs.agents.llm.evaluation import evaluate_model
    from rlenvs.agents.reporting import write_report

    train = inspect.signature(run_cli).bind(
        config_path=None,
        overrides=[],
        resume_dir=None,
        dry_run=False,
        output=None,
        plain=False,
        without_rewards=[],
    )
    evaluate = inspect.signature(evaluate_model).bind(
        "model",
        env_id=None,
        env_kwargs=None,
        limit=1,
        device="cpu",
        batch_size=1,
        temperature=1.0,
        seed=0,
        max_new_tokens=None,
    )
    report = inspect.signature(write_report).bind("run")
    # Every parameter is passed on: one that the command line forgot would keep its default for ever.
    for bound in (train, evaluate, report):
        assert set(bound.arguments) == set(bound.signature.parameters)
