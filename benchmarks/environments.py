"""Speed of the environments beside Gymnasium's SyncVectorEnv of the same environments, in one run on one core.

    python benchmarks/environments.py [--quick]

Actions are fixed rows that are made before the clock starts: for answers that are right by playing the same seed
beforehand, for random tokens by drawing any but padding (the end token among them, so that episodes end and begin).
The contestants take turns, so that a machine that slows down slows all of them; figures are medians over the rounds,
ratios are medians of the ratios within a round. Rates are per second of processor time of this process and, in
brackets, of the clock on the wall. `infos read` asks every step for every info; otherwise nobody looks at them.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import rlenvs
from rlenvs.envs.protocols import Retry
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.graders import grade_batch
from rlenvs.problems import ArithmeticSource

TURN_ID, TOKEN_ID = "rlenvs/Arithmetic-v0", "rlenvs/ArithmeticTokens-v0"
SEED = 0
TURNS, TURN_ENVS = 64, 64
PLACES, PLACE_ENVS = 1024, 256
"""Tokens of a long message, and how many write one."""


@dataclass(frozen=True)
class Rates:
    """Units per second."""

    processor: float
    wall: float


Contestant = Callable[[], Rates]
"""Runs one measurement."""


def timed(count: int, play: Callable[[], object]) -> Rates:
    """The rates of something that does `count` units."""
    wall, processor = time.perf_counter(), time.process_time()
    play()
    return Rates(count / max(time.process_time() - processor, 1e-9), count / (time.perf_counter() - wall))


def made(env_id: str, num_envs: int, own: bool) -> gym.vector.VectorEnv[Any, Any, Any]:
    """A vector environment: of this package, or of Gymnasium over single ones."""
    if own:
        return gym.make_vec(env_id, num_envs=num_envs)
    kwargs = {"autoreset_mode": "SameStep"}
    return gym.make_vec(env_id, num_envs=num_envs, vectorization_mode="sync", vector_kwargs=kwargs)


def token_env(envs: gym.vector.VectorEnv[Any, Any, Any]) -> TokenVectorEnv:
    """The environment below its wrappers."""
    base = envs.unwrapped
    assert isinstance(base, TokenVectorEnv), "the ids of this package have their own vector form"
    return base


def right_answers(num_envs: int, steps: int) -> list[Sequence[str]]:
    """What a policy that is always right answers."""
    envs = made(TURN_ID, num_envs, own=True)
    _, infos = envs.reset(seed=SEED)
    rows: list[Sequence[str]] = []
    for _ in range(steps):
        rows.append(infos["task"]["gold"].tolist())
        *_, infos = envs.step(rows[-1])
    return rows


def right_tokens(num_envs: int, steps: int) -> list[Any]:
    """What a policy that is always right writes, token by token."""
    envs = made(TOKEN_ID, num_envs, own=True)
    tokenizer: Any = token_env(envs).tokenizer
    _, infos = envs.reset(seed=SEED)
    rows: list[Any] = []
    for _ in range(steps):
        tokens = [
            tokenizer.ids[gold[len(so_far)]] if len(so_far) < len(gold) else tokenizer.eos_token_id
            for gold, so_far in zip(infos["task"]["gold"], infos["response_so_far"], strict=True)
        ]
        rows.append(np.array(tokens))
        *_, infos = envs.step(rows[-1])
    return rows


def random_tokens(num_envs: int, steps: int) -> list[Any]:
    """Any token but padding, the end of the message included."""
    size = token_env(made(TOKEN_ID, 1, own=True)).vocab_size
    return list(np.random.default_rng(SEED).integers(1, size, size=(steps, num_envs)))


def stepping(env_id: str, rows: Sequence[Any], *, own: bool, read: bool = False) -> Contestant:
    """Steps of a vector environment over fixed actions, from the same reset every time."""
    num_envs = len(rows[0])
    envs = made(env_id, num_envs, own)

    def play() -> None:
        for actions in rows:
            infos = envs.step(actions)[4]
            if read:
                len(infos)

    def measure() -> Rates:
        envs.reset(seed=SEED)
        return timed(num_envs * len(rows), play)

    return measure


def grading(count: int) -> Contestant:
    """Grades of one batch of boxed answers."""
    task = {"type": "math", "question": "6*7?", "gold": "42", "extract": "last_boxed"}
    tasks, responses = [task] * count, [f"We multiply. It is \\boxed{{{i % 50}}}." for i in range(count)]
    return lambda: timed(count, lambda: grade_batch(tasks, responses))


def rounds(contestants: dict[str, Contestant], repeats: int) -> dict[str, list[Rates]]:
    """Measure every contestant once per round, after one round of warming up if there is more than one."""
    results: dict[str, list[Rates]] = {name: [] for name in contestants}
    warming_up = int(repeats > 1)
    for repeat in range(repeats + warming_up):
        for name, measure in contestants.items():
            rates = measure()
            if repeat >= warming_up:
                results[name].append(rates)
    return results


def compare(title: str, unit: str, contestants: dict[str, Contestant], repeats: int) -> None:
    """Print the medians of a group, and the ratio of each contestant to the first."""
    results = rounds(contestants, repeats)
    print(f"\n{title}")
    baseline = next(iter(results.values()))
    for name, rates in results.items():
        ratio = statistics.median(rate.processor / base.processor for rate, base in zip(rates, baseline, strict=True))
        processor = statistics.median(rate.processor for rate in rates)
        wall = statistics.median(rate.wall for rate in rates)
        print(f"  {name:<34}{processor:>12,.0f} {unit:<12}{ratio:>8.2f}x   ({wall:,.0f} by the wall)", flush=True)


def stretches(title: str, measure: Callable[[], list[float]], names: Sequence[str], repeats: int) -> None:
    """Print the median processor time per env-step of stretches of an episode, and their ratios to the first."""
    if repeats > 1:
        measure()
    runs = [measure() for _ in range(repeats)]
    print(f"\n{title}")
    for place, name in enumerate(names):
        cost = statistics.median(run[place] for run in runs)
        ratio = statistics.median(run[place] / run[0] for run in runs)
        print(f"  {name:<34}{1e9 * cost:>12,.0f} ns/env-step {ratio:>7.2f}x", flush=True)


def turn_costs(read: bool) -> tuple[Callable[[], list[float]], list[str]]:
    """Seconds per env-step in the eighths of conversations of 64 wrong answers and their feedback."""
    protocol = Retry(attempts=TURNS + 1)
    envs = TextVectorEnv(ArithmeticSource(), TURN_ENVS, protocol=protocol)
    actions = ("7777",) * TURN_ENVS

    def measure() -> list[float]:
        envs.reset(seed=SEED)
        return stretch_costs(lambda: envs.step(actions)[4], TURNS, 8, TURN_ENVS, read)

    return measure, [f"turns {8 * place + 1} to {8 * place + 8}" for place in range(8)]


def place_costs(read: bool) -> tuple[Callable[[], list[float]], list[str]]:
    """Seconds per env-step in the eighths of messages of many tokens."""
    envs: Any = gym.make_vec(TOKEN_ID, num_envs=PLACE_ENVS, max_response_tokens=PLACES + 1, context_tokens=16)
    actions = np.full(PLACE_ENVS, 7)
    size = PLACES // 8

    def measure() -> list[float]:
        envs.reset(seed=SEED)
        return stretch_costs(lambda: envs.step(actions)[4], PLACES, 8, PLACE_ENVS, read)

    return measure, [f"tokens {size * place + 1} to {size * place + size}" for place in range(8)]


def stretch_costs(step: Callable[[], dict[str, Any]], steps: int, parts: int, num_envs: int, read: bool) -> list[float]:
    """Seconds per env-step of each of the equal parts of a number of steps."""
    costs = []
    for _ in range(parts):
        started = time.process_time()
        for _ in range(steps // parts):
            infos = step()
            if read:
                len(infos)
        costs.append((time.process_time() - started) / (num_envs * (steps // parts)))
    return costs


def import_seconds(repeats: int) -> float:
    """Median time of `import rlenvs` in a fresh process."""
    code = "import time; t = time.perf_counter(); import rlenvs; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(repeats)]
    return statistics.median(float(run.stdout) for run in runs)


def machine() -> str:
    """What this runs on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"one of {os.cpu_count()} cores of {name}{load}, Python {platform.python_version()}, NumPy {np.__version__}"


