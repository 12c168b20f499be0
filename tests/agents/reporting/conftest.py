"""A run folder as the trainer writes it, made up by a seeded generator."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator

COMPONENTS = {"correct": 1.0, "brevity": -0.2, "format": 0.3, "judge": 0.15, "progress": 0.5}
CONFIG = """\
name: arithmetic-ppo
seed: 0
device: cpu
env:
  id: rlenvs/Arithmetic-v0
  kwargs: {digits: 2}
policy:
  model: embedded
ppo:
  iterations: %d
"""


def metrics_row(rng: Generator, iteration: int, iterations: int, *, evaluate: bool) -> dict[str, float]:
    """One line of metrics.jsonl: accuracy that grows, a KL that drifts, weights on a schedule."""
    share = iteration / max(1, iterations)
    accuracy = 0.1 + 0.7 * (1 - math.exp(-4 * share))
    row: dict[str, float] = {
        "iteration": iteration,
        "step": 64 * iteration,
        "accuracy/train": accuracy + rng.normal(0, 0.02),
    }
    if evaluate:
        row["accuracy/greedy"] = accuracy + 0.03
        row["accuracy/sampled"] = accuracy - 0.01
    total = 0.0
    for name, weight in COMPONENTS.items():
        raw = float(accuracy if name == "correct" else rng.normal(0.3 + 0.3 * share, 0.04))
        scheduled = weight * (1 - 0.8 * share if name == "format" else 1.0)
        row[f"component/{name}/raw"] = raw
        row[f"component/{name}/contribution"] = raw * scheduled
        row[f"weight/{name}"] = scheduled
        total += raw * scheduled
    row["failures/judge"] = float(rng.integers(0, 3))
    row |= {
        "reward/total": total,
        "reward/env": accuracy,
        "reward/potential": 0.02 * math.sin(9 * share),
        "kl": 0.02 * share + abs(rng.normal(0, 1e-3)),
        "entropy": 1.8 * math.exp(-share),
        "approx_kl": abs(rng.normal(0, 2e-3)),
        "clip_fraction": abs(rng.normal(0.05, 0.02)),
        "policy_loss": rng.normal(-0.01, 0.01),
        "value_loss": math.exp(-2 * share) / 3,
        "explained_variance": 0.8 * share,
        "grad_norm": abs(rng.normal(0.7, 0.2)),
        "learning_rate": 1e-5 * (1 - share),
        "length/mean": 30 + rng.normal(0, 1),
        "length/max": 60 + rng.integers(0, 5),
        "length/cut": 0.02,
        "time/tokens_per_second": 1200 + rng.normal(0, 40),
        "time/rollout": 2.1,
        "time/update": 3.2,
        "time/elapsed": 5.4 * iteration,
    }
    return {key: float(value) for key, value in row.items()} | {"iteration": iteration, "step": 64 * iteration}


def rollout_row(rng: Generator, iteration: int, step: int, share: float, text_words: int = 25) -> dict[str, object]:
    """One line of rollouts.jsonl; now and then a wrong answer is paid too well and the judge fails."""
    correct = bool(rng.random() < 0.1 + 0.7 * share)
    a, b = (int(value) for value in rng.integers(10, 99, size=2))
    hacked = not correct and rng.random() < 0.05
    components = {
        name: {"raw": float(rng.normal(0.4, 0.1)), "weight": weight, "status": "ok"}
        for name, weight in COMPONENTS.items()
    }
    components["correct"]["raw"] = 1.0 if correct else 0.0
    if hacked:
        components["judge"]["raw"] = 9.0
    if rng.random() < 0.02:
        components["judge"] |= {"raw": 0.0, "status": str(rng.choice(["error", "timeout", "invalid"]))}
    for part in components.values():
        part["contribution"] = float(part["raw"]) * float(part["weight"])  # type: ignore[arg-type]
    reward = sum(float(part["contribution"]) for part in components.values())  # type: ignore[arg-type]
    words = " ".join(f"word{int(index)}" for index in rng.integers(0, 1000, size=text_words))
    return {
        "iteration": iteration, "step": step, "env": "rlenvs/Arithmetic-v0", "turn": 0, "problem_id": f"arith-{a}-{b}",
        "prompt": f"What is {a} + {b}?\nThink step by step, then give the answer after 'A:'.",
        "response": f"{words}\nA: {a + b if correct else a + b + 1}", "reward": reward, "env_reward": float(correct),
        "potential": 0.1, "correct": correct, "grade_status": "ok", "tokens": int(rng.integers(10, 64)),
        "finish": "stop" if rng.random() < 0.97 else "length", "components": components,
    }  # fmt: skip


def write_synthetic_run(
    folder: Path, *, iterations: int = 30, rollouts_per_iteration: int = 8, evaluate_every: int = 5, seed: int = 0
) -> Path:
    """Write a run folder and return it."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(CONFIG % iterations, encoding="utf-8")
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as metrics:
        for iteration in range(iterations + 1):
            evaluate = iteration % evaluate_every == 0 or iteration == iterations
            metrics.write(json.dumps(metrics_row(rng, iteration, iterations, evaluate=evaluate)) + "\n")
    with (folder / "rollouts.jsonl").open("w", encoding="utf-8") as rollouts:
        for iteration in range(1, iterations + 1):
            for index in range(rollouts_per_iteration):
                step = (iteration - 1) * rollouts_per_iteration + index
                rollouts.write(json.dumps(rollout_row(rng, iteration, step, iteration / iterations)) + "\n")
    return folder


@pytest.fixture
def write_run() -> Callable[..., Path]:
    return write_synthetic_run


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_synthetic_run(tmp_path / "arithmetic-ppo-1")
