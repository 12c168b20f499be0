"""Instructions about words and letters: which must occur, which must not, and in what case and language."""

import functools
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from rlenvs.extras import require
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.components.instruction_checks.base import CountInstruction, Instruction
from rlenvs.wrappers.components.text_units import Ngram, PhraseTable, shorten_combining_runs, words_and_marks

__all__ = [
    "LANGUAGES",
    "AllLowercase",
    "AllUppercase",
    "ForbiddenWords",
    "IncludeKeywords",
    "Language",
    "NoCommas",
    "Phrase",
    "occurrences",
]

_CODES = """
    ace af am an ar ary arz as az ba bcl be bg bn br bs ca crh cs cy da de dz el en eo es et eu ext fa
    fi fo fr fuv fy ga gcf gcr gd gl gom grc gu gug guw ha hbo he hi hr ht hu hy id ig is it ja jv ka
    kab kik kk km kn ko ku ky la lb lg lij ln lo lt ltg lv mg mk ml mn mr ms mt my ne nl nn no nso oc om
    or pa pcm pl ps pt qu ro ru rw sa sdh se si sk sl sn so sq sr st sv sw ta te tg th tk tl tr tt ug uk
    ur uz uzs vec vi vo wa wuu xh yo yue zh zu
"""
LANGUAGES = frozenset(_CODES.split())
"""ISO 639 codes that py3langid tells apart."""

COMMAS = frozenset(",\u060c\u3001\ufe50\ufe51\uff0c\uff64")
"""The comma, the Arabic, ideographic, small and full-width ones."""


def _countable(phrase: str) -> str:
    if not words_and_marks(phrase):
        raise ValueError(f"must hold a word or a mark, got {phrase!r}")
    return phrase


Phrase = Annotated[str, AfterValidator(_countable)]
"""One or more whole words; marks count (`C++`)."""


@functools.lru_cache(maxsize=4096)
def _table(phrases: tuple[str, ...]) -> tuple[list[Ngram], PhraseTable]:
    units = [tuple(words_and_marks(phrase)) for phrase in phrases]
    return units, PhraseTable(units)


def occurrences(phrases: tuple[str, ...], text: str) -> list[int]:
    r"""Return how often each phrase occurs as whole words, without regard to case, width and invisible characters.

    Example:
        >>> occurrences(("new york", "cat", "C++"), "New\nYork concatenates C++: NEW YORK!")
        [2, 0, 1]
    """
    units, table = _table(phrases)
    found = table.count(words_and_marks(text))
    return [found[phrase] for phrase in units]


class IncludeKeywords(CountInstruction):
    """Each keyword occurs `count` times, as whole words in any case; once at least where nothing is said."""

    type: Literal["include_keywords"]
    keywords: tuple[Phrase, ...] = Field(min_length=1)
    count: int = Field(1, ge=0, description="how often each")

    def number_in(self, response: str) -> int:
        """Return how often the rarest keyword occurs."""
        return min(occurrences(self.keywords, response))

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return all(map(self.holds, occurrences(self.keywords, response)))


class ForbiddenWords(Instruction):
    """None of the words (or phrases) occurs, as whole words in any case."""

    type: Literal["forbidden_words"]
    words: tuple[Phrase, ...] = Field(min_length=1)

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return not any(occurrences(self.words, response))


class AllLowercase(Instruction):
    """There are letters, and none of them is a capital one."""

    type: Literal["all_lowercase"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return response.islower()


class AllUppercase(Instruction):
    """There are letters, and none of them is a small one."""

    type: Literal["all_uppercase"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return response.isupper()


class NoCommas(Instruction):
    """There is a response, and no comma of any script in it."""

    type: Literal["no_commas"]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction."""
        return bool(response.strip()) and COMMAS.isdisjoint(response)


def _known_language(code: str) -> str:
    if code not in LANGUAGES:
        raise ValueError(f"must be an ISO 639 code such as 'en', got {code!r}{did_you_mean(code, sorted(LANGUAGES))}")
    return code


class Language(Instruction):
    """The response as a whole is in a language, as py3langid tells; unreliable below some 20 characters."""

    type: Literal["language"]
    code: Annotated[str, AfterValidator(_known_language)]

    def is_followed(self, response: str, prompt: str) -> bool:
        """Return whether a response follows the instruction.

        Raises:
            MissingExtraError: py3langid is not installed.
        """
        langid = require("py3langid", "text", "instruction 'language'")
        if not any(map(str.isalpha, response)):
            return False
        # py3langid normalises, which takes quadratic time on long runs of combining marks.
        best, _ = langid.classify(shorten_combining_runs(response))
        return bool(best == self.code)
