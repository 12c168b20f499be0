"""How commands print: tables for people, JSON for programs."""

import json
import sys
from collections.abc import Sequence

from rlenvs.cli.line_chart import display_width

__all__ = ["is_unicode", "output_encoding", "print_json", "printable", "table"]


def output_encoding() -> str:
    """Return the encoding of standard output."""
    return sys.stdout.encoding or "ascii"


def is_unicode(encoding: str) -> bool:
    """Return whether an encoding holds every character.

    Example:
        >>> is_unicode("UTF-8"), is_unicode("latin-1")
        (True, False)
    """
    return encoding.lower().replace("-", "").replace("_", "").startswith("utf")


def printable(text: str, encoding: str) -> str:
    r"""Return foreign text with what the encoding lacks, or a terminal would obey, escaped.

    Example:
        >>> print(printable("a\nb \x1b[31m", "utf-8"), printable("\xe9", "ascii"))
        a\nb \x1b[31m \xe9
    """
    encodable = text.encode(encoding, "backslashreplace").decode(encoding)
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in encodable)


def print_json(value: object) -> None:
    """Print a value as indented JSON, which stays JSON in every encoding."""
    print(json.dumps(value, indent=2, ensure_ascii=not is_unicode(output_encoding())))


def table(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Return rows as aligned columns under a header; the last column is as long as it needs to be.

    Example:
        >>> print(table([("a", "one"), ("bcd", "two")], header=("id", "word")))
        id   word
        a    one
        bcd  two
    """
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell + " " * (width - display_width(cell)) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
