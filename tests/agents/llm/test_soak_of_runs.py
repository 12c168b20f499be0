"""Runs that are killed again and again, at moments that nobody chooses, and started again by one command."""

import random
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bare_runs import bare_config, numbers

from rlenvs.config_file import dump_config

PAGE = 4096
GROWTH = 1.05  # of the memory of a run, from its first third to its last


def train_command(config: Path, output: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "rlenvs",
        "train",
        str(config),
        "--output",
        str(output),
        "--resume",
        "auto",
        "--plain",
    ]


def run_watched(command: list[str], run: Path) -> dict[int, int]:
    """Run to the end; return the resident memory, bytes, by number of lines in the log."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    memory: dict[int, int] = {}
    log = run / "metrics.jsonl"
    while process.poll() is None:
        time.sleep(0.05)
        try:
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * PAGE
        except (OSError, IndexError):  # it has just ended
            continue
        if log.is_file():
            memory[log.read_text().count("\n")] = resident
    assert process.returncode == 0, process.stderr.read()
    process.stderr.close()
    return memory


def run_killed(command: list[str], generator: random.Random, longest: float, attempts: int) -> int:
    """Kill the run after a random time, start it again, until it ends by itself; return how often it was killed."""
    kills = 0
    while kills < attempts:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            # The last attempts are let go: a loaded machine may be too slow to get anywhere in between.
            output, _ = process.communicate(timeout=generator.uniform(0.5, longest) if kills < attempts - 1 else 600)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
        else:
            assert process.returncode == 0, output
            return kills
    raise AssertionError("the run did not come to an end")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("iterations", "longest", "attempts"),
    [pytest.param(60, 12.0, 12, marks=pytest.mark.ci, id="short"), pytest.param(300, 20.0, 60, id="long")],
)
def test_a_run_that_is_killed_at_random_ends_as_if_it_never_had_been(tmp_path, iterations, longest, attempts):
    config = bare_config(
        tmp_path,
        f"ppo.iterations={iterations}",
        "output.checkpoint_every=5",
        "evaluation.every=10",
        callbacks=[
            {"class": "BestModel"},
            {"class": "SampleLogger", "every": 3},
            {"class": "HackMonitor", "window": 5},
        ],
    )
    path = tmp_path / "run.yaml"
    path.write_text(dump_config(config))
    memory = run_watched(train_command(path, tmp_path / "whole"), tmp_path / "whole")
    kills = run_killed(train_command(path, tmp_path / "cut"), random.Random(iterations), longest, attempts)
    assert kills >= 2
    assert len(numbers(tmp_path / "cut")) == iterations + 1
    assert numbers(tmp_path / "cut") == numbers(tmp_path / "whole")
    for name in (
        "rollouts.jsonl",
        "samples.txt",
        "best/best.json",
        "best/model.safetensors",
        "model/model.safetensors",
    ):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert not list((tmp_path / "cut").rglob(".*"))
    if iterations >= 300:
        first = [resident for line, resident in memory.items() if iterations // 6 < line <= iterations // 3]
        last = [resident for line, resident in memory.items() if line > iterations - iterations // 6]
        assert statistics.median(last) < GROWTH * statistics.median(first)
