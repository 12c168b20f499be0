"""The shipped run learns, and it learns from its reward: beside it runs a control that gets other episodes' rewards."""

import importlib.util
import sys
from pathlib import Path

import pytest

from rlenvs.problems import ArithmeticSource

ROOT = Path(__file__).resolve().parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.ci]


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("learning_benchmark", ROOT / "benchmarks" / "learning.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(ROOT / "benchmarks"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One warm-started policy for both runs."""
    return tmp_path_factory.mktemp("learning")


def test_ppo_alone_takes_the_warm_start_to_the_solution(benchmark, folders):
    found = benchmark.run(folders / "run", ["seed=0"], folders / "cache")
    assert found["problems"] == len(ArithmeticSource(digits=2).problems("held_out")), "all there are"
    assert found["greedy before"] <= 0.70
    assert found["greedy after"] >= 0.95
    assert found["sampled after"] >= 0.90


def test_with_shuffled_rewards_it_does_not_rise(benchmark, folders):
    found = benchmark.run(folders / "control", ["seed=0", "ppo.shuffle_rewards=true"], folders / "cache")
    assert found["greedy after"] <= found["greedy before"] + 0.02
    assert found["sampled after"] <= found["sampled before"] + 0.02