def main() -> None:
    """Run every comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a check, not a measurement")
    quick = parser.parse_args().quick
    repeats, scale = (1, 0.03) if quick else (9, 1.0)
    print(f"rlenvs {rlenvs.__version__}, gymnasium {gym.__version__}; {machine()}; median of {repeats} rounds")
    for num_envs in (256, 1024):
        rows = right_answers(num_envs, max(2, int(20 * scale)))
        contestants = {
            "gymnasium SyncVectorEnv": stepping(TURN_ID, rows[:2], own=False),
            "rlenvs vector form": stepping(TURN_ID, rows, own=True),
        }
        compare(f"turn level, {num_envs} episodes per call", "episodes/s", contestants, repeats)
    writers = {"right answers": right_tokens, "random tokens": random_tokens}
    for policy, write in writers.items():
        rows = write(1024, max(4, int(200 * scale)))
        contestants = {
            "gymnasium SyncVectorEnv": stepping(TOKEN_ID, rows[:4], own=False),
            "rlenvs vector form": stepping(TOKEN_ID, rows, own=True),
            "rlenvs vector form, infos read": stepping(TOKEN_ID, rows[: max(4, len(rows) // 10)], own=True, read=True),
        }
        compare(f"token level, 1,024 environments, {policy}", "env-steps/s", contestants, repeats)
    for policy, write in writers.items():
        by_size = {num_envs: write(num_envs, max(4, int(60 * scale))) for num_envs in (16, 64, 256, 1024, 4096)}
        contestants = {
            f"{num_envs} environments": stepping(TOKEN_ID, rows, own=True) for num_envs, rows in by_size.items()
        }
        compare(f"token level by the number of environments, {policy}", "env-steps/s", contestants, repeats)
    by_size = {num_envs: right_answers(num_envs, max(2, int(20 * scale))) for num_envs in (16, 64, 256, 1024, 4096)}
    contestants = {f"{n} environments": stepping(TURN_ID, rows, own=True) for n, rows in by_size.items()}
    compare("turn level by the number of environments", "episodes/s", contestants, repeats)
    for read, note in ((False, ""), (True, ", infos read")):
        stretches(f"turn level, {TURNS} turns of {TURN_ENVS} conversations{note}", *turn_costs(read), repeats)
    stretches(f"token level, one message of {PLACES:,} tokens, {PLACE_ENVS} environments", *place_costs(False), repeats)
    compare("grading", "answers/s", {"grade_batch": grading(max(64, int(10_000 * scale)))}, repeats)
    print(f"\nimport rlenvs: {1000 * import_seconds(min(repeats, 5)):.0f} ms in a fresh process")


if __name__ == "__main__":
    main()
