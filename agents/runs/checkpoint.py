"""Checkpoints that are whole or absent, that notice damage, and whose state makes a resumed run give the same numbers.

A checkpoint is a folder `iteration-NNNNNN` with `state.pt` and `manifest.json`, which says how long `state.pt` is and
what its CRC-32 is. It is written under another name, flushed to disk and renamed, so that one that exists was complete
however the process ended; the checksum finds what went wrong afterwards, on disk or in a copy.
"""

import errno
import json
import os
import pickle
import shutil
import warnings
import zlib
from collections.abc import Callable, Mapping
from io import RawIOBase
from pathlib import Path
from typing import Any

import torch

from rlenvs.errors import RunFolderError

STATE_FILE, MANIFEST_FILE = "state.pt", "manifest.json"
PREFIX, DRAFT = "iteration-", ".draft-"
FORMAT = 2
CHUNK = 1 << 22
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class DamagedCheckpointError(Exception):
    """A checkpoint is not what was written; the message says in what."""


def save_checkpoint(folder: Path, iteration: int, state: Mapping[str, Any], keep: int) -> Path:
    """Write `folder/iteration-NNNNNN` atomically, then drop all but the newest `keep`.

    Checkpoints of later iterations go too: a run that is here again has left them behind, because they were damaged.

    Args:
        folder: where the run's checkpoints are.
        iteration: iterations done.
        state: tensors and plain data only.
        keep: checkpoints to keep, >= 1.

    Raises:
        RunFolderError: it cannot be written, for want of room for instance; the checkpoints before are as they were.
    """
    final = folder / f"{PREFIX}{iteration:06d}"
    try:
        for abandoned in folder.glob(f"{DRAFT}*"):
            shutil.rmtree(abandoned)
        draft = folder / f"{DRAFT}{iteration:06d}"
        try:
            _write(draft, {"iteration": iteration, **state})
            if final.exists():
                shutil.rmtree(final)
            draft.rename(final)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # it takes the room that others need
            raise
        _sync_folder(folder)
        others = [path for path in list_checkpoints(folder) if path != final]
        earlier = [path for path in others if iteration_of(path) < iteration]
        for path in {*others} - {*earlier[max(0, len(earlier) - keep + 1) :]}:
            shutil.rmtree(path)
    except OSError as error:
        raise RunFolderError(f"cannot write checkpoint {final}: {_reason(error, folder)}") from error
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints, damaged ones included, oldest first."""
    named = (path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdecimal())
    return sorted((path for path in named if path.is_dir()), key=iteration_of)


def iteration_of(checkpoint: Path) -> int:
    """Return the iteration of a checkpoint, by its name.

    Example:
        >>> iteration_of(Path("checkpoints/iteration-000040"))
        40
    """
    return int(checkpoint.name.removeprefix(PREFIX))


def load_latest_checkpoint(folder: Path, note: Callable[[str], None] = lambda line: None) -> dict[str, Any]:
    """Read the newest checkpoint that is undamaged; nothing in it is executed.

    Args:
        folder: where the run's checkpoints are.
        note: is told, in one line, of every newer checkpoint that is damaged.

    Raises:
        RunFolderError: there is none, all are damaged, or it was written by another version.
    """
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        raise RunFolderError(f"{folder} holds no checkpoint to resume from: start the run anew in another folder")
    damage = ""
    for path in reversed(checkpoints):
        try:
            state = _read(path)
        except DamagedCheckpointError as error:
            note(f"checkpoint {path.name} is damaged ({error}): trying the one before")
            damage = damage or f"{path.name}: {error}"
        else:
            return state
    which = "the only checkpoint" if len(checkpoints) == 1 else f"each of the {len(checkpoints)} checkpoints"
    raise RunFolderError(f"{which} in {folder} is damaged ({damage}): start the run anew in another folder")


class _Checksum:
    """A file that is being written, and the CRC-32 of what went into it."""

    def __init__(self, file: RawIOBase) -> None:
        self.file = file
        self.size = 0
        self.crc = 0
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        whole = memoryview(data).cast("B")
        rest = whole
        try:
            while rest:  # the kernel takes 2 GB at most at a time
                rest = rest[self.file.write(rest) :]
        except OSError as error:
            self.error = error  # torch makes something else of it
            raise
        self.crc = zlib.crc32(whole, self.crc)
        self.size += len(whole)
        return len(whole)

    def flush(self) -> None:
        self.file.flush()


def _write(draft: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint into the folder `draft` and see it onto the disk."""
    draft.mkdir(parents=True)
    # Unbuffered: what a full disk refuses must not be waiting in a buffer when the file is closed.
    with (draft / STATE_FILE).open("wb", buffering=0) as file:
        checked = _Checksum(file)
        try:
            torch.save(dict(state), checked)  # type: ignore[arg-type]
        except RuntimeError:
            if checked.error is not None:
                raise checked.error from None
            raise
        os.fsync(file.fileno())
    content = json.dumps({"format": FORMAT, "bytes": checked.size, "crc32": checked.crc})
    with (draft / MANIFEST_FILE).open("wb") as file:
        file.write(f"{content}\n{zlib.crc32(content.encode()):08x}\n".encode())
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(draft)


def _read(path: Path) -> dict[str, Any]:
    """Return the state in a checkpoint.

    Raises:
        DamagedCheckpointError: it is not what was written.
        RunFolderError: another version wrote it.
    """
    manifest = _manifest(path)
    if manifest.get("format") != FORMAT:
        raise RunFolderError(f"{path} was written by another version of rlenvs: start the run anew")
    try:
        size, crc = 0, 0
        with (path / STATE_FILE).open("rb") as file:
            while chunk := file.read(CHUNK):
                size, crc = size + len(chunk), zlib.crc32(chunk, crc)
        if size != manifest["bytes"]:
            raise DamagedCheckpointError(f"{STATE_FILE} has {size} bytes, {manifest['bytes']} were written")
        if crc != manifest["crc32"]:
            raise DamagedCheckpointError(f"{STATE_FILE} does not have the checksum of what was written")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of foreign pickles before it refuses them
            state = torch.load(path / STATE_FILE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise DamagedCheckpointError(f"{STATE_FILE} cannot be read: {type(error).__name__}") from error
    if not isinstance(state, dict):
        raise DamagedCheckpointError(f"{STATE_FILE} holds no state")
    return state


def _manifest(path: Path) -> dict[str, Any]:
    try:
        content, _, rest = (path / MANIFEST_FILE).read_bytes().partition(b"\n")
    except FileNotFoundError:
        raise DamagedCheckpointError(f"no {MANIFEST_FILE}") from None
    except OSError as error:
        raise DamagedCheckpointError(f"{MANIFEST_FILE} cannot be read: {error.strerror}") from error
    if rest != f"{zlib.crc32(content):08x}\n".encode():
        raise DamagedCheckpointError(f"{MANIFEST_FILE} does not have the checksum of what was written")
    found: dict[str, Any] = json.loads(content)
    return found


def _reason(error: OSError, folder: Path) -> str:
    """Say why a file could not be written, and how much room there is where that is why."""
    reason = error.strerror or type(error).__name__
    if error.errno not in NO_ROOM:
        return reason
    return f"{reason} ({shutil.disk_usage(folder).free / 1e6:,.0f} MB free)"


def _sync_folder(folder: Path) -> None:
    """Make what was renamed or made in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
