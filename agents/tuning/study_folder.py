"""The folder of a study: its configuration, its journal, the runs of its trials, and what came of it."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from rlenvs.agents.runs.names import CONFIG
from rlenvs.agents.runs.studies import is_study_folder
from rlenvs.agents.tuning.config import TuneConfig
from rlenvs.config_file import dump_config
from rlenvs.errors import DataError, RunFolderError
from rlenvs.files import make_folder, replacing

__all__ = ["StudyFolder", "choose_study_folder", "find_study"]

JOURNAL, TRIAL_ROWS = "journal.log", "trials.jsonl"
BEST_CONFIG, FRONT, COMPARISON, REPORT = "best_config.yaml", "front", "comparison.json", "report.html"
WORKER_LOGS = "workers"
RUNS = Path("runs")
DATED = r"-(\d{8}-\d{6})(?:-(\d+))?"


def choose_study_folder(config: TuneConfig) -> Path:
    """Return the folder of a new study; nothing is written yet.

    Raises:
        RunFolderError: the configured folder has something in it, or nothing can be written there.
    """
    named = config.output.dir
    folder = Path(named) if named is not None else RUNS / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if named is not None and (folder.is_file() or (folder.is_dir() and any(folder.iterdir()))):
        goes_on = f", or go on with the study in it by --resume {folder}" if is_study_folder(folder) else ""
        raise RunFolderError(f"output folder {named!r} is not empty: choose another with output.dir=...{goes_on}")
    parent = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise RunFolderError(f"cannot write to {str(parent)!r}: choose another folder with output.dir=...")
    return folder


def find_study(config: TuneConfig) -> Path | None:
    """Return the folder that `--resume auto` goes on with; None where a new study is to be begun.

    That is the one in `output.dir`, or else the newest of the configuration's name under `runs/`.
    """
    if config.output.dir is not None:
        folder = Path(config.output.dir)
        return folder if is_study_folder(folder) else None
    newest = max(_studies_called(config.name), default=None)
    return None if newest is None else newest[-1]


class StudyFolder:
    """The files of one study.

    Args:
        path: the folder.
        config: of the study, with its base in it.
    """

    def __init__(self, path: Path, config: TuneConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, path: Path, config: TuneConfig) -> "StudyFolder":
        """Make the folder and write the resolved configuration.

        A name that nobody chose gets a number behind it when another study has just taken it.

        Raises:
            RunFolderError: it cannot be written.
        """
        try:
            path = make_folder(path, was_named=config.output.dir is not None)
        except OSError as error:
            raise RunFolderError(f"cannot write to output folder {str(path)!r}: {error.strerror}") from error
        folder = cls(path, config)
        folder.change_config(config)
        return folder

    @classmethod
    def open(cls, path: str | Path) -> "StudyFolder":
        """Open the folder of an earlier study.

        Raises:
            RunFolderError: it is not the folder of a study.
            ConfigError: its configuration cannot be used.
        """
        folder = Path(path)
        if not (folder / CONFIG).is_file():
            raise RunFolderError(f"{str(folder)!r} is not the folder of a study (no {CONFIG} in it)")
        if not is_study_folder(folder):
            raise RunFolderError(
                f"{str(folder)!r} is a run, not a study: go on with it by `rlenvs train --resume {folder}`"
            )
        return cls(folder, TuneConfig.load(folder / CONFIG))

    @property
    def storage(self) -> str:
        """URL of what keeps the trials; the journal of this folder where the configuration names nothing else."""
        return self.config.storage or f"journal:{os.path.abspath(self.path / JOURNAL)}"

    def __truediv__(self, name: str) -> Path:
        """Return a file of the folder."""
        return self.path / name

    def change_config(self, config: TuneConfig) -> None:
        """Write the resolved configuration, whole or not at all.

        Raises:
            RunFolderError: it cannot be written.
        """
        self.config = config
        self.write(CONFIG, dump_config(config))

    def write(self, name: str, text: str) -> Path:
        """Write a file of the folder, whole or not at all.

        Raises:
            RunFolderError: it cannot be written.
        """
        target = self.path / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as file:
                file.write(text)
        except DataError as error:
            raise RunFolderError(str(error)) from error
        except OSError as error:
            raise RunFolderError(f"cannot write to {str(target)!r}: {error.strerror}") from error
        return target


def _studies_called(name: str) -> Iterator[tuple[str, int, Path]]:
    """Yield date, number among those of the same second, and folder of every study of a name."""
    pattern = re.compile(re.escape(name) + DATED)
    for path in RUNS.glob(f"{name}-*"):
        match = pattern.fullmatch(path.name)
        if match is not None and is_study_folder(path):
            yield match.group(1), int(match.group(2) or 1), path
