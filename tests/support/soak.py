"""Runs a pool for a long time, one program in ten hostile, while its workers are killed at random.

    python soak.py EXECUTIONS [TIER]

prints what it saw as JSON: wrong verdicts, memory of this process, and what is left afterwards.
"""

import contextlib
import gc
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from host_attacks import descendants, descriptors, settled

from rlenvs.sandbox import Limits, Program, Result, SandboxPool
from rlenvs.sandbox.duel import Duel
from rlenvs.sandbox.kernel.privileges import FIRST_UID, LAST_UID

CHUNK = 50
EXECUTIONS_BETWEEN_KILLS = 150
SECONDS_TO_RECOVER = 3.0
"""After a worker was killed before it was ready: nobody kills every worker that is ever started."""
GENEROUS = Limits(wall_s=30.0, memory_mb=64, output_bytes=10_000, result_bytes=50_000)
SHORT = Limits(wall_s=0.15, memory_mb=64, output_bytes=10_000, result_bytes=50_000)
HONEST = "def solve(numbers):\n    return sorted(set(numbers))"
SCRIPT = "print(sum(map(int, input().split())))"
HOSTILE: list[tuple[str, Limits, set[str]]] = [
    ("while True: pass", SHORT, {"timeout"}),
    ("import time; time.sleep(60)", SHORT, {"timeout"}),
    ("import os; os._exit(0)", GENEROUS, {"crash"}),
    ("import os; os.abort()", GENEROUS, {"crash"}),
    ("import os; os.kill(os.getpid(), 9)", GENEROUS, {"memory"}),
    ("print('passed' * 10_000)", GENEROUS, {"output"}),
    ("import sys; sys.stderr.write('x' * 1_000_000)", GENEROUS, {"output"}),
    ("kept = bytearray(1 << 34)", GENEROUS, {"memory"}),
    ("import os; os.write(3, bytes(100))", GENEROUS, {"malformed"}),
    ("import os; os.write(3, b'\\xff' * 100)", GENEROUS, {"output"}),
    ("import os; os.write(3, b'\\0\\0\\0\\2r\\1' * 5)", GENEROUS, {"malformed"}),
    ("import os; os.fork()", GENEROUS, {"crash"}),
    ("import os; os.kill(os.getppid(), 9)", GENEROUS, {"crash"}),
    ("open('/tmp/soaked', 'w')", GENEROUS, {"crash"}),
    ("raise SystemExit(0)", GENEROUS, {"crash"}),
    ("def solve(", GENEROUS, {"crash"}),
    ("import threading\nfor _ in range(99): threading.Thread(target=threading.Event().wait, daemon=True).start()", SHORT,
     {"crash", "memory", "timeout"}),
    ("def deep(n): return [deep(n + 1)]\nimport sys\nsys.setrecursionlimit(10**9)\ndeep(0)", GENEROUS,
     {"crash", "memory"}),
]  # fmt: skip


