"""Write the page of a run."""

import os
import tempfile
from pathlib import Path

from rlenvs.agents.reporting.page import render_page
from rlenvs.agents.reporting.reading import ROLLOUTS_FILE, read_run
from rlenvs.agents.reporting.sampling import sample_rollouts
from rlenvs.errors import RunFolderError

REPORT_FILE = "report.html"


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` into a run folder: one page that needs no network and no server.

    The page replaces an older one in a single step; a reader never sees half of it. A run that is still going on, was
    killed or has no iteration yet gets a page too.

    Args:
        run_dir: The folder that a training run wrote.

    Returns:
        The path of the page.

    Raises:
        RunFolderError: The folder does not exist, is not a run folder or cannot be written to.
    """
    run = read_run(run_dir)
    target = run.path / REPORT_FILE
    stored = run.path / ROLLOUTS_FILE
    rollouts, tally = sample_rollouts(stored) if stored.is_file() else ([], None)
    page = render_page(run, rollouts, tally).encode("utf-8")
    try:
        handle, scratch = tempfile.mkstemp(dir=run.path, prefix=".report-", suffix=".html")
    except OSError as error:
        raise RunFolderError(
            f"cannot write {target}: {error.strerror}; copy the run folder to where you may"
        ) from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(page)
        os.chmod(scratch, 0o644)  # mkstemp makes it private; a report is there to be shared
        os.replace(scratch, target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
    return target
