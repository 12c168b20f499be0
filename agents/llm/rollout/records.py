"""One line of `rollouts.jsonl`: what a turn was paid, and what it takes to score it again, exactly."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rlenvs.wrappers.infos import row_info
from rlenvs.wrappers.reward_batch import RewardBatch
from rlenvs.wrappers.transition import Message

MAX_VALUE_CHARS = 4096
"""Longest value of an info, as JSON, that a record keeps: the tests of a code problem would outweigh all the rest."""

# What the reward layer adds to the infos, and what a record has a place of its own for or can be rebuilt from.
LAYER = "vector_reward reward_weights reward_components reward_status reward_potential env_reward"
ELSEWHERE = frozenset([*LAYER.split(), "problem_id", "correct", "grade_status", "messages", "response"])


def env_infos(infos: Mapping[str, Any]) -> dict[str, Any]:
    """Return the collated infos of a vector environment without what a record keeps elsewhere."""
    return {key: value for key, value in infos.items() if key.removeprefix("_") not in ELSEWHERE}


def storable(info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of an info that a line of JSON holds: plain finite data of moderate length.

    Example:
        >>> storable({"difficulty": 0.5, "task": {"gold": "7"}, "tests": "x" * 10_000, "score": float("nan")})
        {'difficulty': 0.5, 'task': {'gold': '7'}}
    """
    return {key: value for key, value in info.items() if _fits(value)}


class EpisodeStarts:
    """The first states of the episodes of one rollout, each stored once: with the first turn.

    Args:
        infos: the collated infos of the reset.
        count: number of episodes.
    """

    def __init__(self, infos: Mapping[str, Any], count: int) -> None:
        kept = env_infos(infos)
        self.infos = [storable(row_info(kept, row)) for row in range(count)]
        chats = infos.get("messages")
        self.chats: list[Sequence[Message]] = [()] * count if chats is None else list(chats)

    def fields(self, row: int, turn: int, prompt: str) -> dict[str, Any]:
        """Return what the record of a turn says of its episode's first state."""
        if turn > 0:
            return {}
        opening = [dict(message) for message in self.chats[row]]
        usual = not opening or opening == [{"role": "user", "content": prompt}]
        return {"start": self.infos[row]} | ({} if usual else {"opening": opening})

    def changes(self, row: int, info: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the info of a turn has that the first state had not, or had with another value."""
        start = self.infos[row]
        return {key: value for key, value in storable(info).items() if key not in start or start[key] != value}


def component_parts(batch: RewardBatch, row: int) -> dict[str, dict[str, Any]]:
    """Return what each component said of one row of a batch."""
    columns = zip(
        batch.names,
        batch.raw[row].tolist(),
        batch.weights.tolist(),
        batch.contributions[row].tolist(),
        batch.status[row].tolist(),
        strict=True,
    )
    return {
        name: {"raw": raw, "weight": weight, "contribution": contribution, "status": status}
        for name, raw, weight, contribution, status in columns
    }


def _fits(value: object) -> bool:
    try:
        return len(json.dumps(value, allow_nan=False)) <= MAX_VALUE_CHARS
    except (TypeError, ValueError, RecursionError):
        return False
