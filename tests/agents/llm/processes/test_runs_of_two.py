"""Whole runs of two processes: reproducible, resumed exactly, stopped and failed as one."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shared_runs import go_on, run
from tiny import TINY_RUN
from torchrun import ENTRY, finish, start_two

from rlenvs.agents.llm import resume
from rlenvs.errors import RunFolderError

ITERATIONS = 3


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def config() -> dict:
    """A run of three iterations with uneven shares, groups of two, and everything adaptive."""
    return TINY_RUN | {
        "device": "cpu",
        "rollout": TINY_RUN["rollout"] | {"episodes": 14, "samples_per_prompt": 2, "drop_uniform_groups": True},
        "ppo": TINY_RUN["ppo"] | {"iterations": ITERATIONS, "kl_target": 0.01, "kl_horizon": 50},
        "output": {"checkpoint_every": 1, "keep_checkpoints": 10, "trackers": []},
    }


def numbers(run_dir: Path) -> list[dict]:
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("time/")} for row in rows]


def same_files(one: Path, other: Path) -> bool:
    names = ("rollouts.jsonl", "model/model.safetensors", "model/value_head.safetensors")
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_a_run_of_two_is_stopped_by_one_and_resumed_to_the_same_numbers(pair, config, tmp_path, warm_cache, strategy):
    engine = "generate" if strategy == "fsdp2" else "auto"
    config |= {"distributed": {"strategy": strategy}, "rollout": config["rollout"] | {"engine": {"name": engine}}}
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    into = lambda folder: config | {"output": config["output"] | {"dir": str(folder)}}  # noqa: E731
    first, second = pair.run(run, into(whole), warm_cache)
    assert first["screen"].count("finished: run folder") == 1
    assert (first["iterations"], second["iterations"]) == (ITERATIONS, ITERATIONS)
    rows = numbers(whole)
    assert [row["iteration"] for row in rows] == list(range(ITERATIONS + 1))
    records = [json.loads(line) for line in (whole / "rollouts.jsonl").read_text().splitlines()]
    opening = [record for record in records if record["iteration"] == 1 and "refill" not in record]
    assert [record["env"] for record in opening] == list(range(14))
    assert len({record["problem_id"] for record in opening}) > 4  # the processes do not play the same problems
    assert rows[-1]["env_steps"] == len(records)
    assert rows[-1]["rollout/episodes"] == sum(record["iteration"] == ITERATIONS for record in records)

    stopped = pair.run(run, into(cut), warm_cache, 1)  # process 1 alone is asked to stop
    assert [(result["iterations"], result["interrupted"]) for result in stopped] == [(1, True), (1, True)]
    assert pair.run(go_on, cut) == [ITERATIONS, ITERATIONS]
    assert numbers(cut) == rows
    assert same_files(cut, whole)

    with pytest.raises(RunFolderError, match=r"the checkpoint is one of 2 processes, and this run has 1: .* torchrun"):
        resume(whole)


KINDS = {
    "all weights, critic on features": {},
    "an adapter, critic with an adapter of its own": {
        "policy": TINY_RUN["policy"] | {"adapter": {"rank": 4, "alpha": 8}},
        "ppo": {"critic": "adapter", "learning_rate": 3e-3},
    },
    "critic on a copy, activations computed twice, bfloat16 products": {
        "ppo": {"critic": "copy"},
        "memory": {"micro_batch_size": 8, "gradient_checkpointing": True, "autocast": "bfloat16"},
    },
}


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize("kind", KINDS)
def test_both_strategies_sample_and_learn_the_same(pair, config, tmp_path, warm_cache, kind):
    changes = KINDS[kind]
    config |= changes | {"ppo": config["ppo"] | changes.get("ppo", {})}
    runs = {}
    for strategy in ("ddp", "fsdp2"):
        runs[strategy] = tmp_path / strategy
        output = config["output"] | {"dir": str(runs[strategy])}
        pair.run(run, config | {"output": output, "distributed": {"strategy": strategy}}, warm_cache)
    for mine, other in zip(*(numbers(folder) for folder in runs.values()), strict=True):
        assert mine == pytest.approx(other, abs=1e-3 if "bfloat16" in kind else 1e-4, rel=1e-3, nan_ok=True)


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_may_go_on_with_the_other_strategy(pair, config, tmp_path, warm_cache):
    """Checkpoints hold whole tensors, whoever wrote them."""
    runs = {name: tmp_path / name for name in ("whole", "changed")}
    into = {name: config | {"output": config["output"] | {"dir": str(folder)}} for name, folder in runs.items()}
    pair.run(run, into["whole"], warm_cache)
    pair.run(run, into["changed"], warm_cache, 1)
    assert pair.run(go_on, runs["changed"], {"distributed.strategy": "fsdp2"}) == [ITERATIONS, ITERATIONS]
    for mine, other in zip(numbers(runs["changed"]), numbers(runs["whole"]), strict=True):
        assert mine == pytest.approx(other, abs=1e-4, rel=1e-3, nan_ok=True)


FAILING = """
import sys, torch
torch.set_num_threads(1)
from rlenvs.agents.llm.rollout.collect import RolloutCollector
from rlenvs.agents.llm.learner.update import Update
from rlenvs.cli import main
import os
where, played = os.environ["FAIL_IN"], []
def failing(method):
    def call(self, *arguments, **options):
        played.append(1)
        if len(played) == 2 and os.environ["RANK"] == "1":
            raise {"rollout": EngineError, "update": AssertionError}[where]("no such luck")
        return method(self, *arguments, **options)
    return call
