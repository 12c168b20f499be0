"""What a run leaves behind: config, metrics, rollouts, checkpoints, model, what its trackers write, report."""

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from rlenvs.agents.runs.checkpoint import list_checkpoints
from rlenvs.agents.runs.config import RunConfig
from rlenvs.agents.runs.kinds import kind_of
from rlenvs.agents.runs.log_file import LogFile
from rlenvs.agents.runs.names import CHECKPOINTS, CONFIG, METRICS, ROLLOUTS
from rlenvs.agents.runs.studies import is_study
from rlenvs.agents.runs.trackers import JsonLines, Trackers, open_trackers
from rlenvs.config_file import dump_config, read_config, validate_config
from rlenvs.errors import DataError, RunFolderError
from rlenvs.files import make_folder, replacing

C = TypeVar("C", bound=RunConfig)


def read_run_config(folder: Path, kind: type[C]) -> C:
    """Read the configuration of an earlier run.

    Args:
        folder: of the run.
        kind: class of the configuration.

    Raises:
        RunFolderError: it is not the folder of such a run.
        ConfigError: the configuration cannot be used.
    """
    if not (folder / CONFIG).is_file():
        raise RunFolderError(f"{str(folder)!r} is not a run folder (no {CONFIG} in it)")
    data, source = read_config(folder / CONFIG)
    if is_study(data):
        raise RunFolderError(f"{str(folder)!r} is a study, not a run: go on with it by `rlenvs tune --resume {folder}`")
    found = kind_of(data)
    if found is not kind.kind:
        raise RunFolderError(
            f"{str(folder)!r} is a run of another kind: it trains {found.value}, this one {kind.kind.value}; go on "
            f"with it by `{found.command} --resume {folder}`"
        )
    return validate_config(kind, data, source=source)


def choose_run_folder(config: RunConfig) -> Path:
    """Return the folder of a new run; nothing is written yet.

    Raises:
        RunFolderError: the configured folder has something in it, or nothing can be written there.
    """
    named = config.output.dir
    folder = Path(named) if named is not None else Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if named is not None and (folder.is_file() or (folder.is_dir() and any(folder.iterdir()))):
        raise RunFolderError(
            f"output folder {named!r} is not empty: choose another with output.dir=...{_what_goes_on(folder)}"
        )
    checkpoints = checkpoint_folder(folder, config)
    if list_checkpoints(checkpoints):
        raise RunFolderError(
            f"{str(checkpoints)!r} holds the checkpoints of another run: choose another folder with "
            "output.checkpoint_dir=..., or go on with that run by --resume"
        )
    for wanted, key in ((folder, "output.dir"), (checkpoints, "output.checkpoint_dir")):
        parent = next(place for place in (wanted, *wanted.absolute().parents) if place.exists())
        if not (parent.is_dir() and os.access(parent, os.W_OK)):
            raise RunFolderError(f"cannot write to {str(parent)!r}: choose another folder with {key}=...")
    return folder


def _what_goes_on(folder: Path) -> str:
    """Say how to go on with what lies in a folder, where it is a run."""
    if not (folder / CONFIG).is_file():
        return ""
    output = read_config(folder / CONFIG)[0].get("output")
    elsewhere = output.get("checkpoint_dir") if isinstance(output, dict) else None
    if list_checkpoints(folder / CHECKPOINTS if elsewhere is None else Path(str(elsewhere))):
        return f", or go on with it by --resume {folder}"
    return "; the run in it ended before its first checkpoint: --resume auto removes it and starts anew"


