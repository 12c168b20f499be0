"""Instructions about how much of something the response holds."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

from rlenvs.wrappers.components.instruction_checks.base import CountInstruction, Text
from rlenvs.wrappers.components.prose import outline_of, sentences_of, text_blocks
from rlenvs.wrappers.components.text_units import fold, words

__all__ = [
    "NumberOfBullets",
    "NumberOfCapitalWords",
    "NumberOfHighlights",
    "NumberOfLetters",
    "NumberOfParagraphs",
    "NumberOfPlaceholders",
    "NumberOfSections",
    "NumberOfSentences",
    "NumberOfWords",
]

_DIVIDER = re.compile(r"\*{3,}+")
_CASED_WORD = re.compile(r"\w++(?:[-'\u2019]\w++)*+")
# A link [text](address) is no placeholder, and `[ ]` no name.
_PLACEHOLDER = re.compile(r"\[([^\[\]\n]++)\](?!\()")
_HIGHLIGHT = re.compile(r"(?<![*\\])(\*{1,3}+)(?![*\s])([^*\n]++)(?<!\s)\1(?!\*)")


def _one_character(text: str) -> str:
    if len(text) != 1 or not fold(text).strip():
        raise ValueError(f"must be one visible character, got {text!r}")
    return text


class NumberOfWords(CountInstruction):
    """Words, as everywhere in rlenvs: letters and digits with apostrophes inside, each Han or Thai letter by itself."""

    type: Literal["number_of_words"]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        return len(words(response))


class NumberOfSentences(CountInstruction):
    """Sentences outside fenced code. A blank line ends a sentence, a line end does not."""

    type: Literal["number_of_sentences"]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        blocks = text_blocks(outline_of(response).visible)
        return sum(len(sentences_of(block)) for block in blocks)


class NumberOfParagraphs(CountInstruction):
    """Non-blank pieces of text between dividers: blank lines, or `***` as IFEval has it."""

    type: Literal["number_of_paragraphs"]
    divider: Literal["blank_line", "asterisks"] = "blank_line"

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        pieces = text_blocks(response) if self.divider == "blank_line" else _DIVIDER.split(response)
        return sum(bool(piece.strip()) for piece in pieces)


class NumberOfBullets(CountInstruction):
    """Lines of text after `-`, `*`, `+` or `•`; numbered items are none."""

    type: Literal["number_of_bullets"]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        return sum(item.number is None for item in outline_of(response).items)


class NumberOfLetters(CountInstruction):
    """A letter (or digit, or mark) in any case and width: `A` is `a`, `á` is not."""

    type: Literal["letter_frequency"]
    letter: Annotated[str, AfterValidator(_one_character)]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        return fold(response).count(fold(self.letter))


class NumberOfCapitalWords(CountInstruction):
    """Words without a small letter and with a capital one: `NASA`, `I`, `WELL-KNOWN` (one word)."""

    type: Literal["capital_words"]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        return sum(word.isupper() for word in _CASED_WORD.findall(response))


class NumberOfPlaceholders(CountInstruction):
    """Names in square brackets: `[address]`."""

    type: Literal["placeholders"]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        return sum(not name.isspace() for name in _PLACEHOLDER.findall(response))


class NumberOfHighlights(CountInstruction):
    """Pieces of a line in asterisks: `*so*`, `**so**`."""

    type: Literal["highlights"]

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        return sum(1 for _ in _HIGHLIGHT.finditer(response))


class NumberOfSections(CountInstruction):
    """Different numbers after the marker at the beginning of a line: `Section 1`, `## Section 2`."""

    type: Literal["sections"]
    marker: Text = "Section"

    def number_in(self, response: str) -> int:
        """Return how many there are."""
        # Nine digits at most: converting a longer number takes quadratic time.
        mark = re.escape(self.marker.strip())
        numbered = re.compile(rf"^[ \t#*]*+{mark}[ \t]*+([0-9]{{1,9}})(?![0-9])", re.MULTILINE)
        return len({int(number) for number in numbered.findall(response)})
