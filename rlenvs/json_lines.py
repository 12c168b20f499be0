"""Files with one JSON object per line, read with the place of every mistake."""

import json
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from rlenvs.errors import DataError
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean

__all__ = ["field_of", "read_rows", "text_field"]


def read_rows(
    path: str | Path, *, lines: Container[int] | None = None, torn_end: bool = False
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield line number, from 1, and object of each line; empty lines are skipped.

    Args:
        path: The file, UTF-8.
        lines: Which lines; all when None.
        torn_end: Whether to leave out a last line that breaks off, as a killed run leaves it.

    Raises:
        DataError: The file cannot be read, or a line is no object; says which line.
    """
    if "\0" in str(path):
        raise DataError(f"{shown(str(path))}: cannot be a path, it holds a NUL character")
    try:
        with Path(path).open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() and (lines is None or number in lines):
                    try:
                        row = _parsed(line, f"{path}:{number}")
                    except DataError:
                        if torn_end and not line.endswith("\n"):
                            return
                        raise
                    yield number, row
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def field_of(row: Mapping[str, Any], name: str, where: str) -> Any:
    """Return the value of a field; a dot leads into a nested object.

    Args:
        row: The object.
        name: Name of the field; a field whose own name has the dots comes first.
        where: What the error message begins with ("file:line").

    Raises:
        DataError: There is no such field; the message names the nearest one.

    Example:
        >>> field_of({"task": {"gold": "7"}}, "task.gold", "data.jsonl:1")
        '7'
    """
    if name in row:
        return row[name]
    head, _, rest = name.partition(".")
    if rest and isinstance(inner := row.get(head), Mapping):
        return field_of(inner, rest, f"{where}: {head}")
    raise DataError(f"{where}: field {name!r} is missing{did_you_mean(name, row)} (found: {', '.join(row) or 'none'})")


def text_field(row: Mapping[str, Any], name: str, where: str) -> str:
    """Return the value of a field that holds a text.

    Raises:
        DataError: There is no such field, or it holds something else.
    """
    return as_text(field_of(row, name, where), name, where)


def as_text(value: object, name: str, where: str) -> str:
    """Return `value` if it is a text.

    Raises:
        DataError: It is something else.
    """
    if not isinstance(value, str):
        raise DataError(f"{where}: field {name!r}: expected text, got {shown(value)}")
    return value


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON ({error})") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object, got {shown(row)}")
    return row
