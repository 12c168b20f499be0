"""What a run leaves behind: config, metrics, rollouts, checkpoints, model, TensorBoard events, report."""

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.sft.config import RunConfig, SFTConfig, load_run_config
from rlenvs.config_file import dump_config
from rlenvs.errors import RunFolderError

CONFIG, METRICS, ROLLOUTS = "config.yaml", "metrics.jsonl", "rollouts.jsonl"
CHECKPOINTS, MODEL, START, TENSORBOARD = "checkpoints", "model", "start", "tensorboard"


C = TypeVar("C", bound=RunConfig)


def read_run_config(folder: Path, kind: type[C]) -> C:
    """Read the configuration of an earlier run.

    Args:
        folder: of the run.
        kind: what kind of run it is.

    Raises:
        RunFolderError: it is not the folder of such a run.
    """
    if not (folder / CONFIG).is_file():
        raise RunFolderError(f"{str(folder)!r} is not a run folder (no {CONFIG} in it)")
    config = load_run_config(folder / CONFIG)
    if not isinstance(config, kind):
        command = "sft" if isinstance(config, SFTConfig) else "train"
        raise RunFolderError(f"{str(folder)!r} is a run of another kind: go on with it by `rlenvs {command} --resume`")
    return config


def choose_run_folder(config: RunConfig) -> Path:
    """Return the folder of a new run; nothing is written yet.

    Raises:
        RunFolderError: the configured folder has something in it, or nothing can be written there.
    """
    named = config.output.dir
    folder = Path(named) if named is not None else Path("runs") / f"{config.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    if named is not None and (folder.is_file() or (folder.is_dir() and any(folder.iterdir()))):
        raise RunFolderError(
            f"output folder {named!r} is not empty: choose another with output.dir=..., or go on with it by "
            f"--resume {named}"
        )
    parent = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    if not os.access(parent, os.W_OK):
        raise RunFolderError(f"cannot write to {str(parent)!r}: choose another folder with output.dir=...")
    return folder


class RunFolder(Generic[C]):
    """The files of one run.

    Args:
        path: the folder.
        config: of the run.
        tensorboard: whether to write events, where tensorboard is installed.
    """

    def __init__(self, path: Path, config: C) -> None:
        self.path = path
        self.config = config
        self._metrics: TextIO | None = None
        self._rollouts: TextIO | None = None
        self._events: Any = None

    @classmethod
    def create(cls, path: Path, config: C) -> "RunFolder[C]":
        """Make the folder and write the resolved configuration.

        A name that nobody chose gets a number behind it when another run has just taken it.
        """
        try:
            wanted, number = path, 1
            while True:
                try:
                    path.mkdir(parents=True, exist_ok=config.output.dir is not None)
                    break
                except FileExistsError:
                    number += 1
                    path = wanted.with_name(f"{wanted.name}-{number}")
            (path / CHECKPOINTS).mkdir()
            (path / CONFIG).write_text(dump_config(config), encoding="utf-8")
        except OSError as error:
            raise RunFolderError(f"cannot write to output folder {str(path)!r}: {error.strerror}") from error
        return cls(path, config)

    @staticmethod
    def open(path: Path) -> "RunFolder[TrainConfig]":
        """Open the folder of an earlier run.

        Raises:
            RunFolderError: it is not a run folder.
        """
        return RunFolder(path, read_run_config(path, TrainConfig))

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints are."""
        return self.path / CHECKPOINTS

    def open_logs(self, sizes: Mapping[str, int] | None = None, first_iteration: int = 0) -> None:
        """Open metrics and rollouts for appending.

        Args:
            sizes: file name -> bytes at the checkpoint that is resumed; what was written after it is dropped.
            first_iteration: TensorBoard drops what an earlier attempt wrote from here on.
        """
        for name in (METRICS, ROLLOUTS):
            with (self.path / name).open("ab") as file:
                file.truncate((sizes or {}).get(name, 0))
        self._metrics = (self.path / METRICS).open("a", encoding="utf-8")
        self._rollouts = (self.path / ROLLOUTS).open("a", encoding="utf-8")
        if "tensorboard" in self.config.output.trackers:
            self._events = _tensorboard_writer(self.path / TENSORBOARD, first_iteration)

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Append one line of metrics and the TensorBoard scalars."""
        assert self._metrics is not None
        # JSON has no NaN: a value that is not finite is left out rather than written as something it is not.
        finite = {key: value for key, value in metrics.items() if math.isfinite(value)}
        self._metrics.write(json.dumps(finite) + "\n")
        self._metrics.flush()
        if self._events is not None:
            for key, value in finite.items():
                if key != "iteration":
                    self._events.add_scalar(key, value, int(metrics["iteration"]))

    def log_rollouts(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Append one line per turn."""
        assert self._rollouts is not None
        # Without blanks between the parts: by far the largest file of a run.
        lines = (json.dumps(_without_nan(record), separators=(",", ":")) for record in records)
        self._rollouts.writelines(f"{line}\n" for line in lines)
        self._rollouts.flush()

    def log_sizes(self) -> dict[str, int]:
        """Return the present size of the log files, bytes, for a checkpoint."""
        return {name: (self.path / name).stat().st_size for name in (METRICS, ROLLOUTS)}

    def close(self) -> None:
        """Close the files; may be called twice."""
        for file in (self._metrics, self._rollouts, self._events):
            if file is not None:
                file.close()
        self._metrics = self._rollouts = self._events = None


def _tensorboard_writer(folder: Path, first_iteration: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:  # an extra; metrics.jsonl holds the same numbers
        return None
    purge = first_iteration if first_iteration > 0 else None
    return SummaryWriter(str(folder), purge_step=purge)


def _without_nan(value: Any) -> Any:
    """Replace numbers that JSON cannot hold by null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    return value
