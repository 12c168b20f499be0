"""Write the page of a study."""

from pathlib import Path

import optuna

from rlenvs.agents.tuning.report.page import About, render_study
from rlenvs.files import replacing

__all__ = ["write_study_report"]


def write_study_report(study: optuna.Study, path: str | Path, about: About | None = None) -> Path:
    """Write one page about a study, which opens without a network.

    Args:
        study: any study of Optuna, finished or still going on.
        path: the HTML file; one that is there is replaced in a single step.
        about: what the page says besides what the study holds.

    Returns:
        The path.

    Raises:
        DataError: it cannot be written.
    """
    with replacing(path) as file:
        file.write(render_study(study, about))
    return Path(path)
