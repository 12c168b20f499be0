"""Many transitions at once, by row or by column.

A vector environment delivers its infos as columns. What a batch-aware component needs of them (`infos.numbers`,
`env_rewards`, `terminated`) is taken from these columns as it is; rows are made only when somebody asks for one.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import cast, overload

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.infos import BoolArray, Infos, RowInfos
from rlenvs.wrappers.transition import RewardState, Transition


class TransitionBatch(Sequence[Transition]):
    """N transitions.

    Args:
        infos: the infos after the steps.
        env_rewards: `[N]` rewards of the environment.
        terminated: `[N]` bool.
        row: makes one transition.

    Example:
        >>> batch = TransitionBatch.of([Transition(env_reward=0.5), Transition(env_reward=2.0)])
        >>> batch.env_rewards.tolist(), batch[1].env_reward
        ([0.5, 2.0], 2.0)
    """

    def __init__(
        self, infos: Infos, env_rewards: FloatArray, terminated: BoolArray, row: Callable[[int], Transition]
    ) -> None:
        self.infos = infos
        self.env_rewards = env_rewards
        self.terminated = terminated
        self._make = row
        self._rows: list[Transition | None] = [None] * len(infos)

    @classmethod
    def of(cls, transitions: Sequence[Transition]) -> "TransitionBatch":
        """Return `transitions` as a batch; a batch is returned as it is."""
        if isinstance(transitions, TransitionBatch):
            return transitions
        rows = list(transitions)
        return cls(
            RowInfos([transition.info for transition in rows]),
            np.array([transition.env_reward for transition in rows], dtype=np.float64),
            np.array([transition.terminated for transition in rows], dtype=np.bool_),
            rows.__getitem__,
        )

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Transition]:
        return (self[row] for row in range(len(self._rows)))

    @overload
    def __getitem__(self, row: int) -> Transition: ...
    @overload
    def __getitem__(self, row: slice) -> list[Transition]: ...
    def __getitem__(self, row: int | slice) -> Transition | list[Transition]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        transition = self._rows[row]
        if transition is None:
            transition = self._rows[row] = self._make(row if row >= 0 else len(self) + row)
        return transition

    def groups(self) -> list[Hashable]:
        """Return what says which rows answer the same prompt: the problem's id, else the prompt itself."""
        return [_group_key(t) for t in self]

    def states_after(self, rows: "npt.NDArray[np.intp]") -> "StateBatch":
        """Return the states that the steps of some rows led to."""
        return StateBatch(self.infos.picked(rows), lambda place: self[int(rows[place])].state_after())


class StateBatch(Sequence[RewardState]):
    """N states as potentials see them.

    Args:
        infos: the infos that came with the states.
        row: makes one state.
    """

    def __init__(self, infos: Infos, row: Callable[[int], RewardState]) -> None:
        self.infos = infos
        self._make = row

    @classmethod
    def of(cls, states: Sequence[RewardState]) -> "StateBatch":
        """Return `states` as a batch; a batch is returned as it is."""
        if isinstance(states, StateBatch):
            return states
        return cls(RowInfos([state.info for state in states]), states.__getitem__)

    def __len__(self) -> int:
        return len(self.infos)

    @overload
    def __getitem__(self, row: int) -> RewardState: ...
    @overload
    def __getitem__(self, row: slice) -> list[RewardState]: ...
    def __getitem__(self, row: int | slice) -> RewardState | list[RewardState]:
        if isinstance(row, slice):
            return [self._make(index) for index in range(*row.indices(len(self)))]
        return self._make(row if row >= 0 else len(self) + row)

    def __iter__(self) -> Iterator[RewardState]:
        return (self._make(row) for row in range(len(self)))


def _group_key(transition: Transition) -> Hashable:
    key = transition.info.get("problem_id")
    if key is None:
        return transition.prompt
    try:
        hash(key)
    except TypeError:  # a list or a mapping says which problem it is too
        return repr(key)
    return cast("Hashable", key)
