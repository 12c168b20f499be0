"""Infos that are written when somebody reads them.

A step of a thousand token-level episodes takes less time than the texts and lists that describe it, and most trainers
look at none of them. `DeferredInfos` keeps what it takes to write them, and is an ordinary dict from the first look on.
"""

from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.collation import Columns, ColumnTable, Rows, pick_columns

KnownColumn = tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]
"""[N] values, and [N] which rows have one."""
PENDING = "infos are pending"
"""The only key until the first look: C code that asks a dict for its size alone must not take it for an empty one."""


@dataclass(frozen=True, slots=True)
class EndedEpisodes:
    """What a trainer asks about the k episodes that ended in a step which began the next ones at once."""

    rows: Rows
    """[k] row numbers, ascending."""
    observations: npt.NDArray[Any]
    """[k, ...] the last observations."""
    correct: npt.NDArray[np.bool_]
    """[k] whether the last step submitted a message that the grader accepted."""
    infos: "DeferredInfos"
    """Their last infos, collated over all rows."""

    def observation(self, row: int) -> npt.NDArray[Any]:
        """The last observation of one of the rows."""
        last: npt.NDArray[Any] = self.observations[int(np.searchsorted(self.rows, row))]
        return last


class DeferredInfos(dict[str, Any]):
    """A dict that is filled at the first look at it, whatever that is.

    Args:
        make: writes the content; called once at most. It must depend on nothing that changes.
        ended: the episodes that ended in this step, for those who need not read the rest.
        known: columns that need no writing: [N] values, and [N] which rows have one.

    Example:
        >>> infos = DeferredInfos(lambda: {"score": 1.0})
        >>> infos.pending, infos["score"], infos.pending
        (True, 1.0, False)
    """

    def __init__(
        self,
        make: Callable[[], dict[str, Any]],
        ended: EndedEpisodes | None = None,
        known: Mapping[str, KnownColumn] | None = None,
    ) -> None:
        super().__init__({PENDING: None})
        self.make: Callable[[], dict[str, Any]] | None = make
        self.ended, self.known = ended, known or {}

    @property
    def pending(self) -> bool:
        """True as long as nobody has looked."""
        return self.make is not None

    def filled(self) -> "DeferredInfos":
        """Write the content if nobody has looked before."""
        if self.make is not None:
            content = self.make()
            self.make = None
            super().clear()
            super().update(content)
        return self

    def __getitem__(self, key: str) -> Any:
        self.filled()
        return super().__getitem__(key)

    def __setitem__(self, key: str, value: Any) -> None:
        self.filled()
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.filled()
        super().__delitem__(key)

    def __contains__(self, key: object) -> bool:
        self.filled()
        return super().__contains__(key)

    def __iter__(self) -> Iterator[str]:
        self.filled()
        return super().__iter__()

    def __reversed__(self) -> Iterator[str]:
        self.filled()
        return super().__reversed__()

    def __len__(self) -> int:
        self.filled()
        return super().__len__()

    def __repr__(self) -> str:
        self.filled()
        return super().__repr__()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, DeferredInfos):
            other.filled()
        return dict.__eq__(self.filled(), other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None

    def __or__(self, other: Any) -> Any:
        return dict(self) | dict(other) if isinstance(other, dict) else NotImplemented

    def __ror__(self, other: Any) -> Any:
        return dict(other) | dict(self) if isinstance(other, dict) else NotImplemented

    def __ior__(self, other: Any) -> "DeferredInfos":  # type: ignore[override]  # a dict takes pairs as well
        self.update(other)
        return self

    def __reduce_ex__(self, protocol: Any) -> Any:
        return dict, (dict(self),)

    def keys(self) -> KeysView[str]:  # type: ignore[override]  # the views of a dict are these
        """The keys."""
        self.filled()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # type: ignore[override]
        """The values."""
        self.filled()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # type: ignore[override]
        """Keys and values."""
        self.filled()
        return super().items()

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or a default."""
        self.filled()
        return super().get(key, default)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of a key, set to a default where there is none."""
        self.filled()
        return super().setdefault(key, default)

    def pop(self, *args: Any) -> Any:
        """Remove a key."""
        self.filled()
        return super().pop(*args)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last key."""
        self.filled()
        return super().popitem()

    def update(self, *args: Any, **values: Any) -> None:
        """Set keys."""
        self.filled()
        super().update(*args, **values)

    def clear(self) -> None:
        """Remove all keys."""
        self.filled()
        super().clear()

    def copy(self) -> dict[str, Any]:
        """A plain dict of the same."""
        return dict(self)


class DeferredTable(ColumnTable):
    """A table whose columns are written when somebody reads them.

    Args:
        rows: [k] row numbers, ascending.
        make: writes the columns; called once at most. It must depend on nothing that changes.
    """

    __slots__ = ("added", "make")

    def __init__(self, rows: Rows, make: Callable[[], Columns]) -> None:
        self.rows = rows
        self.make = make
        self.added: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        if name != "columns":
            raise AttributeError(name)
        columns = self.make()
        for key, values in self.added.items():
            columns[key] = values() if callable(values) else values
        self.columns = columns
        return columns

    def add(self, key: str, values: Any) -> None:
        """Set a key in all rows, to values or to what a function returns when it is asked."""
        self.added[key] = values

    def picked(self, keep: npt.NDArray[np.bool_]) -> ColumnTable:
        """The table of some of the rows, [k] bool."""
        return self if keep.all() else DeferredTable(self.rows[keep], lambda: pick_columns(self.columns, keep))
