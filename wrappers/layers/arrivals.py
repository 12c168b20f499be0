"""What a reset or a step of a vector environment led to, kept as it came until somebody asks for a row."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import Space
from gymnasium.vector.utils import iterate

from rlenvs.wrappers.transition_batch import BoolArray, CollatedInfos, row_info

UNCHANGING = frozenset({int, float, bool, str, list})  # lists too: they hold messages, which nobody changes


class Arrivals:
    """The states that M sub-environments arrived at in one call.

    Args:
        space: observation space of the vector environment.
        observations: its batched observations; arrays are copied, because an environment may write into its own.
        infos: its collated infos, copied likewise.
        ended: `[M]` rows whose episode ended here while `observations` are already those of the next one, as with
            autoreset SAME_STEP; their states are in `infos["final_obs"]` and `infos["final_info"]`.
        extra: what an agent adds to the infos, one mapping per row.
    """

    def __init__(
        self,
        space: Space[Any],
        observations: Any,
        infos: Mapping[str, Any],
        ended: BoolArray | None = None,
        extra: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self._space, self._observations, self._infos = space, kept(observations), kept(infos)
        self._ended = ended if ended is not None and ended.any() else None
        self._extra = extra
        self._by_row: list[Any] | None = None

    def observation(self, row: int) -> Any:
        """Return the observation of one row; a batch of a Dict or Tuple space is not indexed by rows."""
        if self._ended is not None and self._ended[row]:
            return self._infos["final_obs"][row]
        if self._by_row is None:
            self._by_row = list(iterate(self._space, self._observations))
        return self._by_row[row]

    def info(self, row: int) -> dict[str, Any]:
        """Return the info of one row."""
        final = self._ended is not None and self._ended[row]
        info = row_info(self._infos["final_info"] if final else self._infos, row)
        return info if self._extra is None else {**info, **self._extra[row]}

    def infos(self, rows: "npt.NDArray[np.intp] | None", count: int) -> CollatedInfos:
        """Return the infos of some rows, all where `rows` is None."""
        finals = None if self._ended is None else self._infos["final_info"]
        return CollatedInfos(self._infos, rows, count, finals, self._ended, self._extra)


def kept(value: Any) -> Any:
    """Return `value` with copies of the arrays in it, so that it stays what it is when an environment goes on.

    Example:
        >>> buffer = np.zeros(1)
        >>> before = kept({"position": buffer})
        >>> buffer += 1
        >>> before
        {'position': array([0.])}
    """
    kind = type(value)
    if kind in UNCHANGING:  # first: what most observations of single environments are
        return value
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: kept(item) for key, item in value.items()}
    return tuple([kept(item) for item in value]) if kind is tuple else value
