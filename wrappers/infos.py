"""The infos of many rows, as rows or as the columns that a vector environment delivers them in."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.deferred import DeferredInfos
from rlenvs.wrappers.base import FloatArray

BoolArray = npt.NDArray[np.bool_]
COLUMNS = (np.ndarray, list, tuple)


class Infos(ABC):
    """The infos of N rows."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, row: int) -> Mapping[str, Any]: ...

    @abstractmethod
    def picked(self, rows: "npt.NDArray[np.intp]") -> "Infos":
        """Return the infos of some of the rows."""

    def column(self, key: str, default: Any = None) -> list[Any]:
        """Return `info[key]` of every row, or `default` where a row has no such key; N values."""
        return [self[row].get(key, default) for row in range(len(self))]

    def numbers(self, key: str, default: float | None = None) -> FloatArray:
        """Return `info[key]` of every row as a number, `[N]`.

        Raises:
            KeyError: a row lacks the key and there is no default.
        """
        return np.array([number_in(self[row], key, default) for row in range(len(self))], dtype=np.float64)


class RowInfos(Infos):
    """Infos that are rows already."""

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> Mapping[str, Any]:
        return self._rows[row]

    def picked(self, rows: "npt.NDArray[np.intp]") -> "RowInfos":
        """Return the infos of some of the rows."""
        return RowInfos([self._rows[row] for row in rows.tolist()])