from rlenvs.errors import EngineError
if where == "rollout":
    RolloutCollector.collect = failing(RolloutCollector.collect)
elif where == "update":
    Update._accumulate = failing(Update._accumulate)
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture
def run_file(config, tmp_path, warm_cache, monkeypatch) -> Path:
    monkeypatch.setenv("RLENVS_CACHE", str(warm_cache))
    path = tmp_path / "run.yaml"
    path.write_text(json.dumps(config | {"distributed": {"timeout": 60}}))
    return path


def train(run_file: Path, *arguments: str, entry: str = ENTRY) -> list[tuple[int, str]]:
    return finish(start_two(["train", *arguments, "--plain"], run_file.parent, entry))


@pytest.mark.slow
@pytest.mark.parametrize("where", ["rollout", "update"])
def test_a_failure_of_one_process_ends_both_with_one_message(run_file, tmp_path, monkeypatch, where):
    monkeypatch.setenv("FAIL_IN", where)
    results = train(run_file, str(run_file), f"output.dir={tmp_path / 'run'}", entry=FAILING)
    assert [code for code, _ in results] == [1, 1], results
    output = "".join(text for _, text in results)
    assert len(re.findall(r"no such luck", output)) == 1, output
    if where == "rollout":
        assert "rlenvs: process 1 failed: EngineError: no such luck" in results[0][1]
        assert "Traceback" not in output
    assert (tmp_path / "run" / "report.html").is_file()
    assert f"rlenvs train --resume {tmp_path / 'run'}" in results[0][1]


@pytest.mark.slow
def test_a_mistake_in_the_configuration_is_told_once(run_file):
    results = train(run_file, str(run_file), "env.kwargs.digitz=2")
    assert [code for code, _ in results] == [2, 2], results
    assert "".join(text for _, text in results).count("digitz") == 1


@pytest.mark.slow
def test_a_killed_process_leaves_no_other_waiting(run_file, tmp_path):
    run_dir = tmp_path / "run"
    processes = start_two(
        ["train", str(run_file), f"output.dir={run_dir}", "ppo.iterations=100000", "--plain"], tmp_path
    )
    wait_for(run_dir, 3)
    processes[1].send_signal(signal.SIGKILL)
    started = time.monotonic()
    (code, output), _ = finish(processes)
    assert time.monotonic() - started < 50  # before the timeout
    assert code == 1
    assert output.count("another process of the run is gone") == 1, output
    assert f"rlenvs train --resume {run_dir}" in output


@pytest.mark.slow
@pytest.mark.ci
def test_torchrun_trains_requeues_and_goes_on(run_file, tmp_path):
    """The whole way of a preempted job: SIGUSR1 at one process, exit, the same command again."""
    run_dir = tmp_path / "run"
    entry = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=0", "--rdzv-backend=c10d"]
    entry = [*entry, "--rdzv-endpoint=127.0.0.1:0", "-m", "rlenvs", "train", str(run_file), f"output.dir={run_dir}"]
    command = [sys.executable, *entry, "ppo.iterations=40", "--resume", "auto", "--plain"]
    options = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
        "env": os.environ | {"OMP_NUM_THREADS": "1"},
    }
    torchrun = subprocess.Popen(command, **options)
    wait_for(run_dir, 3)
    workers = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    os.kill(int(workers[-1]), signal.SIGUSR1)
    output, _ = torchrun.communicate(timeout=180)
    assert "exitcode  : 75" in output, output
    done = numbers(run_dir)[-1]["iteration"]
    assert 0 < done < 40
    finished = subprocess.run(command, **options, timeout=180, check=False)
    assert finished.returncode == 0, finished.stdout
    assert f"resumed after iteration {done}" in finished.stdout
    assert [row["iteration"] for row in numbers(run_dir)] == list(range(41))
    shutil.rmtree(run_dir)


def wait_for(run_dir: Path, lines: int) -> None:
    """Wait until a run has logged so many iterations."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        log = run_dir / "metrics.jsonl"
        if log.is_file() and log.read_text().count("\n") >= lines:
            return
        time.sleep(0.05)
    raise AssertionError("the run did not get going")
