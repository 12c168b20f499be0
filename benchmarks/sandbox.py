"""What it costs to run a program nobody trusts, beside ways without a sandbox, and where the time goes, in one run.

    python benchmarks/sandbox.py [--quick] [--tier A|B]

Contestants take turns, so that a machine that slows down slows all of them. Figures are medians over the rounds, ratios
are medians of the ratios within a round. End to end means: a task and the text of a program go in, a verdict comes out.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rlenvs.graders import grade_batch
from rlenvs.sandbox import Limits, Program, SandboxPool, set_default_pool

LIMITS = Limits(wall_s=30.0)
CODE = """
def solve(numbers):
    best = total = numbers[0]
    for number in numbers[1:]:
        total = max(number, total + number)
        best = max(best, total)
    return best
"""
TESTS = [([[1, -2, 3, 4]], 7), ([[-1]], -1), ([[5, -9, 6]], 6), ([[2, 2, -1, 4]], 7), ([[-3, -2]], -2)]
FUNCTION = {
    "type": "function",
    "entry_point": "solve",
    "tests": [{"args": args, "expected": expected} for args, expected in TESTS],
    "time_limit_s": 30.0,
}
CHECK = "def check(candidate):\n" + "".join(f"    assert candidate(*{args!r}) == {gold!r}\n" for args, gold in TESTS)
ASSERTS = {"type": "asserts", "entry_point": "solve", "test_code": CHECK, "time_limit_s": 30.0}
PLAIN = CODE + "".join(f"assert solve(*{args!r}) == {gold!r}\n" for args, gold in TESTS)
PYTEST = CODE + "".join(f"def test_{n}():\n    assert solve(*{a!r}) == {g!r}\n" for n, (a, g) in enumerate(TESTS))
ANSWER = f"```python\n{CODE}\n```"
GOALS = {"function": 350.0, "asserts": 120.0, "pytest": 30.0, "subprocess": 4.0, "workers": 1.8}

FORKS = """
import os, sys, time, types
for name, folder in (("rlenvs", sys.argv[1]), ("rlenvs.sandbox", sys.argv[1] + "/sandbox")):
    package = types.ModuleType(name)
    package.__path__ = [folder]
    sys.modules[name] = package
import gc
from rlenvs.sandbox import kernel
from rlenvs.sandbox.inside import modules, zygote
from rlenvs.sandbox.limits import Limits
modules.preload(modules.CORE, whole=False)
gc.collect(); gc.freeze(); gc.disable()
tier, count = sys.argv[2], int(sys.argv[3])

def rate(work):
    started = time.perf_counter()
    for _ in range(count):
        pid = zygote.fork()
        if pid == 0:
            work()
            os._exit(0)
        os.waitpid(pid, 0)
    return (time.perf_counter() - started) / count

times = [rate(lambda: None)]
plan = kernel.make_plan(tier)
kernel.enter(plan)
times.append(rate(lambda: None))
times.append(rate(kernel.confining(plan, Limits())))
print(*times)
os._exit(sys.stdout.flush() or 0)
"""
"""Seconds for a fork that ends at once: before the worker is locked, after, and with the lock of the child."""

SMALLEST = "def solve():\n    return 1\n"


def per_call(work: Callable[[], object], count: int) -> float:
    """Return seconds of one of `count` things that a call does."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / count


def graded(task: dict[str, Any], count: int) -> None:
    """Grade so many right answers."""
    grades = grade_batch([task] * count, [ANSWER] * count)
    assert all(each.correct for each in grades), grades


