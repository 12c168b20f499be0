"""The journal: a study as a file of one JSON line per change, the default storage.

Optuna replays it; what is added here is what a file that many processes write, and that any of them may be killed
over, needs:

* The lock is the kernel's (`flock`), so that the death of its holder releases it.
* A line that a killed process left half-written is cut off before the next one is written, and ignored until then.
* The end of a trial is on the disk before it counts, with everything before it. Claims, parameters, reports and signs
  of life are not waited for: a crash of the machine that takes them takes the workers, too.

A line in the middle that cannot be read means that somebody else has written to the file: that is said, with its
number.
"""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from rlenvs.errors import StorageError

__all__ = ["LockedJournal"]

STUDY_OPERATIONS = frozenset({0, 1, 2})
"""Operations of Optuna's journal that make, delete and sign a study."""

STATE_OPERATION = 6

LOCK_DEADLINE_S = 60.0
"""Nobody holds the lock for longer than one write; who does for a minute is stopped."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.0002, 0.02
TAIL_BLOCK = 1 << 16


class LockedJournal(BaseJournalBackend):
    """The file behind `optuna.storages.JournalStorage`.

    Args:
        path: the journal; it and its folder are made when they are absent.

    Raises:
        StorageError: the file cannot be opened for writing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).absolute()  # an objective may change the working folder
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab"):
                pass
        except OSError as error:
            raise StorageError(f"journal {self.path}: {error.strerror}") from error
        self._starts = [0]  # of every line read so far, and of the next one

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the whole lines from one number on.

        Raises:
            StorageError: a line is no record of a journal.
        """
        number = min(log_number_from, len(self._starts) - 1)
        try:
            with self.path.open("rb") as file:
                start = self._starts[number]
                if os.fstat(file.fileno()).st_size <= start:
                    return
                file.seek(start)
                text = file.read()
        except OSError as error:
            raise StorageError(f"journal {self.path}: {error.strerror}") from error
        for line in text[: text.rfind(b"\n") + 1].splitlines(keepends=True):
            start += len(line)
            number += 1
            if number == len(self._starts):
                self._starts.append(start)
            if number > log_number_from:
                yield self._record(line, number)

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not (isinstance(record, dict) and isinstance(record.get("op_code"), int) and "worker_id" in record):
            raise StorageError(
                f"{self.path}:{number}: not a line of an Optuna journal: {line[:40]!r}; "
                "take the line out to go on without it, or name another file"
            )
        return record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write lines, all of them or none.

        Raises:
            StorageError: the file cannot be written, or another process does not release it.
        """
        data = b"".join(json.dumps(log, separators=(",", ":")).encode() + b"\n" for log in logs)
        synced = any(_must_last(log) for log in logs)
        try:
            with self._locked() as descriptor:
                end = _cut_torn_tail(descriptor)
                try:
                    _write(descriptor, data)
                except OSError:
                    os.ftruncate(descriptor, end)  # half a line would wait for the next writer to cut it off
                    raise
                if synced:
                    os.fdatasync(descriptor)
        except OSError as error:
            raise StorageError(f"journal {self.path}: {error.strerror}") from error

    @contextlib.contextmanager
    def _locked(self) -> Iterator[int]:
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            self._lock(descriptor)
            try:
                yield descriptor
            finally:
                # A child forked meanwhile has the descriptor too: closing ours would leave the lock with it.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        deadline = time.monotonic() + LOCK_DEADLINE_S
        wait = FIRST_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"journal {self.path}: locked for {LOCK_DEADLINE_S:.0f} s by {_holder(descriptor)}"
                    ) from None
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT_S)
            else:
                return


def _must_last(log: dict[str, Any]) -> bool:
    """Say whether a change must survive a crash of the machine; tickets and claims that do not are made again."""
    if log["op_code"] == STATE_OPERATION:
        return TrialState(log["state"]).is_finished()
    return log["op_code"] in STUDY_OPERATIONS


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _cut_torn_tail(descriptor: int) -> int:
    """Cut off what follows the last line end, and return where the file ends then. Only under the lock."""
    size = os.fstat(descriptor).st_size
    if size == 0 or os.pread(descriptor, 1, size - 1) == b"\n":
        return size
    end = size
    while end > 0:
        start = max(0, end - TAIL_BLOCK)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    os.ftruncate(descriptor, end)
    return end


def _holder(descriptor: int) -> str:
    """Say which process holds the lock, where the kernel tells."""
    with contextlib.suppress(OSError):
        inode = os.fstat(descriptor).st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()
            if "FLOCK" in fields and "->" not in fields and fields[5].endswith(f":{inode}"):
                return f"process {fields[4]}: is it stopped?"
    return "another process: is it stopped?"
