"""Samples of the same problem: how they begin together, and which groups tell nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from rlenvs.agents.llm.algorithm.filters import informative_groups
from rlenvs.agents.llm.rollout.batch import Episode
from rlenvs.errors import ConfigError


class Groups:
    """Neighbouring rows of a vector environment that play the same problem.

    Args:
        rows: sub-environments, N.
        size: samples per problem, >= 1.

    Raises:
        ConfigError: N rows cannot be dealt to groups of that size.
    """

    def __init__(self, rows: int, size: int) -> None:
        if rows % size:
            raise ConfigError(f"rollout.samples_per_prompt must divide the {rows} environments, got {size}")
        self.rows = rows
        self.size = size

    def of(self, row: int) -> int:
        """Return the number of a row's group."""
        return row // self.size

    def check(self, infos: Mapping[str, Any], rows: Sequence[int]) -> None:
        """See that the rows of each group begin alike, which is up to the environment.

        Raises:
            ConfigError: they do not.
        """
        chats = infos["messages"]
        for row in rows if self.size > 1 else ():
            first = self.of(row) * self.size
            if list(chats[row]) != list(chats[first]):
                raise ConfigError(
                    f"rollout.samples_per_prompt={self.size}: environments {first} and {row} began with different "
                    "messages; the environment must know the reset option 'group_size', as TextVectorEnv does"
                )

    def uniform(self, episodes: Mapping[int, Episode]) -> list[int]:
        """Return the rows whose group scores the same throughout, all right or all wrong, in order.

        Args:
            episodes: by row, whole groups.
        """
        rows = sorted(episodes)
        scores = torch.tensor([episodes[row].score for row in rows], dtype=torch.float64)
        numbers = {group: place for place, group in enumerate(dict.fromkeys(map(self.of, rows)))}
        group_B = torch.tensor([numbers[self.of(row)] for row in rows], dtype=torch.long)
        keep = informative_groups(scores, group_B).tolist()
        return [row for row, kept in zip(rows, keep, strict=True) if not kept]