class RunFolder(Generic[C]):
    """The files of one run.

    Args:
        path: the folder.
        config: of the run.
    """

    def __init__(self, path: Path, config: C) -> None:
        self.path = path
        self.config = config
        self._logs: dict[str, LogFile] = {}
        self._sizes: dict[str, int] = {}
        self._trackers: Trackers | None = None

    @classmethod
    def create(cls, path: Path, config: C) -> "RunFolder[C]":
        """Make the folder and write the resolved configuration.

        A name that nobody chose gets a number behind it when another run has just taken it.

        Raises:
            RunFolderError: it cannot be written.
        """
        config = config.from_anywhere()
        if config.output.checkpoint_dir is not None:  # first: where it cannot be made, no run folder is left
            try:
                Path(config.output.checkpoint_dir).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunFolderError(
                    f"cannot write to {config.output.checkpoint_dir!r}: {error.strerror}; choose another folder with "
                    "output.checkpoint_dir=..."
                ) from error
        try:
            path = make_folder(path, was_named=config.output.dir is not None)
            checkpoint_folder(path, config).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot write to output folder {str(path)!r}: {error.strerror}") from error
        folder = cls(path, config)
        folder.change_config(config)
        return folder

    @classmethod
    def open(cls, path: Path, kind: type[C]) -> "RunFolder[C]":
        """Open the folder of an earlier run.

        Args:
            path: the folder.
            kind: class of its configuration.

        Raises:
            RunFolderError: it is not the folder of such a run.
        """
        return cls(path, read_run_config(path, kind))

    def change_config(self, config: C) -> None:
        """Write the resolved configuration, whole or not at all.

        Raises:
            RunFolderError: it cannot be written.
        """
        self.config = config
        try:
            with replacing(self.path / CONFIG) as file:
                file.write(dump_config(config))
        except DataError as error:
            raise RunFolderError(str(error)) from error

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return checkpoint_folder(self.path, self.config)

    def open_logs(
        self,
        sizes: Mapping[str, int] | None = None,
        first_iteration: int = 0,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Open metrics, rollouts and trackers for appending.

        Args:
            sizes: file name -> bytes at the checkpoint that is resumed; what was written after it is dropped.
            first_iteration: trackers drop what an earlier attempt wrote from here on, where they can.
            note: is told what a person should know of the trackers.

        Raises:
            RunFolderError: a file cannot be written, or is not the one that the checkpoint knows.
        """
        self._sizes = dict(sizes or {})
        for name in (METRICS, ROLLOUTS):
            self.log_file(name)
        plain = self.config.model_dump(mode="json", by_alias=True)
        self._trackers = open_trackers(
            self.config.output.trackers, self.path, self.config.name, plain, first_iteration, note
        )

    def log_file(self, name: str) -> LogFile:
        """Return a file of the run folder that is only appended to, and cut back when the run resumes."""
        if name not in self._logs:
            self._logs[name] = LogFile(self.path / name, self._sizes.get(name, 0))
        return self._logs[name]

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Append one line of metrics, and tell the trackers.

        Raises:
            RunFolderError: `metrics.jsonl` cannot be written.
        """
        # JSON has no NaN: a value that is not finite is left out rather than written as something it is not.
        finite = {key: value for key, value in metrics.items() if math.isfinite(value)}
        iteration = int(metrics["iteration"])
        JsonLines(self.log_file(METRICS)).log(finite, iteration)
        if self._trackers is not None:
            self._trackers.log(finite, iteration)

    def log_rollouts(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append one line per turn.

        Raises:
            RunFolderError: `rollouts.jsonl` cannot be written.
        """
        # Without blanks between the parts: by far the largest file of a run.
        lines = (json.dumps(_without_nan(record), separators=(",", ":")) for record in records)
        self.log_file(ROLLOUTS).write("".join(f"{line}\n" for line in lines))

    def log_sizes(self) -> dict[str, int]:
        """See the log files onto the disk; return the size of each, bytes, for a checkpoint.

        Files that were not opened since the run resumed keep the size that they had.
        """
        return self._sizes | {name: log.sync() for name, log in self._logs.items()}

    def close(self) -> None:
        """Close the files; may be called twice."""
        for log in self._logs.values():
            log.close()
        self._logs = {}
        if self._trackers is not None:
            self._trackers.close()
            self._trackers = None


def checkpoint_folder(path: Path, config: RunConfig) -> Path:
    """Return where the checkpoints of a run are.

    Args:
        path: the run folder.
        config: of the run.
    """
    chosen = config.output.checkpoint_dir
    return path / CHECKPOINTS if chosen is None else Path(chosen)


def _without_nan(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return value
