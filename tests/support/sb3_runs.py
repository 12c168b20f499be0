"""Whole runs of Stable-Baselines3 of a second: every algorithm, nothing learned, everything else for real."""

import io
import json
from pathlib import Path
from typing import Any

from rlenvs.agents.reporting import make_view
from rlenvs.agents.reporting.view import TrainingView
from rlenvs.agents.sb3 import SB3TrainConfig

GAMMA = 0.9

REWARDS = {
    "reward_components": {
        "right": {"class": "CorrectnessReward"},
        "short": {
            "class": "LengthPenalty",
            "params": {"max_length": 1, "unit": "chars"},
            "normalization": {"strategy": "z_score", "warmup": 10},
        },
        "guide": {
            "class": "LLMPotentialBasedReward",
            "params": {"potential_function": "progress", "gamma": GAMMA},
        },
    },
    "reward_shaping": {
        "right": {"initial_weight": 1.0},
        "guide": {"initial_weight": 1.0, "decay_schedule": "linear", "decay_steps": 200, "min_weight": 0.5},
    },
}

SMALL: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2, "learning_rate": "lin_0.01"},
    "a2c": {"n_steps": 4},
    # The buffer wraps around, and returns reach over two steps.
    "dqn": {
        "learning_starts": 16, "train_freq": 2, "batch_size": 8, "buffer_size": 80, "target_update_interval": 24,
        "n_steps": 2, "exploration_fraction": 0.5, "learning_rate": 0.01,
    },
    "maskable_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
    "recurrent_ppo": {"n_steps": 8, "batch_size": 16, "n_epochs": 2},
}  # fmt: skip
"""Parameters of each algorithm with which a run of 192 steps has six iterations."""


def sb3_data(folder: Path, name: str = "ppo", **changes: Any) -> dict[str, Any]:
    """The configuration of a small run in `folder / "run"`, as plain data; `changes` replace sections."""
    policy: dict[str, Any] = {"embedding_dim": 4, "features_dim": 8, "net_arch": [8]}
    data = {
        "name": "small",
        "env": {"id": "rlenvs/ArithmeticTokens-v0", "kwargs": {"digits": 1}, "num_envs": 4},
        "rewards": REWARDS,
        "algorithm": {"name": name, "total_timesteps": 192, "gamma": GAMMA, **SMALL[name]},
        "policy": policy | ({"lstm_hidden_size": 8} if name == "recurrent_ppo" else {}),
        "evaluation": {"every": 2, "problems": 8},
        "output": {"dir": str(folder / "run"), "log_every": 32, "checkpoint_every": 2, "trackers": []},
    }
    return data | changes


def sb3_config(folder: Path, name: str = "ppo", *overrides: str, **changes: Any) -> SB3TrainConfig:
    """The same as a configuration, with `key=value` overrides."""
    return SB3TrainConfig.load(sb3_data(folder, name, **changes), overrides)


def quiet() -> TrainingView:
    """A view that writes where nobody looks."""
    return make_view(plain=True, stream=io.StringIO())


def rows(run_dir: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The lines of a log of a run."""
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def numbers(run_dir: Path) -> list[dict[str, float]]:
    """Metrics without wall-clock times, which no two runs share."""
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows(run_dir)]
