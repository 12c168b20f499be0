"""Infos of many episodes as one dict of arrays, the way Gymnasium's vector environments lay them out.

A table holds the infos of some rows, as columns where all of them have the same keys, else as dicts; `collate` makes
arrays of tables. Whoever has columns already is so spared a dict per row.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt

Columns = dict[str, Any]
"""For each key a list or an array with one value per row, or columns again for a nested dict."""
Rows = npt.NDArray[np.intp]
Column = tuple[list[int], list[Any]]
"""Row numbers, and the value of each of these rows."""
NUMBERS = (int, float, bool)
CONVERTIBLE = (*NUMBERS, np.number, np.bool_)


@dataclass(slots=True)
class ColumnTable:
    """Infos of rows that all have the same keys.

    Args:
        rows: [k] row numbers, ascending.
        columns: k values per key.
    """

    rows: Rows
    columns: Columns

    def add(self, key: str, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Set a key in all rows."""
        self.columns[key] = values

    def picked(self, keep: npt.NDArray[np.bool_]) -> "ColumnTable":
        """The table of some of the rows, [k] bool."""
        return self if keep.all() else ColumnTable(self.rows[keep], pick_columns(self.columns, keep))

    def write(self, infos: dict[str, Any], num_envs: int) -> None:
        """Write into collated infos."""
        if len(self.rows):
            write_columns(infos, self.rows, self.columns, num_envs)


@dataclass(slots=True)
class RowTable:
    """Infos of rows that need not have the same keys.

    Args:
        rows: [k] row numbers.
        infos: an info for each.
    """

    rows: Rows
    infos: list[dict[str, Any]]

    def add(self, key: str, values: Sequence[Any] | npt.NDArray[Any]) -> None:
        """Set a key in all rows."""
        for info, value in zip(self.infos, plain_values(values), strict=True):
            info[key] = value

    def picked(self, keep: npt.NDArray[np.bool_]) -> "RowTable":
        """The table of some of the rows, [k] bool."""
        return RowTable(self.rows[keep], [info for info, kept in zip(self.infos, keep, strict=True) if kept])

    def write(self, infos: dict[str, Any], num_envs: int) -> None:
        """Write into collated infos."""
        for key, (rows, values) in columns_of(list(zip(self.rows.tolist(), self.infos, strict=True))).items():
            column: Any = values
            if isinstance(values[0], dict) and key != "final_obs":
                nested = infos.setdefault(key, {})
                RowTable(np.array(rows, dtype=np.intp), values).write(nested, num_envs)
                mark(infos, key, np.array(rows, dtype=np.intp), num_envs)
            else:
                write_columns(infos, np.array(rows, dtype=np.intp), {key: column}, num_envs)


Table = ColumnTable | RowTable


def collate(tables: Iterable[Table], num_envs: int) -> dict[str, Any]:
    """Collate tables, as `gymnasium.vector.VectorEnv._add_info` does with the infos of one row after the other.

    Numbers become arrays, other values object arrays, nested dicts stay nested, and every key has a bool mask `_key` of
    the rows that have it.

    Args:
        tables: infos; the first row that has a key decides on the type of its array.
        num_envs: length of the arrays.

    Example:
        >>> tables = [ColumnTable(np.array([0, 2]), {"score": [0.5, 1.0]}), RowTable(np.array([1]), [{"why": "late"}])]
        >>> infos = collate(tables, num_envs=3)
        >>> infos["score"].tolist(), infos["_score"].tolist(), infos["why"].tolist()
        ([0.5, 0.0, 1.0], [True, False, True], [None, 'late', None])
    """
    listed = [table for table in tables if len(table.rows)]
    infos: dict[str, Any] = {}
    if len(listed) == 1:
        listed[0].write(infos, num_envs)
        return infos
    columns = [as_columns(table) for table in listed]
    for table in columns:
        if table is None or not write_columns(infos, table.rows, table.columns, num_envs):
            # Where kinds of values differ, the first row that has a key decides, whatever table it is in.
            return collate([in_row_order(listed)], num_envs)
    return infos


def collate_finals(rows: Rows, observations: Sequence[Any], tables: Iterable[Table], num_envs: int) -> dict[str, Any]:
    """Collate what belongs to episodes that ended in a step that already began the next ones.

    Args:
        rows: [k] which rows ended.
        observations: their k last observations.
        tables: their last infos.
        num_envs: length of the arrays.
    """
    if not len(rows):
        return {}
    finals = collate([ColumnTable(rows, {"final_obs": observations})], num_envs)
    mask = finals["_final_obs"].copy()
    return {**finals, "final_info": collate(tables, num_envs), "_final_info": mask}


