"""Does a shipped run learn, and does it learn from its reward: several seeds and a control with shuffled rewards.

    python benchmarks/learning.py [--config retry.yaml] [--seeds 0 1 2] [--control] [--write docs] [key=value ...]

Each run is `rlenvs train` in a process of its own, with a fresh cache, so that the time includes the warm start. The
control deals every iteration's rewards to random episodes: it must not rise above the warm start. With `--write` the
curves go to a page; with `--keep` the run folders stay, and those that are done already are not trained again.
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
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from learning_parts.curves import reached_at
from learning_parts.page import write_page
from learning_parts.tasks import Task, task_of

SECONDS = "seconds.txt"


def run(folder: Path, overrides: Sequence[str], cache: Path, config: str | None = None) -> dict[str, float]:
    """Train once; return held-out accuracies before and after, and the seconds of the whole command."""
    seconds = train(folder, overrides, cache, config)
    evaluated = [row for row in metrics_of(folder) if "accuracy/problems" in row]
    found = {"problems": evaluated[-1]["accuracy/problems"], "seconds": seconds}
    for name in ("greedy", "sampled"):
        if f"accuracy/{name}" in evaluated[0]:
            found[f"{name} before"], found[f"{name} after"] = (evaluated[at][f"accuracy/{name}"] for at in (0, -1))
    return found


def train(folder: Path, overrides: Sequence[str], cache: Path, config: str | None = None) -> float:
    """Train once, unless the folder holds the run already; return the seconds of the whole command."""
    if (folder / SECONDS).is_file():
        return float((folder / SECONDS).read_text(encoding="utf-8"))
    started = time.perf_counter()
    named = [] if config is None else [config]
    subprocess.run(
        [sys.executable, "-m", "rlenvs", "train", *named, "--plain", "--output", str(folder), *overrides],
        env=os.environ | {"RLENVS_CACHE": str(cache)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    seconds = time.perf_counter() - started
    (folder / SECONDS).write_text(f"{seconds:.1f}\n", encoding="utf-8")
    return seconds


def metrics_of(folder: Path) -> list[dict[str, float]]:
    """Return the metrics of every iteration of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def curves_of(folder: Path, metrics: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """Return (iteration, value) of metrics that evaluations measure."""
    rows = metrics_of(folder)
    return {metric: [(int(row["iteration"]), row[metric]) for row in rows if metric in row] for metric in metrics}


def record(folder: Path, task: Task, variant: str, seed: int, seconds: float) -> dict[str, Any]:
    """Return what is kept of a run."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    episodes = config["rollout"]["episodes"]
    curves = curves_of(folder, task.lines)
    return {"variant": variant, "seed": seed, "episodes": episodes, "seconds": round(seconds), "curves": curves}


def show(name: str, task: Task, found: dict[str, Any]) -> None:
    """Print one row."""
    changes = [f"{said} {found[metric][0]:6.1%} -> {found[metric][1]:6.1%}" for metric, said in task.lines.items()]
    goal = f"   {task.goal:.0%} after {found['reached']} episodes" if task.goal else ""
    print(f"{name:28} {'   '.join(changes)} {found['seconds']:8.0f} s{goal}", flush=True)


def figures(found: dict[str, Any], task: Task) -> dict[str, Any]:
    """Return first and last values of a run's curves, its seconds, and the episodes that its goal took."""
    ends: dict[str, Any] = {metric: (curve[0][1], curve[-1][1]) for metric, curve in found["curves"].items()}
    if task.goal:
        place = reached_at(found["curves"][next(iter(task.lines))], task.goal)
        ends["reached"] = "never" if place is None else round(place * found["episodes"])
    return ends | {"seconds": found["seconds"]}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", help="configuration, as `rlenvs train` takes it; without one its default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds to train with")
    parser.add_argument("--control", action="store_true", help="also train the first seed on shuffled rewards")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write curves and tables to this folder")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the runs are kept, to go on another time")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings for every run")
    args = parser.parse_args(arguments)
    name, task = task_of(args.config)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; {name}: held-out, warm start -> end of PPO")
    with tempfile.TemporaryDirectory() as scratch:
        place = args.keep or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        runs = []

        def one(variant: str, seed: int, *more: str, said: str = "") -> dict[str, Any]:
            overrides = [f"seed={seed}", *task.variants.get(variant, ()), *more, *args.overrides]
            folder = place / "-".join([name, *(variant or said).split(), str(seed)])
            seconds = train(folder, overrides, place / f"cache{seed}", args.config)
            found = record(folder, task, variant, seed, seconds)
            show(" ".join(filter(None, (said or variant, f"seed {seed}"))), task, figures(found, task))
            return found

        for variant in task.variants:
            runs += (mine := [one(variant, seed) for seed in args.seeds])
            for metric, said in task.lines.items():
                middle = [statistics.median(run["curves"][metric][at][1] for run in mine) for at in (0, -1)]
                print(f"{'median ' + variant:28} {said} {middle[0]:6.1%} -> {middle[1]:6.1%}", flush=True)
        if args.control:
            one(next(iter(task.variants)), args.seeds[0], "ppo.shuffle_rewards=true", said="shuffled rewards")
        if args.write:
            print(f"wrote {write_page(args.write, name, task, runs)}")


if __name__ == "__main__":
    main()
