"""The shipped run of two attempts learns what to do with the second one, and learns it from its reward."""

from importlib import resources

import pytest

from rlenvs.agents.llm import TrainConfig, train

pytestmark = pytest.mark.slow
CONFIG = resources.files("rlenvs.configs") / "train" / "retry.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One warm-started policy for both runs."""
    return tmp_path_factory.mktemp("turns")


def second(accuracy: dict[str, float]) -> float:
    """Share of the second attempts, each after a wrong first one, that are right."""
    first, last = accuracy["accuracy/first"], accuracy["accuracy/greedy"]
    return (last - first) / (1 - first)


def trained(folder, name, monkeypatch, *overrides):
    monkeypatch.setenv("RLENVS_CACHE", str(folder / "cache"))
    return train(TrainConfig.load(CONFIG, [f"output.dir={folder / name}", "output.trackers=[]", *overrides]))


def test_the_second_attempt_learns_to_look_at_the_first(folder, monkeypatch):
    result = trained(folder, "run", monkeypatch)
    assert second(result.before) < 0.3
    assert second(result.after) > 0.95
    assert result.after["accuracy/first"] < 0.7, "a first attempt can hardly be more than a guess"


def test_with_shuffled_rewards_it_does_not(folder, monkeypatch):
    result = trained(folder, "control", monkeypatch, "ppo.shuffle_rewards=true")
    assert second(result.after) < 0.6
