"""Whole runs that train adapters: they resume to the same numbers, and what they leave can be evaluated."""

import io
import json

import pytest
from tiny import TINY_RUN

from rlenvs.agents.llm import TrainConfig, evaluate_model, resume, train
from rlenvs.agents.reporting import make_view

ADAPTED = ["policy.adapter={rank: 4, alpha: 8}", "ppo.critic=adapter", "ppo.iterations=4", "evaluation.every=4"]
FULL = ["ppo.critic=copy", "ppo.iterations=4", "evaluation.every=4", "memory.gradient_checkpointing=true"]


def quiet():
    return make_view(plain=True, stream=io.StringIO())


def numbers(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("overrides", [ADAPTED, FULL], ids=["adapters", "full"])
def test_runs_with_critics_of_their_own_resume_to_the_same_numbers(tmp_path, monkeypatch, overrides):
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path / "cache"))
    whole, cut = (
        TrainConfig.load(TINY_RUN, [f"output.dir={tmp_path / name}", *overrides]) for name in ("whole", "cut")
    )
    result = train(whole, view=quiet())
    asked = iter([False, False, True])
    stopped = train(cut, view=quiet(), stop=lambda: next(asked))
    assert stopped.interrupted
    finished = resume(stopped.run_dir, view=quiet())
    assert numbers(finished.run_dir) == numbers(result.run_dir)
    assert numbers(result.run_dir)[-1]["kl"] != 0
    again = evaluate_model(result.run_dir / "model")
    assert again["accuracy/greedy"] == result.after["accuracy/greedy"]
    adapter = result.run_dir / "model" / "adapter_config.json"
    assert adapter.is_file() == (overrides is ADAPTED)
    if adapter.is_file():
        assert json.loads(adapter.read_text())["base_model_name_or_path"] == str(result.run_dir / "start")
