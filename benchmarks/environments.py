"""Speed of the environments beside Gymnasium's SyncVectorEnv of the same environment, in one run.

    python benchmarks/environments.py [--quick]

Turn level: episodes per second of N one-answer episodes per call. Token level: steps per second. The contestants take
turns, so that a machine that slows down slows all of them; figures are medians over the rounds, ratios are medians of
the ratios within a round.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import gymnasium as gym

import rlenvs
from rlenvs.graders import grade_batch

TURN_ID, TOKEN_ID = "rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"
Contestant = Callable[[], float]
"""Runs one measurement and returns units per second."""


def turn_level(num_envs: int, steps: int, own: bool) -> Contestant:
    """Episodes per second of a vector environment, every step finishing `num_envs` episodes."""
    if own:
        envs = gym.make_vec(TURN_ID, num_envs=num_envs)
    else:
        kwargs = {"autoreset_mode": "SameStep"}
        envs = gym.make_vec(TURN_ID, num_envs=num_envs, vectorization_mode="sync", vector_kwargs=kwargs)
    envs.reset(seed=0)
    actions = ("123",) * num_envs

    def measure() -> float:
        started = time.perf_counter()
        for _ in range(steps):
            envs.step(actions)
        return num_envs * steps / (time.perf_counter() - started)

    return measure


def token_level(steps: int, num_envs: int | None) -> Contestant:
    """Token steps per second, of one environment or of SyncVectorEnv over several."""
    if num_envs is None:
        env = gym.make(TOKEN_ID)
        env.reset(seed=0)

        def single() -> float:
            started = time.perf_counter()
            for _ in range(steps):
                _, _, terminated, truncated, _ = env.step(5)
                if terminated or truncated:
                    env.reset()
            return steps / (time.perf_counter() - started)

        return single
    kwargs = {"autoreset_mode": "SameStep"}
    envs = gym.make_vec(TOKEN_ID, num_envs=num_envs, vectorization_mode="sync", vector_kwargs=kwargs)
    envs.reset(seed=0)
    actions = envs.action_space.sample() * 0 + 5

    def vector() -> float:
        calls = max(1, steps // num_envs)
        started = time.perf_counter()
        for _ in range(calls):
            envs.step(actions)
        return num_envs * calls / (time.perf_counter() - started)

    return vector


def grading(count: int) -> Contestant:
    """Grades per second of one batch of boxed answers."""
    task = {"type": "math", "question": "6*7?", "gold": "42", "extract": "last_boxed"}
    tasks, responses = [task] * count, [f"We multiply. It is \\boxed{{{i % 50}}}." for i in range(count)]

    def measure() -> float:
        started = time.perf_counter()
        grade_batch(tasks, responses)
        return count / (time.perf_counter() - started)

    return measure


def rounds(contestants: dict[str, Contestant], repeats: int) -> dict[str, list[float]]:
    """Measure every contestant once per round, after one round of warming up."""
    results: dict[str, list[float]] = {name: [] for name in contestants}
    for repeat in range(repeats + 1):
        for name, measure in contestants.items():
            rate = measure()
            if repeat:
                results[name].append(rate)
    return results


def compare(title: str, unit: str, contestants: dict[str, Contestant], repeats: int) -> None:
    """Print the medians of a group, and the ratio of each contestant to the first."""
    results = rounds(contestants, repeats)
    print(f"\n{title}")
    baseline = next(iter(results.values()))
    for name, rates in results.items():
        ratio = statistics.median(rate / base for rate, base in zip(rates, baseline, strict=True))
        print(f"  {name:<34}{statistics.median(rates):>12,.0f} {unit:<12}{ratio:>7.2f}x")


def import_seconds(repeats: int) -> float:
    """Median time of `import rlenvs` in a fresh process."""
    code = "import time; t = time.perf_counter(); import rlenvs; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(repeats)]
    return statistics.median(float(run.stdout) for run in runs)


def main() -> None:
    """Run every comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a check, not a measurement")
    repeats, scale = (2, 0.05) if parser.parse_args().quick else (9, 1.0)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"rlenvs {rlenvs.__version__}, gymnasium {gym.__version__}; {machine}; median of {repeats} rounds")
    for num_envs in (1, 64, 512):
        steps = max(1, int(6400 * scale / num_envs))
        contestants = {
            "gymnasium SyncVectorEnv": turn_level(num_envs, steps, own=False),
            "rlenvs vector form": turn_level(num_envs, steps, own=True),
        }
        compare(f"turn level, {num_envs} episodes per call", "episodes/s", contestants, repeats)
    steps = max(64, int(10_000 * scale))
    contestants = {
        "gymnasium SyncVectorEnv of 64": token_level(steps, 64),
        "one environment": token_level(steps, None),
    }
    compare("token level", "steps/s", contestants, repeats)
    compare("grading", "answers/s", {"grade_batch": grading(max(64, int(10_000 * scale)))}, repeats)
    print(f"\nimport rlenvs: {1000 * import_seconds(min(repeats, 5)):.0f} ms in a fresh process")


if __name__ == "__main__":
    main()