def contestants(pool: SandboxPool, count: int, folder: str) -> dict[str, Callable[[], float]]:
    """Name to a function that returns seconds per execution."""
    test_file = Path(folder) / "test_solution.py"
    test_file.write_text(PYTEST)
    naive = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(test_file)]
    programs = [Program(CODE, [args for args, _ in TESTS])] * count

    def run(command: list[str]) -> Callable[[], object]:
        plain = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # what is installed beside it is not its fault
        return lambda: subprocess.run(command, check=True, capture_output=True, cwd=folder, env=plain)

    def one_by_one() -> None:
        for each in programs:
            pool.run(each.code, each.inputs)

    return {
        "function task, graded": lambda: per_call(lambda: graded(FUNCTION, count), count),
        "function, run_batch": lambda: per_call(lambda: pool.run_batch(programs), count),
        "function, run": lambda: per_call(one_by_one, count),
        "asserts task, graded": lambda: per_call(lambda: graded(ASSERTS, count // 4), count // 4),
        "subprocess.run([python, -c, ...])": lambda: per_call(run([sys.executable, "-c", PLAIN]), 1),
        "python -m pytest": lambda: per_call(run(naive), 1),
    }


def scaling(tier: Any, count: int, rounds: int) -> tuple[float, float]:
    """Return executions per second of two workers, and how many times as many as of one that is."""
    programs = [Program(CODE, [args for args, _ in TESTS])] * count
    with SandboxPool(1, LIMITS, tier=tier) as one, SandboxPool(2, LIMITS, tier=tier) as two:
        for pool in (one, two):
            pool.run_batch(programs[:8])
        pairs = [[per_call(lambda p=p: p.run_batch(programs), count) for p in (one, two)] for _ in range(rounds)]
    return 1 / statistics.median(pair[1] for pair in pairs), statistics.median(pair[0] / pair[1] for pair in pairs)


def forks(tier: str, count: int) -> list[float]:
    """Return the three times of `FORKS`."""
    import rlenvs

    command = [sys.executable, "-I", "-S", "-c", FORKS, str(Path(rlenvs.__file__).parent), tier, str(count)]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def stages(pool: SandboxPool, count: int, rounds: int) -> tuple[list[tuple[str, float]], float]:
    """Return where the seconds of an execution go, and how many times a bare warm fork they are."""
    columns: list[list[float]] = []
    for _ in range(rounds):
        unlocked, locked, confined = forks(pool.tier, count)
        whole, own, theirs = [], [], []
        for _ in range(count):
            started, used = time.perf_counter(), time.thread_time()
            result = pool.run(SMALLEST, [[]])
            whole.append(time.perf_counter() - started)
            own.append(time.thread_time() - used)
            theirs.append(result.cpu_s)
        total, grader, child = map(statistics.median, (whole, own, theirs))
        rest = total - confined - grader
        columns.append([unlocked, locked - unlocked, confined - locked, grader, rest, total, child, total / unlocked])
    names = (
        "bare warm fork, exit and wait",
        "the same from a locked worker, on top",
        "limits and filter of the child",
        "grader: request, clock, answer",
        "the rest: descriptors, compiling, running, report, changes from process to process",
        "all of it, one at a time",
        "processor time of the child, as the kernel counts it",
    )
    middles = [statistics.median(column) for column in zip(*columns, strict=True)]
    rows = list(zip(names, middles, strict=False))
    return rows, middles[-1]


def verdict(figure: float, goal: str) -> str:
    """Say what was asked for, and whether it is met."""
    return f"{GOALS[goal]:g} {'met' if figure >= GOALS[goal] else 'MISSED'}"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer executions and rounds")
    parser.add_argument("--tier", choices=["A", "B"], help="the best one if it is left out")
    args = parser.parse_args()
    count, rounds = (24, 2) if args.quick else (200, 9)
    with SandboxPool(1, LIMITS, tier=args.tier) as pool, tempfile.TemporaryDirectory() as folder:
        set_default_pool(pool)
        try:
            field = contestants(pool, count, folder)
            for each in field.values():
                each()
            times = [{name: measure() for name, measure in field.items()} for _ in range(rounds)]
            parts, times_a_fork = stages(pool, count, max(2, rounds // 3))
        finally:
            set_default_pool(None)
    rate, ratio = scaling(args.tier, 2 * count, rounds)
    cores = len(os.sched_getaffinity(0))
    print(
        f"{platform.machine()}, Linux {platform.release()}, Python {platform.python_version()}, {cores} cores", end=""
    )
    print(f", load {os.getloadavg()[0]:.1f}, tier {pool.tier}; {rounds} rounds of {count} executions, one worker\n")
    own = [row["function task, graded"] for row in times]
    print("| | ms | fastest round, ms | per second | times a graded function task |\n|---|---:|---:|---:|---:|")
    ratios = {}
    for name in field:
        middle = statistics.median(row[name] for row in times)
        ratios[name] = statistics.median(row[name] / mine for row, mine in zip(times, own, strict=True))
        best = min(row[name] for row in times)
        print(f"| {name} | {middle * 1e3:.2f} | {best * 1e3:.2f} | {1 / middle:,.0f} | {ratios[name]:.1f} |")
    function, asserts = (
        1 / statistics.median(row[name] for row in times) for name in ("function task, graded", "asserts task, graded")
    )
    print("\n| | measured | asked for |\n|---|---:|---:|")
    print(f"| function tasks per second and worker | {function:,.0f} | {verdict(function, 'function')} |")
    print(f"| asserts tasks per second and worker | {asserts:,.0f} | {verdict(asserts, 'asserts')} |")
    for name, goal in (("python -m pytest", "pytest"), ("subprocess.run([python, -c, ...])", "subprocess")):
        print(f"| times as fast as {name} | {ratios[name]:.1f} | {verdict(ratios[name], goal)} |")
    print(f"| two workers ({rate:,.0f} per second), times one | {ratio:.2f} | {verdict(ratio, 'workers')} |")
    print("\n| where the time of a program of three lines goes | ms |\n|---|---:|")
    for name, seconds in parts:
        print(f"| {name} | {seconds * 1e3:.3f} |")
    print(f"\nAll of it takes {times_a_fork:.1f} times as long as a bare warm fork.")


if __name__ == "__main__":
    main()
