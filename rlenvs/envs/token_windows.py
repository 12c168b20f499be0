"""The observed windows of many token-level episodes: the newest ids of each row."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

SLACK = 64
"""Least number of steps between two moves of the windows to the front of their buffer."""


class TokenWindows:
    """N windows of L ids, the newest last, padding in front.

    Every step appends one id to every row, so the windows slide over a buffer that is longer than they are, and are
    moved back once they have reached its end: a step costs N writes, not N * L.

    Args:
        num_rows: N.
        length: L.
        pad: the id that fills unused places.

    Example:
        >>> windows = TokenWindows(1, length=3, pad=0)
        >>> windows.fill([0], np.array([[0, 0, 7]]))
        >>> windows.push(np.array([8]))
        >>> windows.extend(0, [9, 4])
        >>> windows.values().tolist()
        [[8, 9, 4]]
    """

    def __init__(self, num_rows: int, length: int, pad: int) -> None:
        self.length = length
        self.buffer = np.full((num_rows, length + max(SLACK, min(length, 4096))), pad, dtype=np.int32)
        self.end = length

    def values(self) -> npt.NDArray[np.int32]:
        """[N, L] all windows, a new array."""
        return self.buffer[:, self.end - self.length : self.end].copy()

    def row(self, row: int) -> npt.NDArray[np.int32]:
        """[L] one window, a new array."""
        return self.buffer[row, self.end - self.length : self.end].copy()

    def of(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
        """[k, L] the windows of some rows, a new array."""
        return self.buffer[rows, self.end - self.length : self.end]

    def push(self, tokens: npt.NDArray[np.int64]) -> None:
        """Append one id to every row, [N]."""
        if self.end == self.buffer.shape[1]:
            self.buffer[:, : self.length] = self.values()
            self.end = self.length
        self.buffer[:, self.end] = tokens
        self.end += 1

    def extend(self, row: int, tokens: Sequence[int]) -> None:
        """Append ids to one row."""
        tokens = list(tokens)[-self.length :]
        if tokens:
            window = self.row(row)
            self.fill([row], np.concatenate([window[len(tokens) :], np.array(tokens, dtype=np.int32)])[None])

    def fill(self, rows: Sequence[int] | npt.NDArray[np.intp], windows: npt.NDArray[np.int32]) -> None:
        """Replace the windows of some rows, [k, L]."""
        self.buffer[rows, self.end - self.length : self.end] = windows
