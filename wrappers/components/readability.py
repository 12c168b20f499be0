"""How easy the response is to read, by the formulas of Flesch and Kincaid."""

import functools
import re
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple, get_args

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import INVALID, BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.text_parameters import check_choice, check_number
from rlenvs.wrappers.components.text_units import fold, words_of_folded
from rlenvs.wrappers.transition import Transition

ReadabilityMetric = Literal["flesch_reading_ease", "flesch_kincaid_grade"]

LONGEST_CACHED_WORD = 32
"""Longer ones are no words of a language; caching them would let a text fill the memory."""

SENTENCE_END = re.compile(
    r"(?<![.!?])[.!?]++(?=\s|[\"')\]]|$)"  # not the point inside "3.5"
    r"|\n[^\S\n]*+(?=\n|[-*•#>|]|[0-9]{1,3}[.)])"  # an empty line, a list item, a heading, a row of a table
)
VOWELS = re.compile("[aeiouy]+")
SILENT_E = re.compile(
    "[^aeiouy]e$(?<![^aeiouy][lr]e)|[gq]ues?$"  # make, unique, but not table or theatre
    "|[^aeiouytd]ed$(?<!dred)(?<!cred)"  # jumped, but not wanted, hundred or sacred
    "|[^aeiouysxzcg]es$(?<!ches)(?<!shes)(?<![^aeiouy]les)"  # makes, but not boxes, churches or tables
    "|[^aeiouy]e(?:ly|less|ful|ness)|[^aeiouyl]ement"  # safely, movement, but not element
    "|^(?:some|there|where|here|home|life|note|nine|space)(?=[a-z]{2})|^every|^evening|^awe(?=s)|^busines"
)
HIATUS = re.compile(
    "(?<![cts])(?<!ll)ia(?!r$|ge)"  # giant, media, but not special, brilliant, familiar or marriage
    "|(?<![ctsxgn])(?<!ll)io(?!r)|iu|(?<![gq])ua|(?<![gq])ue[ln]|(?<![gq])uou"  # lion, radius, equal, fuel, continuous
    "|scie|[dlr]ien[ct]|iet"  # science, client, quiet
    "|(?<![gp])eo(?!p)|^geo|[dr]ea$|creat(?!u)|react|reali|theat|eum|poe[mt]|oic(?!e)"  # video, idea, create, heroic
    "|(?<=[ctg])iat|[ae]ity|aic|aos?$|(?<![gq])uin|(?<!g)uid|suic|coop|coor"  # negotiate, chaos, ruin, cooperate
    "|^re(?=in[^s]|ass|org|us)"  # reassure
    "|[aeiouy]ing"  # being, trying
)
SYLLABIC_CONSONANT = re.compile("thm|sms?$|[^aeiouy]n't$")  # rhythm, prism, didn't


class MetricDefaults(NamedTuple):
    """How `ReadabilityReward` uses a metric when it is not told otherwise."""

    low: float
    high: float
    tolerance: float


DEFAULTS: dict[ReadabilityMetric, MetricDefaults] = {
    "flesch_reading_ease": MetricDefaults(60.0, 80.0, 30.0),
    "flesch_kincaid_grade": MetricDefaults(5.0, 9.0, 5.0),
}


class TextCounts(NamedTuple):
    """What both formulas are made of."""

    words: int
    sentences: int
    syllables: int


def flesch_reading_ease(counts: TextCounts) -> float:
    """Return 206.835 - 1.015 words/sentences - 84.6 syllables/words: 100 is very easy, below 30 very hard.

    Source: Flesch 1948, "A New Readability Yardstick".

    Example:
        >>> round(flesch_reading_ease(TextCounts(words=6, sentences=1, syllables=6)), 3)
        116.145
    """
    return 206.835 - 1.015 * counts.words / counts.sentences - 84.6 * counts.syllables / counts.words


def flesch_kincaid_grade(counts: TextCounts) -> float:
    """Return 0.39 words/sentences + 11.8 syllables/words - 15.59: years of school in the United States.

    Source: Kincaid et al. 1975, "Derivation of New Readability Formulas for Navy Enlisted Personnel".

    Example:
        >>> round(flesch_kincaid_grade(TextCounts(words=6, sentences=1, syllables=6)), 3)
        -1.45
    """
    return 0.39 * counts.words / counts.sentences + 11.8 * counts.syllables / counts.words - 15.59


