"""Runs of two processes as `torchrun` starts them, and on their own as batch systems do."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ENTRY = "import sys, torch; torch.set_num_threads(1); from rlenvs.cli import main; sys.exit(main(sys.argv[1:]))"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_two(arguments: list[str], folder: Path, entry: str = ENTRY) -> list[subprocess.Popen[str]]:
    """Start `rlenvs ARGUMENTS` twice, as ranks 0 and 1 of one run."""
    port = free_port()
    started = []
    for rank in range(2):
        variables = {
            "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": 1,
        }  # fmt: skip
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", entry, *arguments],
                env=os.environ | {key: str(value) for key, value in variables.items()},
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    return started


def finish(processes: list[subprocess.Popen[str]], timeout: float = 180) -> list[tuple[int, str]]:
    """Wait for processes; returns exit code and output of each."""
    try:
        return [(process.communicate(timeout=timeout)[0], process.returncode)[::-1] for process in processes]
    finally:
        for process in processes:
            process.kill()
