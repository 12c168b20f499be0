"""What of the configuration of a run that goes on may have changed since its checkpoint."""

from collections.abc import Mapping
from typing import Any

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.config.policy import model_from_anywhere
from rlenvs.agents.runs.changes import Change, changes, plain_config
from rlenvs.agents.runs.resuming import in_its_folder, take_over
from rlenvs.agents.runs.run_folder import RunFolder

FIXED = {
    "name": "it names the run",
    "seed": "its random streams are in the checkpoint",
    "env": "the state of its environments is in the checkpoint",
    "rewards": "the state of its reward is in the checkpoint, and rewards of both kinds could not be compared",
    "policy": "its weights are in the checkpoint",
    "rollout.episodes": "each episode's environment has its state in the checkpoint",
    "rollout.samples_per_prompt": "each episode's environment has its state in the checkpoint",
    "rollout.context_tokens": "the environments were made for it",
    "ppo.critic": "its weights are in the checkpoint",
    "ppo.estimator": "it decides whether there is a critic, whose weights are in the checkpoint",
    "ppo.kl_target": "the state of an adaptive coefficient is in the checkpoint",
    "memory.optimizer": "its state is in the checkpoint",
}
"""What a run cannot change while it goes on, and why not."""

INSTEAD = "leave it, or start a new run, from this one's model with policy.model=RUN_DIR/model"


def take_changes(folder: RunFolder[TrainConfig], saved: Mapping[str, Any], wanted: TrainConfig | None) -> list[Change]:
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
    policy = config.policy.model_copy(update={"model": model_from_anywhere(config.policy.model)})
    config = config.model_copy(update={"policy": policy})
    before = TrainConfig.load(saved)
    before.policy.model = model_from_anywhere(before.policy.model)
    found = changes(plain_config(before), plain_config(config))
    return take_over(folder, config, found, FIXED, INSTEAD)
