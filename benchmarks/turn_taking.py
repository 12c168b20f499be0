"""Processes that work in turns, so that contenders of a benchmark share whatever else the machine does.

The parent starts every contender, waits until all are ready, and lets one of them at a time do one iteration. Standard
library only: contenders run under interpreters of their own.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, TextIO

CPU_HYGIENE = {
    "TOKENIZERS_PARALLELISM": "false",
    # Nothing is downloaded and nobody is told.
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "TRL_EXPERIMENTAL_SILENCE": "1",
}

PATIENCE = 20.0  # seconds that a contender has to end
LOG_TAIL = 3_000  # characters of what a contender wrote before it failed


class Contender:
    """The worker's end: says when it is ready, waits for its turns, reports what each took."""

    def __init__(self) -> None:
        # Libraries print; the protocol has the real standard output to itself.
        self.out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.resting = memory("VmRSS")

    def ready(self, **facts: Any) -> bool:
        """Say that everything is built; True once the first turn has come."""
        self._say(facts)
        return self._turn()

    def done(self, **figures: Any) -> bool:
        """Report a turn; True once the next one has come, False at the end."""
        self._say({"seconds": self._since(), "peak": memory("VmHWM"), "resting": self.resting, **figures})
        return self._turn()

    def _since(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self.started, "cpu": time.process_time() - self.started_cpu}

    def _say(self, message: Mapping[str, Any]) -> None:
        self.out.write(json.dumps(message) + "\n")
        self.out.flush()

    def _turn(self) -> bool:
        going = sys.stdin.readline().strip() == "go"
        self.started, self.started_cpu = time.perf_counter(), time.process_time()
        return going


class Process:
    """The parent's end of one contender.

    Args:
        name: of its row in the table.
        command: starts it.
        threads: how many it computes with.
        log: where its standard error goes.
    """

    def __init__(self, name: str, command: Sequence[str], threads: int, log: TextIO) -> None:
        self.name = name
        self.log = log
        self.turns: list[dict[str, Any]] = []
        environment = os.environ | CPU_HYGIENE | {"OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
        self.facts: dict[str, Any] = {}

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with self.process.stdout, contextlib.suppress(BrokenPipeError):  # one that has ended reads no more
            self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait(self) -> None:
        """Wait until it is ready."""
        self.facts = self._read()

    def turn(self, keep: bool) -> None:
        """Let it do one iteration."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        figures = self._read()
        if keep:
            self.turns.append(figures)

    def median(self, value: Callable[[dict[str, Any]], float]) -> float:
        """Return the median of a figure over the turns that count."""
        values = sorted(value(turn) for turn in self.turns)
        middle = len(values) // 2
        return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            code = self.process.wait()
            self.log.seek(0)
            raise RuntimeError(f"{self.name} ended with code {code}:\n{self.log.read()[-LOG_TAIL:]}")
        found: dict[str, Any] = json.loads(line)
        return found


def memory(field: str) -> int:
    """Return a line of /proc/self/status in bytes: VmRSS is resident now, VmHWM was resident at most; 0 elsewhere."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":")), 0)
    except OSError:
        return 0


def machine() -> str:
    """Name the processor and how many cores this process may use."""
    model = "unknown processor"
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{model}, {cores} cores"
