"""The recipes learn, in the steps and seconds that the documentation says, and not without their rewards."""

import json
import time

import pytest

from rlenvs.agents.sb3 import SB3TrainConfig, train_sb3
from rlenvs.configs import __path__ as configs

GOAL = 0.85
SECONDS = 600
"""Processor time that a recipe may take to its goal."""


def trained(recipe, folder, *overrides):
    """Train a recipe without evaluations; return (environment steps, true return) of every iteration, and seconds."""
    quiet = ["evaluation.every=100000", "evaluation.problems=1", "output.checkpoint_every=100000", "output.trackers=[]"]
    config = SB3TrainConfig.load(f"{configs[0]}/train/{recipe}.yaml", [*quiet, f"output.dir={folder}", *overrides])
    started = time.process_time()
    train_sb3(config)
    seconds = time.process_time() - started
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [(row["step"], row["return/true"]) for row in rows if row.get("return/true") is not None], seconds


def last(curve, share=0.1):
    """The mean over the last tenth of the steps."""
    values = [value for step, value in curve if step >= curve[-1][0] * (1 - share)]
    return sum(values) / len(values)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("recipe", ["sb3_ppo", "sb3_sequence"])
def test_a_recipe_reaches_its_goal_with_every_seed(recipe, seed, tmp_path):
    curve, seconds = trained(recipe, tmp_path / "run", f"seed={seed}")
    assert last(curve) >= GOAL
    assert seconds <= SECONDS


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["sb3_ppo", "sb3_sequence"])
def test_with_rewards_dealt_to_random_environments_nothing_is_learned(recipe, tmp_path):
    curve, _ = trained(recipe, tmp_path / "run", "shuffle_rewards=true")
    assert last(curve) < 0.1


@pytest.mark.slow
@pytest.mark.ci
def test_a_small_sequence_is_learned_and_shuffled_rewards_are_not(tmp_path):
    small = ["env.kwargs.symbols=abcd", "env.kwargs.min_length=2", "env.kwargs.max_length=2"]
    small.append("algorithm.total_timesteps=40960")
    curve, _ = trained("sb3_sequence", tmp_path / "run", *small)
    control, _ = trained("sb3_sequence", tmp_path / "control", *small, "shuffle_rewards=true")
    assert curve[0][1] < 0.1
    assert last(curve) >= GOAL
    assert last(control) < 0.2
