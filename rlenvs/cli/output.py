"""How commands print: tables for people, JSON for programs."""

import json
from collections.abc import Sequence

__all__ = ["print_json", "table"]


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return rows as aligned columns under a header; the last column is as long as it needs to be.

    Example:
        >>> print(table([("a", "one"), ("bcd", "two")], header=("id", "word")))
        id   word
        a    one
        bcd  two
    """
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
