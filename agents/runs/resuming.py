"""Which run to go on with, and what of its configuration may have changed since."""

import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from rlenvs.agents.runs.changes import Change, refuse_breaking
from rlenvs.agents.runs.checkpoint import iteration_of, list_checkpoints
from rlenvs.agents.runs.config import RunConfig
from rlenvs.agents.runs.loading import load_run
from rlenvs.agents.runs.names import BEST_RECORD, CHECKPOINTS, CONFIG, METRICS, ROLLOUTS, START
from rlenvs.agents.runs.run_folder import RunFolder, checkpoint_folder, read_run_config
from rlenvs.config_file import dump_config
from rlenvs.errors import ConfigError, RunFolderError

RUNS = Path("runs")
DATED = r"-\d{8}-\d{6}(?:-(\d+))?"
LEFTOVERS = frozenset({CONFIG, METRICS, ROLLOUTS, CHECKPOINTS, START, "samples.txt", "tensorboard", "wandb"})
"""What a run leaves behind that ended before its first checkpoint: nothing that cannot be made again."""

C = TypeVar("C", bound=RunConfig)


def take_over(
    folder: RunFolder[C], config: C, found: list[Change], fixed: Mapping[str, str], instead: str
) -> list[Change]:
    """Let a run go on with a changed configuration, and write it into its folder.

    Args:
        folder: of the run.
        config: what it is to go on with.
        found: what has changed since the checkpoint.
        fixed: as in `refuse_breaking`.
        instead: as in `refuse_breaking`.

    Returns:
        What has changed.

    Raises:
        ConfigError: the run cannot go on with it.
        RunFolderError: it cannot be written.
    """
    refuse_breaking(found, fixed, instead)
    if config != folder.config:
        folder.change_config(config)
    return found


def changed_config(run_dir: str | Path, kind: type[C], overrides: Sequence[str], *others: object) -> C:
    """Return the configuration that `--resume RUN_DIR` goes on with.

    Args:
        run_dir: folder of the run.
        kind: class of its configuration.
        overrides: `key=value`.
        others: options of the command that cannot be given with it.

    Raises:
        RunFolderError: it is not the folder of such a run.
        ConfigError: an override cannot be used, or one of the other options was given.
    """
    if any(others):
        raise ConfigError(
            "--resume goes on with the run's own configuration: leave out CONFIG, --output and --no-reward "
            "(or use --resume auto)"
        )
    config = read_run_config(Path(run_dir), kind)
    return load_run(kind, Path(run_dir) / CONFIG, overrides) if overrides else config


def rehearse_going_on(run_dir: Path, config: RunConfig) -> str:
    """Return what a run goes on with as YAML, and as a comment where; nothing is loaded or written."""
    done = [iteration_of(path) for path in list_checkpoints(checkpoint_folder(run_dir, config))]
    return f"{dump_config(config)}# goes on with {run_dir} after iteration {done[-1] if done else '?'}\n"


def resume_command(run_dir: Path, command: str = "train") -> str:
    """Return what to type to go on with a run.

    Args:
        run_dir: its folder.
        command: of `rlenvs`, that started it.

    Example:
        >>> resume_command(Path("runs/my run"))
        "rlenvs train --resume 'runs/my run'"
    """
    return f"rlenvs {command} --resume {shlex.quote(str(run_dir))}"


def say_how_to_go_on(
    error: Exception, folder: RunFolder[C], log: Callable[[str], None], place: int, unit: str, command: str = "train"
) -> None:
    """Log after a failure what to type to go on, and note it on the error; nothing where there is no checkpoint.

    Args:
        error: what failed.
        folder: of the run.
        log: shows a line.
        place: number of the iteration or step that failed.
        unit: what checkpoints of such a run count: "iteration" or "step".
        command: of `rlenvs`, that started it.
    """
    if checkpoints := list_checkpoints(folder.checkpoints):
        done = iteration_of(checkpoints[-1])
        hint = f"failed at {unit} {place}; go on after {unit} {done}: {resume_command(folder.path, command)}"
        log(hint)
        error.add_note(hint)


def in_its_folder(config: C, folder: RunFolder[C]) -> C:
    """Return the configuration for a run that goes on in the folder where it is, wherever its author wanted it."""
    own = folder.config.output
    output = config.output.model_copy(update={"dir": own.dir, "checkpoint_dir": own.checkpoint_dir})
    return config.model_copy(update={"output": output})


def find_run(config: RunConfig) -> Path | None:
    """Return the run that `--resume auto` goes on with; None where a new one is to be started.

    That is the run in `output.dir`, or else the newest run of the configuration's name under `runs/`, if it has a
    checkpoint.

    Raises:
        RunFolderError: `output.dir` is a run of another kind.
    """
    if config.output.dir is None:
        newest = max(_runs_called(config.name), default=None)
        return newest[-1] if newest is not None and _has_checkpoint(newest[-1], config) else None
    folder = Path(config.output.dir)
    if (folder / CONFIG).is_file() and _has_checkpoint(folder, config):
        return folder
    return None


def clear_leftovers(config: RunConfig) -> None:
    """Remove what a run left in `output.dir` that ended before its first checkpoint, so that a new one can have it.

    Raises:
        RunFolderError: the folder holds something else.
    """
    folder = None if config.output.dir is None else Path(config.output.dir)
    if folder is not None and folder.is_dir() and not list_checkpoints(checkpoint_folder(folder, config)):
        _clear(folder)


def _runs_called(name: str) -> Iterator[tuple[str, int, Path]]:
    """Yield date, number among those of the same second, and folder of every run of a name."""
    pattern = re.compile(re.escape(name) + DATED)
    for path in RUNS.glob(f"{name}-*"):
        match = pattern.fullmatch(path.name)
        if match is not None and (path / CONFIG).is_file():
            number = match.group(1)
            dated = path.name if number is None else path.name.removesuffix(f"-{number}")
            yield dated, int(number or 1), path


def _has_checkpoint(folder: Path, config: RunConfig) -> bool:
    return bool(list_checkpoints(checkpoint_folder(folder, read_run_config(folder, type(config)))))


def _clear(folder: Path) -> None:
    """Remove what a run left that ended before its first checkpoint, if there is nothing else."""
    found = list(folder.iterdir())
    others = sorted(path.name for path in found if not _is_leftover(path))
    if others:
        raise RunFolderError(
            f"--resume auto: {str(folder)!r} holds no checkpoint, and {others[0]!r}, which no run left there: choose "
            "another folder with output.dir=..."
        )
    for path in found:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _is_leftover(path: Path) -> bool:
    return path.name in LEFTOVERS or path.name.startswith((".", "wandb")) or (path / BEST_RECORD).is_file()