def collate_infos(rows: Iterable[tuple[int, Mapping[str, Any]]], num_envs: int) -> dict[str, Any]:
    """Collate infos of single episodes; see `collate`.

    Args:
        rows: (row number, info) in the order in which keys are to appear; a row may come more than once.
        num_envs: length of the arrays.

    Example:
        >>> infos = collate_infos([(0, {"score": 0.5}), (2, {"score": 1.0})], num_envs=3)
        >>> infos["score"].tolist(), infos["_score"].tolist()
        ([0.5, 0.0, 1.0], [True, False, True])
    """
    listed = [(row, dict(info)) for row, info in rows]
    return collate([RowTable(np.array([row for row, _ in listed], dtype=np.intp), [i for _, i in listed])], num_envs)


def columns_of(rows: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Column]:
    """Turn infos into columns; quickly if all of them have the same keys."""
    if not rows:
        return {}
    keys = rows[0][1].keys()
    if all([info.keys() == keys for _, info in rows]):
        indices = [row for row, _ in rows]
        return {key: (indices, [info[key] for _, info in rows]) for key in keys}
    columns: dict[str, Column] = {}
    for row, info in rows:
        for key, value in info.items():
            some_rows, values = columns.setdefault(key, ([], []))
            some_rows.append(row)
            values.append(value)
    return columns


def pick_columns(columns: Columns, keep: npt.NDArray[np.bool_]) -> Columns:
    """The columns of some rows."""
    picked: Columns = {}
    for key, values in columns.items():
        if isinstance(values, dict):
            picked[key] = pick_columns(values, keep)
        elif isinstance(values, np.ndarray):
            picked[key] = values[keep]
        else:
            picked[key] = [value for value, kept in zip(values, keep, strict=True) if kept]
    return picked


def write_columns(infos: dict[str, Any], rows: Rows, columns: Columns, num_envs: int) -> bool:
    """Write columns into collated infos; False if there are arrays that they do not fit in."""
    everywhere = len(rows) == num_envs and bool((rows[1:] > rows[:-1]).all())
    for key, values in columns.items():
        array = infos.get(key)
        if isinstance(values, dict):
            if not isinstance(infos.setdefault(key, {}), dict):
                return False
            if not write_columns(infos[key], rows, values, num_envs):
                return False
        else:
            column = values if isinstance(values, np.ndarray) else array_of(values, boxed=key == "final_obs")
            if array is not None and (isinstance(array, dict) or array.dtype != column.dtype):
                return False
            if array is None and everywhere:
                infos[key] = column
            else:
                if array is None:
                    array = infos[key] = blank(column, num_envs)
                array[rows] = column
        mark(infos, key, rows, num_envs)
    return True


def mark(infos: dict[str, Any], key: str, rows: Rows, num_envs: int) -> None:
    """Note in the mask of a key that some rows have it."""
    mask = infos.get(f"_{key}")
    if mask is None:
        mask = infos[f"_{key}"] = np.zeros(num_envs, dtype=np.bool_)
    mask[rows] = True


def blank(column: npt.NDArray[Any], num_envs: int) -> npt.NDArray[Any]:
    """What rows without a value hold: None, or zero where values are numbers."""
    if column.dtype == object:
        return np.empty(num_envs, dtype=object)  # NumPy fills it with None
    return np.zeros((num_envs, *column.shape[1:]), dtype=column.dtype)


def array_of(values: Sequence[Any], *, boxed: bool = False) -> npt.NDArray[Any]:
    """An array of values.

    The first value decides: numbers and arrays keep their type, anything else (and everything if `boxed`) is an object.
    Where the first is a number and others are none, or too large for its array, all are objects; Gymnasium would raise.
    """
    first = values[0]
    if not boxed and isinstance(first, np.ndarray):
        return np.array(values, dtype=first.dtype)
    numbers = type(first) in NUMBERS or isinstance(first, np.number)
    if not boxed and numbers and all(issubclass(kind, CONVERTIBLE) for kind in set(map(type, values))):
        with contextlib.suppress(OverflowError):
            return np.array(values, dtype=type(first))
    return np.fromiter(values, dtype=object, count=len(values))


