"""Read a run folder: tolerant of what a killed run leaves behind, in memory that does not grow with the file."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rlenvs.agents.reporting.view import MetricHistory, as_float
from rlenvs.errors import RunFolderError

METRICS_FILE = "metrics.jsonl"
ROLLOUTS_FILE = "rollouts.jsonl"
CONFIG_FILE = "config.yaml"
MAX_CONFIG_CHARACTERS = 200_000
MAX_LINE_BYTES = 4_000_000


@dataclass(frozen=True)
class RunFolder:
    """What a run folder says, without its rollouts.

    Args:
        path: The folder.
        metrics: One mapping per iteration, in order.
        config: Text of the resolved config, None when there is none.
    """

    path: Path
    metrics: list[dict[str, float]] = field(default_factory=list)
    config: str | None = None


def read_run(run_dir: str | Path) -> RunFolder:
    """Read metrics and config of a run folder.

    Args:
        run_dir: The folder that a training run wrote.

    Raises:
        RunFolderError: The folder does not exist or is not a run folder.
    """
    path = Path(run_dir)
    if not path.is_dir():
        problem = "is a file, not a run folder" if path.exists() else "does not exist"
        raise RunFolderError(f"{path} {problem}; give the folder that `rlenvs train` wrote")
    if not any((path / name).is_file() for name in (METRICS_FILE, CONFIG_FILE, ROLLOUTS_FILE)):
        raise RunFolderError(
            f"{path} is not a run folder: it holds neither {METRICS_FILE} nor {CONFIG_FILE}; "
            "give the folder that `rlenvs train` wrote"
        )
    metrics, config = path / METRICS_FILE, path / CONFIG_FILE
    return RunFolder(
        path=path,
        metrics=read_metrics(metrics) if metrics.is_file() else [],
        config=config.read_text(encoding="utf-8", errors="replace")[:MAX_CONFIG_CHARACTERS]
        if config.is_file()
        else None,
    )


def read_metrics(path: Path) -> list[dict[str, float]]:
    """Read `metrics.jsonl`: numbers only, each iteration once, in order; a resumed run's repeats win."""
    history = MetricHistory()
    for row in read_objects(path):
        history.record(row)
    return history.rows


def read_objects(path: Path) -> Iterator[dict[str, object]]:
    """Yield the JSON objects of a file of lines; other lines, such as a torn last one, are skipped."""
    for _, _, value in located_objects(path):
        yield value


def located_objects(path: Path) -> Iterator[tuple[int, int, dict[str, object]]]:
    """Yield (line from 1, offset in bytes, object) of each line that is a JSON object.

    A line above `MAX_LINE_BYTES` is skipped without being held.
    """
    with path.open("rb") as file:
        number = offset = 0
        while line := file.readline(MAX_LINE_BYTES):
            number, start = number + 1, offset
            offset += len(line)
            if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                while rest := file.readline(MAX_LINE_BYTES):
                    offset += len(rest)
                    if rest.endswith(b"\n"):
                        break
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict):
                yield number, start, value


def finite(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    number = as_float(value)
    return number if number is not None and math.isfinite(number) else None
