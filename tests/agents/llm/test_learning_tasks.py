"""Shipped runs learn what they are about: fewer iterations than they have, and margins that their seeds keep to."""

import io
from pathlib import Path

import pytest

from rlenvs.agents.llm import TrainConfig, train
from rlenvs.agents.reporting import make_view

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "train"
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path / "cache"))


def learned(config, folder, *overrides):
    """Train, and return held-out metrics before and after."""
    changes = [f"output.dir={folder}", "output.trackers=[]", "evaluation.every=1000", *overrides]
    result = train(TrainConfig.load(CONFIGS / config, changes), view=make_view(plain=True, stream=io.StringIO()))
    return result.before, result.after


@pytest.mark.ci
def test_instructions_are_followed_more_often(tmp_path):
    before, after = learned("instructions.yaml", tmp_path / "run", "ppo.iterations=15", "evaluation.problems=200")
    assert before["held_out/follows/sampled"] <= 0.55
    assert after["held_out/follows/sampled"] >= before["held_out/follows/sampled"] + 0.2
    assert after["held_out/follows/greedy"] >= 0.9