class CollatedInfos(Infos):
    """The infos of a vector environment, as Gymnasium collates them: `key` and mask `_key`, `[M]` each.

    Args:
        infos: the collated infos of M sub-environments.
        rows: which of them, `[N]`; None for all.
        finals: what belongs to the rows that ended in a step with autoreset SAME_STEP: `infos["final_info"]`.
        ended: `[M]` which rows these are.
        extra: what an agent adds, one mapping for each of the M.
    """

    def __init__(
        self,
        infos: Mapping[str, Any],
        rows: npt.NDArray[np.intp] | None,
        count: int,
        finals: Mapping[str, Any] | None = None,
        ended: BoolArray | None = None,
        extra: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self._infos, self._rows, self._count = infos, rows, count
        self._finals, self._ended, self._extra = finals, ended, extra

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> Mapping[str, Any]:
        place = row if self._rows is None else int(self._rows[row])
        from_finals = self._finals is not None and self._ended is not None and self._ended[place]
        info = row_info(self._finals if from_finals and self._finals is not None else self._infos, place)
        return info if self._extra is None else {**info, **self._extra[place]}

    def picked(self, rows: "npt.NDArray[np.intp]") -> "CollatedInfos":
        """Return the infos of some of the rows."""
        places = rows if self._rows is None else self._rows[rows]
        return CollatedInfos(self._infos, places, len(rows), self._finals, self._ended, self._extra)

    def column(self, key: str, default: Any = None) -> list[Any]:
        """Return `info[key]` of every row, or `default`; by columns where the environment has them."""
        going = listed_column(self._infos, key, default)
        if going is None or (self._extra is not None and any(key in extra for extra in self._extra)):
            return super().column(key, default)
        if self._finals is not None and self._ended is not None:
            last = listed_column(self._finals, key, default)
            if last is None:
                return super().column(key, default)
            going, last = going or [default] * len(self._ended), last or [default] * len(self._ended)
            going = [last[row] if over else going[row] for row, over in enumerate(self._ended.tolist())]
        if not going:
            return [default] * self._count
        return going if self._rows is None else [going[row] for row in self._rows.tolist()]

    def numbers(self, key: str, default: float | None = None) -> FloatArray:
        """Return `info[key]` of every row as a number, `[N]`; by columns where the environment has them."""
        added = self._extra is not None and any(key in extra for extra in self._extra)
        found = None if added else self._column(key)
        if found is None:
            return super().numbers(key, default)
        values, present = found
        if not present.any():
            return super().numbers(key) if default is None else np.full(self._count, default)
        if self._rows is not None:
            values, present = values[self._rows], present[self._rows]
        if present.all():
            return values
        return super().numbers(key) if default is None else np.where(present, values, default)

    def _column(self, key: str) -> tuple[FloatArray, BoolArray] | None:
        """Return what M sub-environments have under a key, and which of them have it; None if that is no number."""
        going = number_column(self._infos, key)
        if self._finals is None or self._ended is None:
            return going
        last = number_column(self._finals, key)
        if going is None or last is None:
            return None
        return np.where(self._ended, last[0], going[0]), np.where(self._ended, last[1], going[1])


def number_in(info: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """Return `info[key]` as a number; None counts as missing.

    Raises:
        KeyError: there is no such number and no default; the message lists the keys there are.

    Example:
        >>> number_in({"score": 1}, "score"), number_in({}, "score", 0.5)
        (1.0, 0.5)
    """
    value = info.get(key)
    if value is None:
        if default is not None:
            return default
        if key in info:
            raise KeyError(f"info[{key!r}] is None, not a number")
        raise KeyError(f"info has no {key!r}; it has {', '.join(sorted(map(str, info))) or 'nothing'}")
    return float(value)


def raw_column(infos: Mapping[str, Any], key: str) -> tuple[Any, BoolArray | None] | None:
    """Return what is under a key and which rows have it, for all rows None; None where no row does."""
    if isinstance(infos, DeferredInfos) and infos.pending and key in infos.known:
        return infos.known[key]
    return (infos[key], infos.get(f"_{key}")) if key in infos else None


def number_column(infos: Mapping[str, Any], key: str) -> tuple[FloatArray, BoolArray] | None:
    """Return a column as numbers and which rows have it, `[M]` each (one place where no row does); None for others."""
    found = raw_column(infos, key)
    if found is None:
        return np.zeros(1), np.zeros(1, dtype=np.bool_)
    column, mask = found
    if not isinstance(column, np.ndarray) or column.ndim != 1 or column.dtype.kind not in "biuf":
        return None
    return column.astype(np.float64), np.ones(len(column), dtype=np.bool_) if mask is None else mask


def listed_column(infos: Mapping[str, Any], key: str, default: Any) -> list[Any] | None:
    """Return a column with `default` where a row has none, `[M]`; empty where no row has any, None for a nested one."""
    found = raw_column(infos, key)
    if found is None:
        return []
    column, mask = found
    if not isinstance(column, np.ndarray) or column.ndim != 1:
        return None
    values: list[Any] = column.tolist()
    if column.dtype == object:  # as `row_info` has them
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
    if mask is None or mask.all():
        return values
    return [value if present else default for value, present in zip(values, mask.tolist(), strict=True)]


def row_info(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """Return the info of one sub-environment from Gymnasium's collated infos.

    Arrays, lists and tuples are columns; anything else that a vector environment puts there belongs to every row.

    Example:
        >>> import numpy as np
        >>> infos = {"score": np.array([0.0, 1.0]), "_score": np.array([False, True])}
        >>> row_info(infos, 0), row_info(infos, 1)
        ({}, {'score': 1.0})
    """
    info: dict[str, Any] = {}
    for key, value in infos.items():
        if key in ("final_obs", "final_info") or _is_mask(key, infos):
            continue
        present = infos.get(f"_{key}")
        if present is not None and not present[row]:
            continue
        if isinstance(value, Mapping):
            info[key] = row_info(value, row)
        else:
            item = value[row] if isinstance(value, COLUMNS) else value
            info[key] = item.item() if isinstance(item, np.generic) else item
    return info


def _is_mask(key: Any, infos: Mapping[str, Any]) -> bool:
    """Return whether `key` is the mask of another one; Gymnasium makes "_3" of the key 3 too."""
    if not isinstance(key, str) or not key.startswith("_"):
        return False
    return key[1:] in infos or any(str(other) == key[1:] for other in infos if not isinstance(other, str))
