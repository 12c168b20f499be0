"""Random inputs of code problems."""

import random
from collections.abc import Callable, Sequence
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz"
Calls = Sequence[Callable[[random.Random], list[Any]]]
NAMES = ("ada", "bo", "cleo", "dan", "eve", "finn", "gus", "hana", "ivo", "june")
ITEMS = ("apple", "bolt", "cup", "disk", "egg", "fig", "glue", "hat")


def number(dice: random.Random, low: int, high: int) -> int:
    """An integer in low..high; twice as fast as `randint`."""
    return low + int(dice.random() * (high - low + 1))


def ints(dice: random.Random, low: int, high: int, most: int, least: int = 0) -> list[int]:
    """`least` to `most` integers in low..high."""
    span, draw = high - low + 1, dice.random
    return [low + int(draw() * span) for _ in range(number(dice, least, most))]


def pick(dice: random.Random, values: Sequence[Any]) -> Any:
    """One of some values."""
    return values[int(dice.random() * len(values))]


def text(dice: random.Random, alphabet: str, most: int, least: int = 0) -> str:
    """A text of `least` to `most` characters."""
    size, draw = len(alphabet), dice.random
    return "".join([alphabet[int(draw() * size)] for _ in range(number(dice, least, most))])


def sentence(dice: random.Random, alphabet: str, words: int, longest: int, least: int = 0) -> str:
    """Words of 1 to `longest` letters with single spaces between them."""
    return " ".join(text(dice, alphabet, longest, 1) for _ in range(number(dice, least, words)))


def grid(dice: random.Random, cells: Sequence[Any], most: int, least: int = 1) -> list[list[Any]]:
    """A rectangle with 1 to `most` rows and columns."""
    rows, columns = number(dice, least, most), number(dice, least, most)
    return [[pick(dice, cells) for _ in range(columns)] for _ in range(rows)]


def maze(dice: random.Random, cells: str, most: int, least: int = 1) -> list[str]:
    """A rectangle of characters, a text for each row."""
    return ["".join(row) for row in grid(dice, cells, most, least)]


def spans(dice: random.Random, high: int, most: int, longest: int) -> list[list[int]]:
    """Intervals [start, end] with start < end <= high + longest."""
    starts = ints(dice, 0, high, most)
    return [[start, start + number(dice, 1, longest)] for start in starts]


def script(dice: random.Random, calls: Calls, most: int = 9, least: int = 4) -> list[list[Any]]:
    """A drawn sequence of calls, each [method, *arguments]."""
    return [pick(dice, calls)(dice) for _ in range(number(dice, least, most))]
