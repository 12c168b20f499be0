"""The study that is to find what is planted, in small, and what it takes for a study to have found it."""

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from rlenvs.agents.tuning.comparison import paired_comparison
from rlenvs.agents.tuning.config import TuneConfig

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "configs" / "tune" / "planted.yaml"


@pytest.fixture(scope="module")
def planted():
    spec = importlib.util.spec_from_file_location("planted", ROOT / "benchmarks" / "planted.py")
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["planted"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.ci
def test_a_small_study_says_what_it_found(planted, capsys, tmp_path):
    small = ["base.algorithm.total_timesteps=512", "base.evaluation.problems=5", "n_trials=2", "objective.seeds=1"]
    out = tmp_path / "found.jsonl"
    planted.main(["--studies", "1", "--fresh", "2", "--json", str(out), *small])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[3:]] == ["| tpe", "| random"]
    assert all(line.count("|") == lines[1].count("|") for line in lines[1:])
    first = json.loads(out.read_text().splitlines()[0])
    assert set(first["params"]) == {"progress", "topic", "haste"}
    assert first["share"] == first["params"]["haste"]  # its range is [0, 1]
    assert first["comparison"]["seeds"] == [planted.FRESH, planted.FRESH + 1]
    assert first["cpu_seconds"] > 0.0
    gains = [best - base for base, best in zip(first["comparison"]["base"], first["comparison"]["best"], strict=True)]
    assert first["comparison"]["mean"] == pytest.approx(sum(gains) / 2)


def test_all_that_was_asked_must_hold(planted):
    params = {"progress": 1.0, "topic": 0.5, "haste": 0.05}
    better = paired_comparison("m", (1, 2, 3), (0.1, 0.2, 0.3), (0.8, 0.8, 0.9))
    found = planted.Found("tpe", 0, params, 0.05, 0.9, better, 600.0, 3, 12)
    assert found.holds
    assert not replace(found, share=0.11).holds
    assert not replace(found, cpu_seconds=901.0).holds
    assert not replace(found, comparison=paired_comparison("m", (1, 2), (0.0, 0.5), (0.1, 0.4))).holds
    assert planted.line(found).endswith("| 10.0 | 3 | 12 | yes |")


def test_the_base_has_all_three_guides_in_the_middle_of_nothing_extreme():
    config = TuneConfig.load(SHIPPED)
    weights = {name: part["initial_weight"] for name, part in config.base["rewards"]["reward_shaping"].items()}
    space = config.search_space["rewards.reward_shaping"]
    for name in ("progress", "topic", "haste"):
        leaf = space[f"{name}.initial_weight"]
        assert leaf["low"] + 0.1 * (leaf["high"] - leaf["low"]) < weights[name] < leaf["high"], name
    assert config.n_trials == 30
    assert math.isclose(space["haste.initial_weight"]["high"], 1.0)
