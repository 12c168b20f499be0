"""Where the `rewards` sub-commands get their recipe: a reward file, or the `rewards` section of a training file."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rlenvs.wrappers.config.rewards import RewardConfig

__all__ = ["add_reward_arguments", "load_rewards"]


def add_reward_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the recipe, and the settings that override it."""
    parser.add_argument("config", metavar="CONFIG.yaml", help="reward recipe, or training configuration")
    parser.add_argument(
        "settings",
        nargs="*",
        default=[],
        metavar="key=value",
        help="settings that override the file (the value is YAML)",
    )


def load_rewards(path: str | Path, overrides: Sequence[str] = ()) -> "RewardConfig":
    """Read the reward recipe of a file.

    Args:
        path: YAML of a reward in either dialect, or a training configuration with a `rewards` section.
        overrides: `key.sub=value` settings, with keys as the file has them.

    Raises:
        ConfigError: the recipe cannot be used; the message names file, line and key.
    """
    from rlenvs.config_file import read_config, validate_config
    from rlenvs.wrappers.config.rewards import RewardConfig

    data, source = read_config(path, overrides)
    if "rewards" in data and not {"reward_components", "reward_shaping"} & data.keys():
        return validate_config(RewardConfig, data["rewards"], source=source, at=("rewards",))
    return validate_config(RewardConfig, data, source=source)
