"""Speed of the graders beside Math-Verify, and what a deadline costs, in one run.

    python benchmarks/graders.py [--quick]

Every contestant grades the same answers; they take turns, so that a machine that slows down slows all of them. Figures
are medians over the rounds, ratios are medians of the ratios within a round. Math-Verify runs without its own timeout,
on answers already in math delimiters, and without its warnings: as fast as it goes.
"""

import argparse
import logging
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence

from rlenvs.extras import require
from rlenvs.graders import grade, grade_batch
from rlenvs.graders.grading import known_replies

HOSTILE = {
    "power tower": "9^{9^{9^{9}}}",
    "factorial": "(10^8)!",
    "expansion": "(x+y+z+w+1)^{200}",
    "brackets, 4 kB": "(" * 2000 + ")" * 2000,
    "brackets, 100 kB": "(" * 50_000 + ")" * 50_000,
    "nested fractions": "\\frac{1}{" * 400 + "1" + "}" * 400,
    "honest formula": "2 \\sin\\frac12 \\cos\\frac12",
}


def answers(kind: str, count: int) -> list[tuple[str, str]]:
    """Golds and answers, half of them right."""
    rng = random.Random(kind)
    pairs = []
    for index in range(count):
        a, b = rng.randint(1, 9999), rng.randint(2, 99)
        if kind == "integer":
            gold, right, wrong = str(a), str(a), str(a + 1)
        elif kind == "decimal":
            gold, right, wrong = f"{a / 100:.2f}", f"{a / 100:.3f}", f"{a / 100 + 0.5:.2f}"
        else:
            gold, right, wrong = f"\\frac{{{a}}}{{{b}}}", f"\\frac{{{2 * a}}}{{{2 * b}}}", f"\\frac{{{a + 1}}}{{{b}}}"
        pairs.append((gold, right if index % 2 else wrong))
    return pairs


def own(pairs: Sequence[tuple[str, str]], extract: str) -> Callable[[], float]:
    """Seconds per answer of `grade_batch`."""
    frame = "\\boxed{{{}}}" if extract == "last_boxed" else "{}"
    tasks = [{"type": "math", "question": "?", "gold": gold, "extract": extract} for gold, _ in pairs]
    responses = [frame.format(answer) for _, answer in pairs]

    def measure() -> float:
        fresh = [dict(task) for task in tasks]
        started = time.perf_counter()
        grade_batch(fresh, responses)
        return (time.perf_counter() - started) / len(pairs)

    return measure


def peer(pairs: Sequence[tuple[str, str]]) -> Callable[[], float]:
    """Seconds per answer of Math-Verify; golds are parsed once, outside of the measurement."""
    math_verify = require("math_verify", "reasoning", "this benchmark")
    golds = [math_verify.parse(f"${gold}$", parsing_timeout=None) for gold, _ in pairs]
    texts = [f"${answer}$" for _, answer in pairs]

    def measure() -> float:
        started = time.perf_counter()
        for gold, text in zip(golds, texts, strict=True):
            math_verify.verify(gold, math_verify.parse(text, parsing_timeout=None), timeout_seconds=None)
        return (time.perf_counter() - started) / len(pairs)

    return measure


def compare(kind: str, count: int, rounds: int) -> str:
    """One row of the table of ordinary answers."""
    pairs = answers(kind, count)
    contestants = [own(pairs, "whole"), own(pairs, "last_boxed"), peer(pairs)]
    for contestant in contestants:
        contestant()
    times = [[contestant() for contestant in contestants] for _ in range(rounds)]
    whole, boxed, other = (statistics.median(column) * 1e6 for column in zip(*times, strict=True))
    ratio = statistics.median(row[2] / row[1] for row in times)
    return f"| {kind} | {whole:.2f} | {boxed:.2f} | {other:.1f} | {ratio:.0f} |"


def deadline_cost(name: str, deadline: float, rounds: int) -> str:
    """One row of the table of deadlines."""
    task = {"type": "math", "gold": "\\sin 1", "extract": "whole", "time_limit_s": deadline}
    times, status = [], ""
    for _ in range(rounds):
        known_replies.clear()
        started = time.perf_counter()
        status = grade(task, HOSTILE[name]).status
        times.append(time.perf_counter() - started)
    return f"| {name} | {deadline:g} | {statistics.median(times):.3f} | {max(times):.3f} | {status} |"


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer answers and rounds")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    count, rounds = (200, 3) if args.quick else (1024, 9)
    print(f"Python {platform.python_version()}, {os.cpu_count()} CPUs, {rounds} rounds of {count} answers\n")
    print("| answers | whole, us | boxed, us | Math-Verify, us | Math-Verify / boxed |\n|---|---:|---:|---:|---:|")
    for kind in ("integer", "decimal", "fraction"):
        print(compare(kind, count, rounds), flush=True)
    grade({"type": "math", "gold": "\\sin 1", "extract": "whole", "time_limit_s": 60.0}, "\\cos 1")
    print("\n| answer to a symbolic gold | deadline, s | median, s | worst, s | status |\n|---|---:|---:|---:|---|")
    for name in HOSTILE:
        print(deadline_cost(name, 0.2 if args.quick else 1.0, 2 if args.quick else 3), flush=True)
    easy = {"type": "math", "gold": "42", "extract": "whole"}
    hard = {"type": "math", "gold": "\\sin 1", "extract": "whole", "time_limit_s": 0.5}
    known_replies.clear()
    towers = [f"{n}^{{9^{{9^{{9}}}}}}" for n in range(2, 34)]
    started = time.perf_counter()
    grade_batch([hard] * 32 + [easy] * 992, [*towers, *["42"] * 992])
    print(f"\n32 different towers among 1,024 answers, deadline 0.5 s: {time.perf_counter() - started:.2f} s")


if __name__ == "__main__":
    main()
