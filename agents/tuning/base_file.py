"""The file that a study starts from: where it is found."""

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from rlenvs.config_file import SourceMap, config_error, read_config
from rlenvs.suggestions import did_you_mean

__all__ = ["find_base"]

SHIPPED = ("train", "rewards")
"""Folders of the shipped configurations that can be tuned."""


def find_base(name: str, folder: Path, source: SourceMap) -> tuple[dict[str, Any], SourceMap]:
    """Return the plain data of a base configuration, and where its keys were written.

    Args:
        name: a path, or the name of a shipped configuration (`sb3_ppo.yaml`, `rewards/math.yaml`).
        folder: of the file that names it, where a relative path begins.
        source: of that file.

    Raises:
        ConfigError: there is no such file, or it is no configuration.
    """
    for path in (folder / name, Path(name)):
        if path.is_file():
            return read_config(path)
    shipped = resources.files("rlenvs.configs")
    for candidate in () if Path(name).is_absolute() else (name, *(f"{place}/{name}" for place in SHIPPED)):
        found = shipped.joinpath(*Path(candidate).parts)
        if found.is_file():
            with resources.as_file(found) as path:
                return read_config(path)
    guess = did_you_mean(name, sorted(_shipped_names()))
    raise config_error("base", f"no such file, and no shipped configuration: {name!r}{guess}", source)


def _shipped_names() -> Iterator[str]:
    for place in SHIPPED:
        for found in (resources.files("rlenvs.configs") / place).iterdir():
            if found.name.endswith(".yaml"):
                yield found.name if place == "train" else f"{place}/{found.name}"
