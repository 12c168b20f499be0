"""What a reset or a step of a vector environment led to, kept as it came until somebody asks for a row."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium import Space
from gymnasium.vector.utils import iterate

from rlenvs.envs.deferred import DeferredInfos, EndedEpisodes
from rlenvs.wrappers.infos import BoolArray, CollatedInfos, row_info
from rlenvs.wrappers.transition import RewardState
from rlenvs.wrappers.transition_batch import StateBatch

UNCHANGING = frozenset({int, float, bool, str, list})  # lists too: they hold messages, which nobody changes


class Arrivals:
    """The states that M sub-environments arrived at in one call.

    Infos that nobody has read yet (`DeferredInfos`) stay unread until a row or a column of them is asked for. Whoever
    has them must give away copies, see `own_copy`.

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
        self._space, self._observations = space, kept(observations)
        self._infos = infos if isinstance(infos, DeferredInfos) else kept(infos)
        self._ended = ended if ended is not None and ended.any() else None
        self._extra = extra
        self._by_row: list[Any] | None = None

    def observation(self, row: int) -> Any:
        """Return the observation of one row; a batch of a Dict or Tuple space is not indexed by rows."""
        if self._ended is not None and self._ended[row]:
            known = self._known_ends()
            return self._infos["final_obs"][row] if known is None else known.observation(row)
        if self._by_row is None:
            self._by_row = list(iterate(self._space, self._observations))
        return self._by_row[row]

    def info(self, row: int) -> dict[str, Any]:
        """Return the info of one row."""
        final = self._ended is not None and self._ended[row]
        info = row_info(self._final_infos() if final else self._infos, row)
        return info if self._extra is None else {**info, **self._extra[row]}

    def infos(self, rows: "npt.NDArray[np.intp] | None", count: int) -> CollatedInfos:
        """Return the infos of some rows, all where `rows` is None."""
        finals = None if self._ended is None else self._final_infos()
        return CollatedInfos(self._infos, rows, count, finals, self._ended, self._extra)

    def _known_ends(self) -> EndedEpisodes | None:
        """Return what is known of the episodes that ended here without reading the infos."""
        return self._infos.ended if isinstance(self._infos, DeferredInfos) else None

    def _final_infos(self) -> Mapping[str, Any]:
        """Return the infos of the episodes that ended here."""
        known = self._known_ends()
        final: Mapping[str, Any] = self._infos["final_info"] if known is None else known.infos
        return final

    def opening(self, row: int) -> RewardState:
        """Return the first state of an episode that begins here."""
        observation, info = self.observation(row), self.info(row)
        return RewardState(first_message(observation, info), info.get("messages", ()), observation, info)

    def openings(self, rows: npt.NDArray[np.intp]) -> Sequence[RewardState]:
        """Return the first states of the episodes that begin here."""
        if isinstance(self._infos, DeferredInfos):
            return StateBatch(self.infos(rows, len(rows)), lambda place: self.opening(int(rows[place])))
        return [self.opening(row) for row in rows.tolist()]


class RestoredArrival:
    """The state of one row as a checkpoint had it."""

    def __init__(self, observation: Any, info: dict[str, Any]) -> None:
        self._observation, self._info = observation, info

    def observation(self, row: int) -> Any:
        """Return the observation."""
        return self._observation

    def info(self, row: int) -> dict[str, Any]:
        """Return the info."""
        return self._info


def first_message(observation: Any, info: Mapping[str, Any]) -> str:
    """Return the first message of an episode, from its first observation or from any later info."""
    if isinstance(observation, str):
        return observation
    messages = info.get("messages", ())
    return str(messages[0]["content"]) if messages else ""


def own_copy(infos: dict[str, Any]) -> dict[str, Any]:
    """Return infos that the caller may write into; those that nobody has read stay unread."""
    if isinstance(infos, DeferredInfos):
        return DeferredInfos(lambda: dict(kept(infos)), infos.ended, infos.known)
    return infos


def with_parts(infos: dict[str, Any], parts: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return infos and what is added to them, both written when somebody reads them if the infos are."""
    if isinstance(infos, DeferredInfos):
        return DeferredInfos(lambda: {**kept(infos), **parts()}, infos.ended, infos.known)
    return infos | parts()


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
