"""The model that a run of the embedded policy begins with, which its folder keeps: the run cannot go on without it."""

from pathlib import Path

from rlenvs.agents.runs.names import MODEL, START
from rlenvs.errors import RunFolderError


def start_of(run_dir: Path) -> Path:
    """Return the folder with the model that a run of the embedded policy began from.

    Raises:
        RunFolderError: it is gone.
    """
    start = run_dir / START
    if not start.is_dir():
        raise RunFolderError(
            f"{str(start)!r}, the model that the run began with, is gone: put it back, or start a new run from this "
            f"one's model with policy.model={run_dir / MODEL}"
        )
    return start
