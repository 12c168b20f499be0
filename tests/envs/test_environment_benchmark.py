import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "environments.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("environment_benchmark", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.ci
def test_a_quick_run_prints_every_table(benchmark, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["environments.py", "--quick"])
    benchmark.main()
    printed = capsys.readouterr().out
    for title in (
        "turn level, 256 episodes per call",
        "turn level, 1024 episodes per call",
        "token level, 1,024 environments, right answers",
        "token level, 1,024 environments, random tokens",
        "token level by the number of environments, right answers",
        "turn level by the number of environments",
        "turn level, 64 turns of 64 conversations, infos read",
        "token level, one message of 1,024 tokens",
        "grading",
    ):
        assert f"\n{title}" in printed
    rates = [float(rate.replace(",", "")) for rate in re.findall(r"([\d,]+) (?:episodes|env-steps)/s", printed)]
    assert len(rates) == 25
    assert min(rates) > 0


def test_right_tokens_are_right_and_random_ones_end_episodes_too(benchmark):
    rows = benchmark.right_tokens(8, 60)
    envs = benchmark.made(benchmark.TOKEN_ID, 8, own=True)
    envs.reset(seed=benchmark.SEED)
    played = [envs.step(row) for row in rows]
    rewards = np.array([step[1] for step in played])
    ended = np.array([step[2] for step in played])
    assert (rewards == ended).all()
    assert ended.sum() > 60
    tokens = np.array(benchmark.random_tokens(8, 200))
    assert tokens.min() == 1
    assert tokens.max() == len(benchmark.token_env(envs).tokenizer) - 1
