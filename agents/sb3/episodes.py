"""What each row's episode has brought so far, and the `episode` entry of those that end."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.errors import UserError

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]
DIGITS = 6
"""Places that a return keeps behind the point, as those of Stable-Baselines3's `Monitor`."""


class EpisodeSums:
    """Returns and lengths of the episodes at hand, for N rows.

    The true return is what the task paid, the shaped one what the learner saw. A weight that a schedule moves changes
    the second and not the first, so only the first can be compared over a run, or between runs.

    Args:
        num_rows: N.

    Example:
        >>> sums = EpisodeSums(2)
        >>> sums.add(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
        >>> entry = sums.close(np.array([1]))[0]
        >>> entry["r"], entry["shaped"], entry["l"], sums.lengths.tolist()
        (1.0, 0.5, 1, [1, 0])
    """

    def __init__(self, num_rows: int) -> None:
        self.true: Floats = np.zeros(num_rows)
        self.shaped: Floats = np.zeros(num_rows)
        self.lengths = np.zeros(num_rows, dtype=np.int64)
        self.started = time.time()

    def add(self, true_rewards: Floats, shaped_rewards: Floats) -> None:
        """Count one step of every row, `[N]` rewards each."""
        self.true += true_rewards
        self.shaped += shaped_rewards
        self.lengths += 1

    def close(self, rows: Rows) -> list[dict[str, Any]]:
        """Return the entries of episodes that ended, `r`, `l` and `t` as `Monitor` gives them, and begin the next."""
        elapsed = round(time.time() - self.started, DIGITS)
        sums = zip(self.true[rows].tolist(), self.shaped[rows].tolist(), self.lengths[rows].tolist(), strict=True)
        entries = [
            {"r": round(true, DIGITS), "l": length, "t": elapsed, "shaped": round(shaped, DIGITS)}
            for true, shaped, length in sums
        ]
        self.true[rows] = self.shaped[rows] = 0.0
        self.lengths[rows] = 0
        return entries

    def clear(self) -> None:
        """Begin anew in every row."""
        self.true[:] = self.shaped[:] = 0.0
        self.lengths[:] = 0

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as plain data."""
        return {"true": self.true.tolist(), "shaped": self.shaped.tolist(), "lengths": self.lengths.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            UserError: it is of another number of rows.
        """
        if len(state["lengths"]) != len(self.lengths):
            raise UserError(
                f"state: it has {len(state['lengths'])} episodes, this environment {len(self.lengths)} rows"
            )
        self.true[:], self.shaped[:], self.lengths[:] = state["true"], state["shaped"], state["lengths"]
