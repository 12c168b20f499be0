"""Telling a study of many runs from a run. Imports nothing heavy: whoever meets a folder asks this first."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rlenvs.agents.runs.names import CONFIG
from rlenvs.config_file import read_config
from rlenvs.errors import ConfigError

__all__ = ["is_study", "is_study_folder"]


def is_study(data: Mapping[str, Any]) -> bool:
    """Return whether plain data of a configuration describes a study: only a study has a search space.

    Example:
        >>> is_study({"base": "sb3_ppo.yaml", "search_space": {}}), is_study({"env": {"id": "a"}})
        (True, False)
    """
    return "search_space" in data


def is_study_folder(path: str | Path) -> bool:
    """Return whether a folder is that of a study; one whose configuration cannot be read is not."""
    config = Path(path) / CONFIG
    try:
        return config.is_file() and is_study(read_config(config)[0])
    except ConfigError:
        return False
