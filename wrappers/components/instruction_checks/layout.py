"""Instructions about the shape of the response: its beginning, its end, and what it is wrapped in."""

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from rlenvs.config_problems import ConfigKeyError
from rlenvs.wrappers.components.fences import CodeBlockForm, fenced_blocks, split_lines
from rlenvs.wrappers.components.instruction_checks.base import Instruction, Text
from rlenvs.wrappers.components.instruction_checks.wording import Phrase, occurrences
from rlenvs.wrappers.components.json_form import is_json
from rlenvs.wrappers.components.prose import text_blocks
from rlenvs.wrappers.components.text_units import words, words_and_marks

__all__ = [
    "EndsWith",
    "JsonResponse",
    "OneOf",
    "ParagraphFirstWord",
    "Postscript",
    "Quoted",
    "RepeatPrompt",
    "StartsWith",
    "Title",
    "TwoResponses",
]

_TITLE = re.compile(r"<<([^<>\n]++)>>")
_RESPONSE_DIVIDER = re.compile(r"\*{6,}+")
_QUOTES = {'"': '"', "“": "”", "„": "“”"}
_ANY_FENCE = CodeBlockForm(language=None, whole=True)


def _squeezed(text: str) -> str:
    """Return text as phrases are compared: without case, with single spaces."""
    return " ".join(text.split()).casefold()


class StartsWith(Instruction):
    """The first words are these, in any case and spacing."""

    type: Literal["starts_with"]
    text: Text

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return _squeezed(response).startswith(_squeezed(self.text))


class EndsWith(Instruction):
    """The last words are these, in any case and spacing; a closing quotation mark may follow."""

    type: Literal["ends_with"]
    text: Text

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        ending, phrase = _squeezed(response), _squeezed(self.text)
        return ending.endswith(phrase) or ending.rstrip('"”').endswith(phrase)


class Quoted(Instruction):
    """The whole response is wrapped in double quotation marks and not blank inside."""

    type: Literal["quoted"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        text = response.strip()
        return text[-1:] in _QUOTES.get(text[:1], ()) and bool(text[1:-1].strip())


class Title(Instruction):
    """There is a title in double angular brackets: `<<poem of joy>>`."""

    type: Literal["title"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return any(not title.isspace() for title in _TITLE.findall(response))


class Postscript(Instruction):
    """After the first line of text, a line begins with the marker, and text follows it."""

    type: Literal["postscript"]
    marker: Text = "P.S."

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        marker = words_and_marks(self.marker)  # `P. S.` has the units of `P.S.`
        lines = [words_and_marks(line.lstrip("*_# \t")) for line in split_lines(response) if words(line)]
        for index, line in enumerate(lines[1:], start=1):
            if line[: len(marker)] == marker:
                return len(lines) > index + 1 or any(map(str.isalnum, line[len(marker) :]))
        return False


class JsonResponse(Instruction):
    """The whole response is one strict JSON value, bare or in one fenced code block."""

    type: Literal["json"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        if _ANY_FENCE(response):
            (block,) = fenced_blocks(split_lines(response))
            return is_json(block.content)
        return is_json(response)


class TwoResponses(Instruction):
    """Two different texts with one row of six or more asterisks between them."""

    type: Literal["two_responses"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        pieces = [_squeezed(piece) for piece in _RESPONSE_DIVIDER.split(response)]
        texts = [piece for piece in pieces if piece]
        return len(texts) == 2 and texts[0] != texts[1] and all(pieces[1:-1])


class RepeatPrompt(Instruction):
    """The response repeats the prompt in any case and spacing, and says something more after it."""

    type: Literal["repeat_prompt"]
    prompt: Text | None = Field(None, description="what is to be repeated; the prompt of the episode where omitted")

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction.

        Raises:
            ValueError: there is no prompt to repeat.
        """
        wanted = _squeezed(prompt if self.prompt is None else self.prompt)
        if not wanted:
            raise ValueError("instruction 'repeat_prompt' has no prompt: name one, or use an environment with texts")
        said = _squeezed(response)
        return said.startswith(wanted) and bool(words(said[len(wanted) :]))


class OneOf(Instruction):
    """The response is one of the options in any case and spacing, or exactly one of them occurs in it."""

    type: Literal["one_of"]
    options: tuple[Phrase, ...] = Field(min_length=1)
    match: Literal["whole", "contains"] = "whole"

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        if self.match == "whole":
            return _squeezed(response) in {_squeezed(option) for option in self.options}
        return sum(number > 0 for number in occurrences(self.options, response)) == 1


class ParagraphFirstWord(Instruction):
    """Paragraph number `paragraph`, counted from 1 between blank lines, begins with `word` in any case."""

    type: Literal["paragraph_first_word"]
    paragraph: int = Field(ge=1, description="which paragraph, from 1")
    word: Text
    paragraphs: int | None = Field(None, ge=1, description="how many there must be; any number where omitted")

    @model_validator(mode="after")
    def _can_be_followed(self) -> Self:
        if len(words(self.word)) != 1:
            raise ConfigKeyError("word", f"must be one word, got {self.word!r}")
        if self.paragraphs is not None and self.paragraph > self.paragraphs:
            raise ConfigKeyError("paragraph", f"must be <= paragraphs ({self.paragraphs}), got {self.paragraph}")
        return self

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        blocks = text_blocks(response)
        if len(blocks) < self.paragraph or self.paragraphs not in (None, len(blocks)):
            return False
        return words(blocks[self.paragraph - 1])[:1] == words(self.word)
