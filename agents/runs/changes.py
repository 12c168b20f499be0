"""What differs between two configurations, and whether a run can go on with it. Imports without torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from rlenvs.errors import ConfigError
from rlenvs.shown import shown

__all__ = ["Change", "changes", "plain_config", "refuse_breaking"]

IGNORED = ("output.dir", "output.checkpoint_dir")
"""Where a run is does not change what it is: folders are moved."""


@dataclass(frozen=True)
class Change:
    """One key that two configurations differ in.

    Attributes:
        key: its path, with dots.
        before: the value that the run had; None where there was none.
        after: the value that it is to have.
    """

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        """Say what changes, on one line.

        Example:
            >>> print(Change("ppo.clip_range", 0.2, 0.1))
            ppo.clip_range: 0.2 -> 0.1
        """
        return f"{self.key}: {shown(self.before)} -> {shown(self.after)}"


def plain_config(config: BaseModel) -> dict[str, Any]:
    """Return a configuration as plain data, for a checkpoint and for comparing."""
    return config.model_dump(mode="json", by_alias=True)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return what differs between two plain configurations.

    Example:
        >>> [str(change) for change in changes({"ppo": {"epochs": 1}, "seed": 0}, {"ppo": {"epochs": 2}, "seed": 0})]
        ['ppo.epochs: 1 -> 2']
    """
    return [change for change in _differences(before, after, ()) if change.key not in IGNORED]


def refuse_breaking(found: list[Change], fixed: Mapping[str, str], instead: str) -> None:
    """Refuse changes with which a run could not go on, or would not be the same run.

    Args:
        found: what is to change.
        fixed: keys that cannot change in a run of this kind, those below them included, and why not.
        instead: what to do.

    Raises:
        ConfigError: says which key, and why.
    """
    for change in found:
        for key, reason in fixed.items():
            if change.key == key or change.key.startswith(f"{key}."):
                raise ConfigError(f"--resume: {change} cannot change in a run that goes on ({reason}): {instead}")


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key), after.get(key), (*path, str(key)))
    elif before != after:
        yield Change(".".join(path), before, after)
