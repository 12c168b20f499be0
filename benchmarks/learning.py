"""Does the default run learn, and does it learn from its reward: several seeds and a control with shuffled rewards.

    python benchmarks/learning.py [--seeds 0 1 2] [--control] [key=value ...]

Each run is `rlenvs train` in a process of its own, with a fresh cache, so that the time includes the warm start. The
control deals every iteration's rewards to random episodes: it must not rise above the warm start.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def run(folder: Path, overrides: Sequence[str], cache: Path) -> dict[str, float]:
    """Train once; return held-out accuracies before and after, and the seconds of the whole command."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "rlenvs", "train", "--plain", "--output", str(folder), *overrides],
        env=os.environ | {"RLENVS_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - started
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluated = [row for row in rows if "accuracy/greedy" in row]
    return {
        "greedy before": evaluated[0]["accuracy/greedy"],
        "greedy after": evaluated[-1]["accuracy/greedy"],
        "sampled before": evaluated[0]["accuracy/sampled"],
        "sampled after": evaluated[-1]["accuracy/sampled"],
        "problems": evaluated[-1]["accuracy/problems"],
        "seconds": seconds,
    }


def show(name: str, figures: dict[str, float]) -> None:
    """Print one row."""
    greedy = f"{figures['greedy before']:6.1%} -> {figures['greedy after']:6.1%}"
    sampled = f"{figures['sampled before']:6.1%} -> {figures['sampled after']:6.1%}"
    print(f"{name:24} {greedy:>20} {sampled:>20} {figures['seconds']:8.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds to train with")
    parser.add_argument("--control", action="store_true", help="also train the first seed on shuffled rewards")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings for every run")
    args = parser.parse_args(arguments)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; held-out accuracy, warm start -> end of PPO")
    print(f"{'run':24} {'greedy':>20} {'sampled':>20} {'time':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        results = []
        for seed in args.seeds:
            folder = Path(scratch) / f"seed{seed}"
            results.append(run(folder, [f"seed={seed}", *args.overrides], Path(scratch) / f"cache{seed}"))
            show(f"seed {seed}", results[-1])
        show("median", {key: statistics.median(r[key] for r in results) for key in results[0]})
        if args.control:
            seed = args.seeds[0]
            overrides = [f"seed={seed}", "ppo.shuffle_rewards=true", *args.overrides]
            show("shuffled rewards", run(Path(scratch) / "control", overrides, Path(scratch) / f"cache{seed}"))


if __name__ == "__main__":
    main()
