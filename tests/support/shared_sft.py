"""Supervised runs as one process or as one of two."""

import io
from pathlib import Path
from typing import Any

import torch
from tiny import TINY_RUN

from rlenvs.agents.llm.sft import SFTConfig, sft
from rlenvs.agents.reporting import make_view

SETTINGS: dict[str, Any] = {
    "name": "shared",
    "env": TINY_RUN["env"],
    "data": {"held_out_share": 0.2},
    "policy": {"embedded": {"hidden_size": 32, "layers": 1, "heads": 2}},
    "rollout": {"max_new_tokens": 4, "context_tokens": 16, "engine": {"name": "static"}},
    "sft": {"epochs": 1, "batch_size": 25, "learning_rate": 5e-3, "warmup_steps": 2, "target_accuracy": 0.99, "check_every": 3},
    "memory": {"micro_batch_size": 8},
    "evaluation": {"every": 50, "problems": 5},
    "output": {"checkpoint_every": 2, "trackers": []},
}  # fmt: skip


def imitate(folder: str) -> int:
    """Do a whole run; returns the steps taken."""
    torch.set_num_threads(1)
    config = SFTConfig.load(SETTINGS | {"output": SETTINGS["output"] | {"dir": folder}})
    view = make_view(plain=True, stream=io.StringIO())
    return sft(config, view=view).steps


def written(folder: str) -> list[str]:
    """What lies in the folder of a run."""
    return sorted(path.name for path in Path(folder).iterdir())
