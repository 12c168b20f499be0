"""Whole runs of a few seconds, from a random model: no warm start, nothing learned, everything else for real."""

import io
import json
from pathlib import Path
from typing import Any

from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm import TrainConfig
from rlenvs.agents.reporting import make_view
from rlenvs.agents.reporting.view import TrainingView


def bare_config(folder: Path, *overrides: str, **changes: Any) -> TrainConfig:
    """A run of six small iterations in `folder / "run"`, from a model in `folder / "random"`.

    Args:
        folder: scratch folder of the test.
        overrides: `key=value`.
        changes: sections to replace or add.
    """
    model = folder / "random"
    if not model.is_dir():
        tiny_policy().save(model)
    data = TINY_RUN | {
        "policy": {"model": str(model)},
        "rollout": {"episodes": 6, "max_new_tokens": 3, "context_tokens": 16, "engine": {"name": "generate"}},
        "evaluation": {"every": 2, "problems": 4},
        "output": {"checkpoint_every": 2, "trackers": [], "dir": str(folder / "run")},
    }
    return TrainConfig.load(data | changes, overrides)


def quiet(stream: io.StringIO | None = None) -> TrainingView:
    """A view that writes where nobody looks, or into `stream`."""
    return make_view(plain=True, stream=stream or io.StringIO())


def rows(run_dir: Path, name: str = "metrics.jsonl") -> list[dict[str, Any]]:
    """The lines of a log of a run."""
    return [json.loads(line) for line in (run_dir / name).read_text().splitlines()]


def numbers(run_dir: Path) -> list[dict[str, float]]:
    """Metrics without wall-clock times, which no two runs share."""
    return [{k: v for k, v in row.items() if not k.startswith("time/")} for row in rows(run_dir)]
