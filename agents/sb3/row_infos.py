"""From collated infos to what Stable-Baselines3 reads in the info of a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.deferred import DeferredInfos
from rlenvs.wrappers.infos import row_info

TRUNCATED = "TimeLimit.truncated"
REWARD_PARTS = (
    "vector_reward",
    "reward_weights",
    "reward_components",
    "reward_status",
    "reward_potential",
    "env_reward",
)
"""What a reward layer adds to infos: it is about the step, also where the rest is about the next episode."""


@dataclass(frozen=True, slots=True)
class EndedRows:
    """The k rows whose episodes ended in a step.

    Attributes:
        rows: `[k]` row numbers, ascending.
        observations: k last observations.
        correct: `[k]` whether the last message was right; None where the environment does not say.
    """

    rows: npt.NDArray[np.intp]
    observations: Sequence[Any] | npt.NDArray[Any]
    correct: npt.NDArray[np.bool_] | None

    @classmethod
    def none(cls) -> "EndedRows":
        """Return what there is after a step in which no episode ended."""
        return cls(np.zeros(0, dtype=np.intp), (), None)


def ended_rows(infos: Mapping[str, Any], dones: npt.NDArray[np.bool_]) -> EndedRows:
    """Return the episodes that ended in a step, without writing infos that nobody has read.

    Args:
        infos: those of the vector environment, with autoreset SAME_STEP.
        dones: `[N]`.
    """
    if isinstance(infos, DeferredInfos) and infos.ended is not None:
        return EndedRows(infos.ended.rows, infos.ended.observations, infos.ended.correct)
    rows = np.flatnonzero(dones)
    correct = None
    if "correct" in infos["final_info"]:
        # A row without a verdict was cut off before it answered.
        told = [bool(picked_info(infos, row, ("correct",), final=True).get("correct")) for row in rows.tolist()]
        correct = np.array(told, dtype=np.bool_)
    return EndedRows(rows, [np.array(infos["final_obs"][row]) for row in rows.tolist()], correct)


def final_infos(infos: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the collated infos that episodes ended with."""
    if isinstance(infos, DeferredInfos) and infos.ended is not None:
        return infos.ended.infos
    final: Mapping[str, Any] = infos["final_info"]
    return final


def opening_info(infos: Mapping[str, Any] | None, row: int) -> dict[str, Any]:
    """Return the info that an episode began with; empty where nobody knows."""
    if infos is None:
        return {}
    return {key: value for key, value in row_info(infos, row).items() if key not in REWARD_PARTS}


def final_info(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return the info that an episode ended with, what the reward layer says of that step included."""
    return {**row_info(final_infos(infos), row), **picked_info(infos, row, REWARD_PARTS)}


def picked_info(infos: Mapping[str, Any], row: int, keys: Sequence[str], *, final: bool = False) -> dict[str, Any]:
    """Return some keys of the info of a row, those that it has.

    Args:
        infos: those of the vector environment.
        row: its number.
        keys: which.
        final: whether an episode ended in the row, whose info is wanted.
    """
    wanted: dict[str, Any] = {}
    for key in keys:
        source = final_infos(infos) if final and key not in REWARD_PARTS else infos
        wanted |= {name: source[name] for name in (key, f"_{key}") if name in source}
    return row_info(wanted, row)