def resident() -> float:
    """Return how much memory this process holds, in MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


class Soak:
    """One run.

    Args:
        pool: under load.
        rng: chooses what runs.
    """

    def __init__(self, pool: SandboxPool, rng: random.Random) -> None:
        self.pool = pool
        self.rng = rng
        self.executions = 0
        self.wrong: list[str] = []
        self.statuses: dict[str, int] = {}

    def chunk(self) -> None:
        """Run some programs and two duels, and look at every verdict."""
        programs, wanted = [], []
        for _ in range(CHUNK):
            if self.rng.random() < 0.1:
                code, limits, statuses = self.rng.choice(HOSTILE)
                programs.append(Program(code, [[1]], limits=limits))
                wanted.append((statuses, None))
            else:
                program, value = self.honest()
                programs.append(program)
                wanted.append(({"ok"}, value))
        for program, result, (statuses, value) in zip(programs, self.pool.run_batch(programs), wanted, strict=True):
            self.look(program.code, result, statuses, value)
        right = self.rng.random() < 0.5
        code = f"def double(x):\n    return x {'+' if right else '-'} x"
        tests = "def check(double):\n    assert double(4) == 8\n    assert double('ab') == 'abab'"
        (duel,) = self.pool.duel_batch([Duel(tests, code, "double", limits=GENEROUS)])
        if duel.status != ("passed" if right else "failed"):
            self.wrong.append(f"duel: {duel}")
        self.executions += CHUNK + 2

    def honest(self) -> tuple[Program, Any]:
        """Return a program, and its answers."""
        numbers = [[self.rng.randrange(50) for _ in range(self.rng.randrange(20))] for _ in range(3)]
        if self.rng.random() < 0.1:
            texts = [" ".join(map(str, [0, *each])) for each in numbers[:1]]
            return Program(SCRIPT, texts, None, GENEROUS), [f"{sum(numbers[0])}\n"]
        return Program(HONEST, [[each] for each in numbers], limits=GENEROUS), [sorted(set(each)) for each in numbers]

    def look(self, code: str, result: Result, statuses: set[str], value: Any) -> None:
        """Note a result, and what is wrong about it."""
        self.statuses[result.status] = self.statuses.get(result.status, 0) + 1
        if result.status not in statuses or (value and [each.value for each in result.outcomes] != value):
            self.wrong.append(f"{code[:60]!r}: {result}"[:500])


def killer(soak: Soak, rng: random.Random, done: threading.Event, killed: list[int]) -> None:
    """Kill a worker now and then, on either side of its namespaces."""
    pool, pause, planned = soak.pool, 0.0, 0.0
    while not done.wait(pause + rng.uniform(0.005, 0.1)):
        pause = 0.0
        if soak.executions < planned:
            continue
        planned += rng.uniform(0.2, 1.8) * EXECUTIONS_BETWEEN_KILLS
        with contextlib.suppress(IndexError, OSError):
            worker = rng.choice(pool.workers)
            outer = worker.process.pid
            inside = Path(f"/proc/{outer}/task/{outer}/children").read_text().split() if pool.tier == "A" else []
            pid = rng.choice([outer, *map(int, inside)])  # in tier B its children are executions
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)
            pause = 0.0 if worker.is_ready else SECONDS_TO_RECOVER


def files_of_workers() -> list[str]:
    """Return files of the users that workers become, where every user may write."""
    found = []
    for place in ("/tmp", "/var/tmp", "/dev/shm", "/run/lock"):
        with contextlib.suppress(OSError):
            for entry in os.scandir(place):
                with contextlib.suppress(OSError):
                    if FIRST_UID <= entry.stat(follow_symlinks=False).st_uid <= LAST_UID:
                        found.append(entry.path)
    return found


def main() -> None:
    """Run, and print what was seen."""
    size = int(sys.argv[1])
    tier: Any = sys.argv[2] if len(sys.argv) > 2 else None
    before = descriptors()
    temporary = sorted(os.listdir(tempfile.gettempdir()))
    done, killed, memory = threading.Event(), list[int](), list[float]()
    started = time.monotonic()
    with SandboxPool(2, tier=tier) as pool:
        soak = Soak(pool, random.Random(size))
        pool.run_batch([Program(HONEST, [[[1]]], limits=GENEROUS)] * 4)
        thread = threading.Thread(target=killer, args=(soak, random.Random(size + 1), done, killed))
        thread.start()
        try:
            while soak.executions < size:
                soak.chunk()
                memory.append(resident())
        finally:
            done.set()
            thread.join()
        workers = len(pool.workers)
    report = {
        "executions": soak.executions,
        "seconds": time.monotonic() - started,
        "wrong": soak.wrong,
        "statuses": soak.statuses,
        "killed": len(killed),
        "workers": workers,
        "memory": [
            statistics.median(memory[len(memory) // 10 : len(memory) // 5 + 1]),
            max(memory[-len(memory) // 5 :]),
        ],
        "processes": sorted(settled(lambda: descendants(os.getpid()), set())),
        "descriptors": descriptors() - before,
        "files": files_of_workers() + [name for name in os.listdir(tempfile.gettempdir()) if name not in temporary],
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
