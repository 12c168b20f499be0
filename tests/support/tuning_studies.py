"""Studies that are killed, and what must hold of them afterwards; a PostgreSQL server of their own."""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from optuna.trial import TrialState

from rlenvs.agents.tuning.engine.tickets import Ledger, trial_index

POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
"""Where Debian has the server; None: it is not installed."""

NOBODY_TO_RUN_IT = os.getuid() == 0 and not any(entry.pw_name == "postgres" for entry in pwd.getpwall())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def postgres_server(folder: Path) -> Iterator[str]:
    """Run a server over an empty database; yield its URL. It refuses to be run by root."""
    assert POSTGRES is not None
    data, port = folder / "data", free_port()
    data.mkdir()
    before: list[str] = []
    if os.getuid() == 0:
        account = pwd.getpwnam("postgres")
        os.chown(data, account.pw_uid, account.pw_gid)
        for parent in (folder, *folder.parents):
            if not os.stat(parent).st_mode & 0o001:
                parent.chmod(0o711)
        before = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    initdb = [str(POSTGRES / "initdb"), "-D", str(data), "-U", "tuner", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*before, *initdb], check=True, capture_output=True, cwd="/")
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*before, str(POSTGRES / "postgres"), "-D", str(data), *options], stdout=log, stderr=log, cwd="/"
        )
    try:
        deadline = time.monotonic() + 30
        ready = [str(POSTGRES / "pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
        while subprocess.run(ready, check=False).returncode != 0:
            assert time.monotonic() < deadline, (folder / "server.log").read_text()
            time.sleep(0.1)
        yield f"postgresql://tuner@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def worker_processes(parent: int) -> list[int]:
    """Return the worker processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_bytes().split(b"\0")
            if int(fields[1]) == parent and fields[0] != "Z" and b"rlenvs.agents.tuning.engine.worker" in command:
                found.append(int(folder.name))
    return found


class Killer(threading.Thread):
    """Kills workers of this process at random moments, so many times."""

    def __init__(
        self, kills: int, seed: int, parent: int | None = None, pause: tuple[float, float] = (0.05, 0.4)
    ) -> None:
        super().__init__(daemon=True)
        self.left, self.pause = kills, pause
        self.random = random.Random(seed)
        self.parent = os.getpid() if parent is None else parent
        self.killed: list[int] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while self.left and not self.ended.wait(self.random.uniform(*self.pause)):
            workers = worker_processes(self.parent)
            if workers:
                victim = self.random.choice(workers)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim, signal.SIGKILL)
                    self.killed.append(victim)
                    self.left -= 1

    def __enter__(self) -> "Killer":
        self.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self.ended.set()
        self.join()


def assert_nothing_lost(study, n_trials: int, max_retries: int = 3) -> None:
    """Every trial asked for finished once, is counted once, and is worth what its objective says."""
    trials = study.get_trials(deepcopy=False)
    ledger = Ledger(trials, n_trials, max_retries)
    assert ledger.done
    outcomes = ledger.outcomes
    assert len(outcomes) == n_trials
    assert [trial_index(trial) for trial in outcomes] == list(range(n_trials))
    assert [trial.state for trial in outcomes] == [TrialState.COMPLETE] * n_trials
    complete = [trial.number for trial in trials if trial.state == TrialState.COMPLETE]
    assert sorted(complete) == sorted(trial.number for trial in outcomes)
    assert not any(trial.state == TrialState.RUNNING for trial in trials)
    assert not any("failure" in trial.user_attrs for trial in trials)
