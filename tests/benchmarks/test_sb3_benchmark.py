"""The benchmark of the adapter prints what it measured, and its parts add up."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module", autouse=True)
def _importable():
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


@pytest.mark.slow
@pytest.mark.ci
def test_a_quick_run_prints_every_table(capsys):
    import importlib.util

    spec = importlib.util.spec_from_file_location("sb3_benchmark", FOLDER / "sb3.py")
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    steps, profiles = benchmark.main(["--quick"])
    printed = capsys.readouterr().out
    assert "stable-baselines3 2." in printed
    assert [(row.num_envs, row.rewards) for row in steps] == [
        (8, "bare"), (64, "bare"), (8, "shaped"), (64, "shaped"), (8, "shaped and graded"), (64, "shaped and graded"),
    ]  # fmt: skip
    assert min(row.dummy for row in steps) > 0
    assert steps[1].ratio > 2  # a fraction of what an idle machine shows, and still never by chance
    for row in profiles:
        assert 0 < row.env + row.policy + row.update < row.total
        assert row.steps >= 3_000
        assert f"| {row.name} |" in printed
    assert len(profiles) == 8


def test_both_contestants_play_the_same_episodes():
    from sb3_parts.stepping import REWARDS, dummy, random_tokens

    from rlenvs.agents.sb3 import make_vec_env

    ours, theirs = make_vec_env("rlenvs/ArithmeticTokens-v0", 4, rewards=REWARDS), dummy(4, REWARDS)
    for envs in (ours, theirs):
        envs.seed(0)
        envs.reset()
    for row in random_tokens(4, 60):
        for envs in (ours, theirs):
            envs.env_method("set_global_step", 0)
        mine, yours = ours.step(row), theirs.step(row)
        assert (mine[0] == yours[0]).all()
        assert mine[1] == pytest.approx(yours[1], abs=1e-6)
        assert (mine[2] == yours[2]).all()


def test_calls_within_calls_count_once():
    from sb3_parts.profiling import Stopwatch

    watch = Stopwatch()
    inner = watch.around(lambda: sum(range(10_000)))
    outer = watch.around(lambda: (inner(), inner()))
    outer()
    once = watch.seconds
    assert once > 0
    assert watch.depth == 0
    inner()
    assert watch.seconds > once
