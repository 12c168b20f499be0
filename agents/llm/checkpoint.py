"""Checkpoints that are whole or absent, and the state that makes a resumed run give the same numbers."""

import os
import pickle
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rlenvs.errors import RunFolderError

STATE_FILE = "state.pt"
PREFIX = "iteration-"
FORMAT = 1


def save_checkpoint(folder: Path, iteration: int, state: Mapping[str, Any], keep: int) -> Path:
    """Write `folder/iteration-NNNNNN` atomically and drop all but the newest `keep`.

    The state is written under another name, flushed to disk and renamed: a checkpoint that exists is complete, however
    the process ended.

    Args:
        folder: the run's `checkpoints` folder.
        iteration: iterations done.
        state: tensors and plain data only.
        keep: checkpoints to keep, >= 1.
    """
    final = folder / f"{PREFIX}{iteration:06d}"
    draft = folder / f".draft-{iteration:06d}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    with (draft / STATE_FILE).open("wb") as file:
        torch.save({"format": FORMAT, "iteration": iteration, **state}, file)
        file.flush()
        os.fsync(file.fileno())
    shutil.rmtree(final, ignore_errors=True)
    draft.rename(final)
    _sync_folder(folder)
    for old in list_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first."""
    return sorted(path for path in folder.glob(f"{PREFIX}*") if (path / STATE_FILE).is_file())


def load_latest_checkpoint(folder: Path) -> dict[str, Any]:
    """Read the newest checkpoint; nothing in it is executed.

    Raises:
        RunFolderError: there is none, or it cannot be read.
    """
    checkpoints = list_checkpoints(folder)
    if not checkpoints:
        raise RunFolderError(f"{folder} holds no checkpoint to resume from: start the run anew in another folder")
    newest = checkpoints[-1]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of foreign pickles before it refuses them
            state = torch.load(newest / STATE_FILE, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise RunFolderError(
            f"{newest} cannot be read ({type(error).__name__}): remove it to resume from the one before"
        ) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise RunFolderError(f"{newest} was written by another version of rlenvs: start the run anew")
    return state


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
