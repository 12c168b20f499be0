"""Fixtures of the trainer's tests."""

from pathlib import Path

import pytest
import torch
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.policy.model import Policy

torch.set_num_threads(1)  # tests run side by side; threads that spin slow each other down


@pytest.fixture
def policy() -> Policy:
    return tiny_policy()


@pytest.fixture
def tiny_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainConfig:
    """A whole run of a second or two."""
    monkeypatch.setenv("RLENVS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return TrainConfig.load(TINY_RUN, [f"output.dir={tmp_path / 'run'}"])
