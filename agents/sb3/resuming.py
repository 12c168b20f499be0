"""What of the configuration of a run that goes on may have changed since its checkpoint."""

from collections.abc import Mapping
from typing import Any

from rlenvs.agents.runs.changes import Change, changes, plain_config
from rlenvs.agents.runs.resuming import in_its_folder, take_over
from rlenvs.agents.runs.run_folder import RunFolder
from rlenvs.agents.sb3.config import SB3TrainConfig

FIXED = {
    "name": "it names the run",
    "seed": "its random streams are in the checkpoint",
    "env": "the state of its environments is in the checkpoint",
    "rewards": "the state of its reward is in the checkpoint, and rewards of both kinds could not be compared",
    "normalize_reward": "its statistics are in the checkpoint",
    "shuffle_rewards": "its random stream is in the checkpoint",
    "policy": "its weights are in the checkpoint",
    "algorithm.name": "its state is in the checkpoint",
    "algorithm.buffer_size": "its transitions are in the checkpoint",
    "algorithm.use_rms_prop": "the state of its optimiser is in the checkpoint",
}
"""What a run cannot change while it goes on, and why not."""

INSTEAD = "leave it, or start a new run"


def take_changes(
    folder: RunFolder[SB3TrainConfig], saved: Mapping[str, Any], wanted: SB3TrainConfig | None
) -> list[Change]:
    """Let a run go on with a changed configuration, and write it into its folder.

    Args:
        folder: of the run; its `config.yaml` may have been edited.
        saved: the configuration in the checkpoint.
        wanted: what the run is to go on with; None for what is in its folder.

    Returns:
        What has changed since the checkpoint.

    Raises:
        ConfigError: the run cannot go on with it.
    """
    config = in_its_folder(folder.config if wanted is None else wanted, folder)
    found = changes(dict(saved), plain_config(config))
    return take_over(folder, config, found, FIXED, INSTEAD)
