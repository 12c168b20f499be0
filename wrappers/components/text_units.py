"""Words, marks and n-grams: how every text component cuts a text into units.

Texts are hostile, so everything here is linear in their length and defined for every string, lone surrogates
included. Units are compared folded: without case, compatibility forms and invisible characters, which would otherwise
let one word pass for many.
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

MAX_COMBINING_RUN = 30
"""Marks in a row that normalisation keeps, as in Unicode's stream-safe text format (UAX #15, section 13)."""

INVISIBLE = "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0000-\U000e0fff"
"""Default-ignorable code points beside the category Cf, as the inside of a character class."""

UNSPACED = (
    "\u0e00-\u0e30\u0e32\u0e33\u0e40-\u0e46\u0e80-\u0eb0\u0eb2\u0eb3\u0ebd-\u0ec6"  # Thai and Lao
    "\u1000-\u102a\u1780-\u17b3"  # Myanmar and Khmer
    "\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
)
"""Letters of scripts that put no spaces between words; each counts as a word of its own."""

HALF_WIDTH_VOICING = "\uff9e\uff9f"
"""Not marks themselves, but compatibility normalisation turns them into some."""

LONGEST_LIGATURE, ITS_ABBREVIATION = "\ufdfa", "\u0635\u0644\u0639\u0645"
"""The one character that NFKC turns into 18, and how it is usually abbreviated; all others give 8 at most."""

Ngram = tuple[str, ...]

ASCII_WORD = re.compile(r"[a-z0-9]+(?:'[a-z0-9]+)*")
ASCII_WORD_OR_MARK = re.compile(ASCII_WORD.pattern + r"|\S")


class Patterns(NamedTuple):
    """Patterns that need the whole of Unicode's categories."""

    combining_run: re.Pattern[str]
    invisible: re.Pattern[str]
    marks: re.Pattern[str]
    word: re.Pattern[str]
    word_or_mark: re.Pattern[str]


@functools.cache
def patterns() -> Patterns:
    """Return the patterns, built on first use because Python's `re` knows no Unicode categories."""
    # All combining marks and format characters lie in these planes; a test compares with the whole of Unicode.
    found: dict[str, list[int]] = {"M": [], "Cf": []}
    for code in (*range(0x20000), *range(0xE0000, 0xE0200)):
        category = unicodedata.category(chr(code))
        if category[0] == "M":
            found["M"].append(code)
        elif category == "Cf":
            found["Cf"].append(code)
    mark, invisible = character_ranges(found["M"]), character_ranges(found["Cf"]) + INVISIBLE
    # Letters and marks share no character, so there is one way to match and nothing to backtrack into.
    # `re` walks through the ranges beyond the first plane one by one, so most characters are turned away before.
    maybe = r"(?=[\u0300-\u1fff\u20d0-\U0010ffff])"
    spaced = rf"[^\W_{UNSPACED}]+(?:{maybe}[{mark}]+[^\W_{UNSPACED}]*)*"
    word = rf"[{UNSPACED}](?:{maybe}[{mark}]+)?|{spaced}(?:'{spaced})*"
    return Patterns(
        combining_run=re.compile(f"{maybe}[{mark}{HALF_WIDTH_VOICING}]+"),
        invisible=re.compile(f"[{invisible}]+"),
        marks=re.compile(f"{maybe}[{mark}]+"),
        word=re.compile(word),
        word_or_mark=re.compile(word + r"|\S"),
    )


def character_ranges(codes: Iterable[int]) -> str:
    """Return ascending code points as the inside of a character class.

    Example:
        >>> character_ranges([97, 98, 99, 120])
        'a-cx-x'
    """
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(low)}-{chr(high)}" for low, high in ranges)


def shorten_combining_runs(text: str) -> str:
    """Return `text` with at most 30 combining marks in a row.

    Sorting a run of marks into canonical order takes CPython time quadratic in its length: a response of 100 kB
    keeps `unicodedata.normalize` busy for seconds.
    """
    return text if text.isascii() else patterns().combining_run.sub(lambda run: run[0][:MAX_COMBINING_RUN], text)


def fold(text: str) -> str:
    """Return `text` as units are compared: NFKC, case-folded, without invisible characters, one kind of apostrophe.

    Example:
        >>> print(fold("Ｆｕｌｌwidth STRASSE = straße, don’t"))
        fullwidth strasse = strasse, don't
    """
    if text.isascii():
        return text.lower()
    visible = shorten_combining_runs(patterns().invisible.sub("", text))
    return (
        unicodedata.normalize("NFKC", visible.replace(LONGEST_LIGATURE, ITS_ABBREVIATION))
        .casefold()
        .replace("\u2019", "'")
    )


def words_of_folded(folded: str) -> list[str]:
    """Return the words of a text that `fold` returned."""
    return (ASCII_WORD if folded.isascii() else patterns().word).findall(folded)


def words(text: str) -> list[str]:
    """Return the words of `text`, folded: runs of letters, digits and their marks, with apostrophes inside.

    Each letter of a script without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) is a word of its own.

    Example:
        >>> words("Don't stop_here: 3.5 kg, 你好!")
        ["don't", 'stop', 'here', '3', '5', 'kg', '你', '好']
    """
    return words_of_folded(fold(text))


def words_and_marks(text: str) -> list[str]:
    """Return the words of `text`, folded, and every other visible character as a unit of its own.

    Example:
        >>> words_and_marks("C++, ok?")
        ['c', '+', '+', ',', 'ok', '?']
    """
    folded = fold(text)
    return (ASCII_WORD_OR_MARK if folded.isascii() else patterns().word_or_mark).findall(folded)


def ngrams(units: Sequence[str], size: int) -> Iterator[Ngram]:
    """Return the n-grams of a sequence, in order; none where it is shorter than `size`.

    Example:
        >>> list(ngrams(["a", "b", "c"], 2))
        [('a', 'b'), ('b', 'c')]
    """
    return zip(*(units[start:] for start in range(size)), strict=False) if size <= len(units) else iter(())


class PhraseTable:
    """Finds phrases of whole words in a text, in time linear in the text whatever the number of phrases.

    Args:
        phrases: each a non-empty sequence of units.

    Example:
        >>> table = PhraseTable([("new", "york"), ("york",)])
        >>> table.count(words("New York, not Yorkshire")) == {("new", "york"): 1, ("york",): 1}
        True
    """

    def __init__(self, phrases: Iterable[Ngram]) -> None:
        self.phrases = frozenset(phrases)
        sizes: dict[str, set[int]] = {}
        for phrase in self.phrases:
            sizes.setdefault(phrase[0], set()).add(len(phrase))
        self._sizes_by_first_unit = {unit: sorted(found) for unit, found in sizes.items()}

    def count(self, units: Sequence[str]) -> Counter[Ngram]:
        """Return how often each phrase occurs in `units`, overlapping ones included."""
        return Counter(tuple(units[start:end]) for start, end in self.spans(units))

    def spans(self, units: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield where phrases stand in `units`, as (first, behind the last), in order of the first."""
        sizes_by_first_unit = self._sizes_by_first_unit
        for start, unit in enumerate(units):
            if unit in sizes_by_first_unit:
                for size in sizes_by_first_unit[unit]:
                    candidate = tuple(units[start : start + size])
                    if len(candidate) == size and candidate in self.phrases:
                        yield start, start + size
