"""Infos of many episodes as one dict of arrays, the way Gymnasium's vector environments lay them out."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Column = tuple[list[int], list[Any]]
"""Row numbers, and the value of each of these rows."""


def collate_infos(rows: Iterable[tuple[int, Mapping[str, Any]]], num_envs: int) -> dict[str, Any]:
    """Collate infos of single episodes.

    The result equals that of `gymnasium.vector.VectorEnv._add_info` called for one row after the other: numbers become
    arrays, other values object arrays, nested dicts stay nested, and every key has a bool mask `_key` of the rows that
    have it. It is built column by column, which takes a fraction of the time.

    Args:
        rows: (row number, info) in the order in which keys are to appear; a row may come more than once.
        num_envs: length of the arrays.

    Example:
        >>> infos = collate_infos([(0, {"score": 0.5}), (2, {"score": 1.0})], num_envs=3)
        >>> infos["score"].tolist(), infos["_score"].tolist()
        ([0.5, 0.0, 1.0], [True, False, True])
    """
    listed = list(rows)
    collated: dict[str, Any] = {}
    known_rows: list[int] | None = None
    for key, (indices, values) in columns_of(listed).items():
        if isinstance(values[0], dict) and key != "final_obs":
            collated[key] = collate_infos(zip(indices, values, strict=True), num_envs)
        else:
            collated[key] = array_of(indices, values, num_envs, boxed=key == "final_obs")
        if indices is not known_rows:
            # Columns of equal infos share their list of rows, and so their mask up to a copy.
            known_rows, mask = indices, np.zeros(num_envs, dtype=np.bool_)
            mask[indices] = True
        collated[f"_{key}"] = mask.copy()
    return collated


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


def array_of(indices: list[int], values: list[Any], num_envs: int, *, boxed: bool) -> np.ndarray[Any, Any]:
    """An array with the values at their rows; elsewhere zero, or None in an array of objects.

    The first value decides: numbers and arrays keep their type, anything else (and everything if `boxed`) is an object.
    """
    first = values[0]
    if not boxed and isinstance(first, np.ndarray):
        array = np.zeros((num_envs, *first.shape), dtype=first.dtype)
    elif not boxed and (type(first) in (int, float, bool) or isinstance(first, np.number)):
        array = np.zeros(num_envs, dtype=type(first))
    elif len(indices) == num_envs and indices == list(range(num_envs)):
        return np.fromiter(values, dtype=object, count=num_envs)
    else:
        array = np.full(num_envs, None, dtype=object)
    for row, value in zip(indices, values, strict=True):
        array[row] = value
    return array