def in_row_order(tables: Sequence[Table]) -> RowTable:
    """All tables as one, a dict per row."""
    rows: list[tuple[int, dict[str, Any]]] = []
    for table in tables:
        infos = table.infos if isinstance(table, RowTable) else row_dicts(table.columns, len(table.rows))
        rows.extend(zip(table.rows.tolist(), infos, strict=True))
    rows.sort(key=itemgetter(0))
    return RowTable(np.array([row for row, _ in rows], dtype=np.intp), [info for _, info in rows])


def row_dicts(columns: Columns, count: int) -> list[dict[str, Any]]:
    """Columns as a dict per row."""
    listed = {
        key: row_dicts(values, count) if isinstance(values, dict) else plain_values(values)
        for key, values in columns.items()
    }
    return [{key: values[place] for key, values in listed.items()} for place in range(count)]


def plain_values(values: Sequence[Any] | npt.NDArray[Any]) -> Sequence[Any]:
    """A column as a list."""
    return values.tolist() if isinstance(values, np.ndarray) else values


def as_columns(table: Table) -> ColumnTable | None:
    """The table by columns, if all rows have the same keys and a key the same kind of value; else None."""
    if isinstance(table, ColumnTable):
        return table
    columns = uniform_columns(table.infos)
    return None if columns is None else ColumnTable(table.rows, columns)


def uniform_columns(infos: Sequence[Mapping[str, Any]]) -> Columns | None:
    """Dicts of the same keys and kinds of values as columns."""
    columns: Columns = {}
    keys = infos[0].keys() if infos else ()
    if not all([info.keys() == keys for info in infos]):
        return None
    for key in keys:
        values = [info[key] for info in infos]
        kinds = set(map(type, values))
        if len(kinds) > 1 or np.ndarray in kinds:
            return None
        column = uniform_columns(values) if dict in kinds else values
        if column is None:
            return None
        columns[key] = column
    return columns


class InfoStore:
    """The infos of N rows that stay what they are over many steps, kept as columns.

    A step takes a copy of each column instead of a dict per row. What is in a column, as the list of a row, is the same
    object in all the infos of the row until it is written anew.

    Args:
        num_rows: N.
    """

    def __init__(self, num_rows: int) -> None:
        self.num_rows = num_rows
        self.columns: Columns = {}
        self.uniform = True
        """False once rows came that have no columns in common; then there is nothing to keep."""

    def put(self, table: Table) -> None:
        """Replace the infos of some rows."""
        if not self.uniform:
            return
        made = as_columns(table)
        if made is None or not self.fits(made):
            self.uniform, self.columns = False, {}
        else:
            put_columns(self.columns, made.rows, made.columns, self.num_rows)

    def fits(self, table: ColumnTable) -> bool:
        """True if these columns are of the keys and kinds of those that are kept."""
        return not self.columns or fitting(self.columns, table.columns)

    def table(self, rows: Rows, without: Collection[str] = ()) -> ColumnTable:
        """The infos of some rows, except for some keys."""
        assert self.uniform, "there are columns only where all rows have the same"
        wanted = {key: array for key, array in self.columns.items() if key not in without}
        return ColumnTable(rows, take_columns(wanted, rows, len(rows) == self.num_rows))


def fitting(kept: Columns, columns: Columns) -> bool:
    """True if columns have the keys and kinds of kept ones."""
    if kept.keys() != columns.keys():
        return False
    for key, values in columns.items():
        nested = isinstance(values, dict)
        if nested != isinstance(kept[key], dict):
            return False
        if nested:
            if not fitting(kept[key], values):
                return False
        elif dtype_of(values) != kept[key].dtype:
            return False
    return True


def dtype_of(values: Sequence[Any] | npt.NDArray[Any]) -> np.dtype[Any]:
    """The type of the array that a column becomes."""
    return values.dtype if isinstance(values, np.ndarray) else array_of(values[:1]).dtype


def put_columns(kept: Columns, rows: Rows, columns: Columns, num_rows: int) -> None:
    """Write columns into kept ones that they fit."""
    for key, values in columns.items():
        if isinstance(values, dict):
            put_columns(kept.setdefault(key, {}), rows, values, num_rows)
            continue
        column = values if isinstance(values, np.ndarray) else array_of(values)
        if key not in kept:
            kept[key] = blank(column, num_rows)
        kept[key][rows] = column


def take_columns(kept: Columns, rows: Rows, everywhere: bool) -> Columns:
    """Copies of kept columns, for some rows."""
    taken: Columns = {}
    for key, array in kept.items():
        if isinstance(array, dict):
            taken[key] = take_columns(array, rows, everywhere)
            continue
        taken[key] = array.copy() if everywhere else array[rows]
    return taken