METRICS: dict[ReadabilityMetric, Callable[[TextCounts], float]] = {
    "flesch_reading_ease": flesch_reading_ease,
    "flesch_kincaid_grade": flesch_kincaid_grade,
}


def count_text(text: str) -> TextCounts:
    """Return words (with a letter in them), sentences (with a word in them) and syllables of an English text.

    Example:
        >>> count_text("The cat sat. It weighs 3.5 kg!")
        TextCounts(words=6, sentences=2, syllables=6)
    """
    found = sentences = syllables = 0
    for sentence in SENTENCE_END.split(fold(text)):
        spoken = [word for word in words_of_folded(sentence) if not word.isdecimal()]
        found += len(spoken)
        sentences += bool(spoken)
        syllables += sum(map(count_syllables, spoken))
    return TextCounts(found, sentences, syllables)


def count_syllables(word: str) -> int:
    """Return the syllables of a folded English word, by rules over its letters; at least 1.

    Example:
        >>> [count_syllables(word) for word in ("the", "table", "makes", "wanted", "reading", "idea")]
        [1, 2, 1, 2, 2, 3]
    """
    return _cached_syllables(word) if len(word) <= LONGEST_CACHED_WORD else _syllables(word)


def _syllables(word: str) -> int:
    groups = len(VOWELS.findall(word))
    extra = len(HIATUS.findall(word)) + len(SYLLABIC_CONSONANT.findall(word))
    return max(1, groups + extra - len(SILENT_E.findall(word)))


_cached_syllables = functools.lru_cache(maxsize=50_000)(_syllables)


@register_reward()
class ReadabilityReward(BaseReward):
    """max(0, 1 - distance / tolerance), where distance is from the message's readability to [min, max].

    The formulas are made for English prose of some hundred words: a message with fewer than `min_words` words has no
    readability and gets 0 with status `invalid`.

    Args:
        metric: `flesch_reading_ease` (100 very easy, 60 to 80 plain English, below 30 academic) or
            `flesch_kincaid_grade` (years of school).
        min: lower end of the target range; 60 for the reading ease and 5 for the grade when omitted.
        max: upper end, >= min; 80 and 9 when omitted.
        tolerance: distance at which the reward reaches 0, > 0; 30 and 5 when omitted.
        min_words: words that a message needs, >= 1.

    Range: [0, 1].

    Raises:
        ParameterError: a parameter out of its range.

    Source: Flesch 1948 and Kincaid et al. 1975; syllables are counted by rules over letters.

    Example:
        >>> plain = ReadabilityReward(min=100, max=120, min_words=6)
        >>> plain(Transition(response="The cat sat on the mat."))
        Score(value=1.0, status='ok')
        >>> plain(Transition(response="Miaow."))
        Score(value=0.0, status='invalid')
    """

    effect: ClassVar[str] = "choosing word and sentence lengths for the formula, whatever they say"

    def __init__(
        self,
        metric: ReadabilityMetric = "flesch_reading_ease",
        min: float | None = None,
        max: float | None = None,
        tolerance: float | None = None,
        min_words: int = 10,
    ) -> None:
        check_choice("metric", metric, get_args(ReadabilityMetric))
        defaults = DEFAULTS[metric]
        self.metric = metric
        self.min = defaults.low if min is None else min
        self.max = defaults.high if max is None else max
        self.tolerance = defaults.tolerance if tolerance is None else tolerance
        self.min_words = min_words
        check_number("min", self.min)
        check_number("max", self.max)
        if self.max < self.min:
            raise ParameterError(
                "max" if max is not None else "min", f"leaves no range: min {self.min}, max {self.max}"
            )
        check_number("tolerance", self.tolerance)
        if self.tolerance <= 0:
            raise ParameterError("tolerance", f"must be > 0, got {tolerance}")
        check_number("min_words", min_words, at_least=1)

    def __call__(self, transition: Transition) -> Score:
        """Score one transition."""
        if not transition.message_ended:
            return Score(0.0)
        counts = count_text(transition.response)
        if counts.words < self.min_words:
            return Score(0.0, INVALID)
        value = METRICS[self.metric](counts)
        distance = max(self.min - value, 0.0, value - self.max)
        return Score(max(0.0, 1.0 - distance / self.tolerance))
