"""Line charts out of characters: Braille dots where the encoding has them, ASCII everywhere else."""

import unicodedata
from collections.abc import Sequence

__all__ = ["display_width", "dots_per_column", "draw", "fit", "wrap"]

BRAILLE = 0x2800
BRAILLE_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # rows of the two columns of one character
ASCII_LEVELS = ("'", "-", ".")  # top, middle and bottom of one character


def dots_per_column(unicode: bool) -> int:
    """Return how many samples one character takes side by side."""
    return 2 if unicode else 1


def draw(spans: Sequence[tuple[float, float]], low: float, high: float, rows: int, *, unicode: bool) -> list[str]:
    """Draw one line as rows of characters, the top one first.

    Args:
        spans: lowest and highest value in each column of dots; `dots_per_column` of them make one character.
        low: value at the bottom.
        high: value at the top, above `low`.
        rows: height in characters, >= 1.
        unicode: Braille, two by four dots per character; else ASCII, one by three levels.

    Example:
        >>> draw([(0, 0), (0.5, 0.5), (1, 1)], 0, 1, rows=1, unicode=False)
        [".-'"]
        >>> draw([(0, 1), (0, 0)], 0, 1, rows=1, unicode=True)
        ['⣇']
    """
    across, down = dots_per_column(unicode), 4 if unicode else 3
    cells: list[list[set[tuple[int, int]]]] = [[set() for _ in range(-(-len(spans) // across))] for _ in range(rows)]
    last = rows * down - 1

    def level(value: float) -> int:
        return round((1.0 - (value - low) / (high - low)) * last)

    for at, (lowest, highest) in enumerate(spans):
        for dot in range(level(highest), level(lowest) + 1):
            cells[dot // down][at // across].add((dot % down, at % across))
    character = _braille if unicode else _ascii
    return ["".join(map(character, row)) for row in cells]


def display_width(text: str) -> int:
    """Return how many columns of a terminal a text takes.

    Example:
        >>> display_width("length"), display_width("長さ")
        (6, 4)
    """
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )


def fit(text: str, width: int, *, unicode: bool) -> str:
    """Cut a text to at most `width` columns, with a mark where something is missing.

    Example:
        >>> fit("correctness", 8, unicode=False), fit("length", 8, unicode=False)
        ('correct~', 'length')
    """
    if display_width(text) <= width:
        return text
    kept = ""
    for letter in text:
        if display_width(kept + letter) > width - 1:
            break
        kept += letter
    return kept + ("…" if unicode else "~")


def wrap(text: str, width: int, *, indent: str = "", hang: int = 0) -> list[str]:
    """Break a text into lines of at most `width` columns, between words where they are short enough.

    Args:
        text: words with white space between them.
        width: columns, at least 2 more than the indentation of a line.
        indent: what every line begins with.
        hang: further spaces before every line but the first.

    Example:
        >>> wrap("one two three", 9, hang=2)
        ['one two', '  three']
    """
    lines: list[str] = []
    line, margin = "", display_width(indent)
    words = text.split()
    while words:
        word = words.pop(0)
        room = width - margin - (hang if lines else 0)
        joined = f"{line} {word}" if line else word
        if display_width(joined) <= room:
            line = joined
            continue
        if line:
            lines.append(line)
            line = ""
            words.insert(0, word)
            continue
        cut = next(k for k in range(len(word), 0, -1) if display_width(word[:k]) <= room)
        lines.append(word[:cut])
        words.insert(0, word[cut:])
    lines += [line] if line else []
    return [f"{indent}{' ' * hang if number else ''}{line}" for number, line in enumerate(lines)]


def _braille(dots: set[tuple[int, int]]) -> str:
    return chr(BRAILLE + sum(BRAILLE_DOTS[row][column] for row, column in dots)) if dots else " "


def _ascii(dots: set[tuple[int, int]]) -> str:
    if len(dots) == len(ASCII_LEVELS):
        return "|"
    # Two levels are a gentle slope: the outer one of them says best where the line goes on.
    return ASCII_LEVELS[max((row for row, _ in dots), key=lambda row: abs(row - 1))] if dots else " "
