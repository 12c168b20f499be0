"""The info entries that say what the rewards of a vector environment were made of, as Gymnasium collates them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers.reward_batch import RewardBatch

STATUS_OBJECTS = np.array(["ok", "invalid", "timeout", "error"], dtype=object)


def described(
    batch: RewardBatch, rows: "npt.NDArray[np.intp] | None", env_rewards: npt.NDArray[np.float64]
) -> dict[str, Any]:
    """Return the entries, each with its mask.

    Args:
        batch: what the pipeline made of the rows that took a step.
        rows: which of the M these are; None for all.
        env_rewards: `[M]` what the environment gave.
    """
    count = len(env_rewards)
    mask = np.ones(count, dtype=np.bool_)
    if rows is not None:
        mask[:] = False
        mask[rows] = True

    def spread(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if rows is None:
            return values
        wide = np.zeros((count, *values.shape[1:]), dtype=values.dtype)
        wide[rows] = values
        return wide

    def masked(entries: dict[str, Any]) -> dict[str, Any]:
        return entries | {f"_{key}": mask for key in entries}

    weights = spread(np.tile(batch.weights, (len(batch.raw), 1)))
    raw, normalized, contributions = spread(batch.raw), spread(batch.normalized), spread(batch.contributions)
    codes = spread(batch.codes)
    status = {name: STATUS_OBJECTS[codes[:, k]] for k, name in enumerate(batch.names)}
    if rows is not None:
        for column in status.values():
            column[~mask] = 0  # what Gymnasium has in rows without an entry is undefined, and not "ok"
    components = {
        name: masked(
            {
                "raw": raw[:, k],
                "normalized": normalized[:, k],
                "weight": weights[:, k],
                "contribution": contributions[:, k],
            }
        )
        for k, name in enumerate(batch.names)
    }
    return masked(
        {
            "vector_reward": raw,
            "reward_weights": weights,
            "reward_components": masked(components),
            "reward_status": masked(status),
            "reward_potential": spread(batch.potential),
            "env_reward": spread(env_rewards if rows is None else env_rewards[rows]),
        }
    )
