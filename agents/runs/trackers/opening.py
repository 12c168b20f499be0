"""From names in a configuration to trackers."""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rlenvs.agents.runs.trackers.protocol import Tracker, Trackers
from rlenvs.extras import require

TENSORBOARD_FOLDER = "tensorboard"


def check_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker whose package is not installed, before a run begins.

    TensorBoard is on by default, so where it is not installed a run goes without it.

    Raises:
        MissingExtraError: says which extra installs it.
    """
    if "wandb" in names:
        require("wandb", "wandb", "tracker 'wandb'")


def open_trackers(
    names: Sequence[str],
    folder: Path,
    run_name: str,
    config: Mapping[str, Any],
    first_iteration: int = 0,
    note: Callable[[str], None] = lambda line: None,
) -> Trackers:
    """Open the trackers of a run.

    Args:
        names: `tensorboard`, `wandb`.
        folder: the run folder.
        run_name: what services call the run.
        config: of the run, plain data.
        first_iteration: what an earlier attempt logged from here on is dropped where the tracker can.
        note: is told what a person should know: where a run is shown, what is not installed, what failed.

    Raises:
        MissingExtraError: wandb is asked for and not installed.
    """
    trackers: list[Tracker] = []
    if "tensorboard" in names:
        if importlib.util.find_spec("tensorboard") is None:
            note("tensorboard is not installed, so it gets no metrics: pip install 'rlenvs[report]'")
        else:
            from rlenvs.agents.runs.trackers.tensorboard import TensorBoard

            trackers.append(TensorBoard(folder / TENSORBOARD_FOLDER, first_iteration))
    if "wandb" in names:
        from rlenvs.agents.runs.trackers.weights_and_biases import WeightsAndBiases

        trackers.append(WeightsAndBiases(folder, run_name, config, note))
    return Trackers(trackers, note)
