"""Does the response mention what it should mention."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, get_args

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.text_parameters import check_choice, info_texts
from rlenvs.wrappers.components.text_units import Ngram, PhraseTable, words, words_and_marks
from rlenvs.wrappers.transition import Transition

OverlapMetric = Literal["recall", "precision", "f1"]

_FUNCTION_WORDS = """
a about above after again against all also am an and any are aren't as at be because been before being below between
both but by can can't cannot could couldn't did didn't do does doesn't doing don't down during each else ever few
for from further had hadn't has hasn't have haven't having he her here hers herself him himself his how however i
i'd i'll i'm i've if in into is isn't it its itself just like may me might more most must my myself no nor not now
of off on once only or other our ours ourselves out over own quite rather s same shall she she'd she'll should
shouldn't since so some such t than that the their theirs them themselves then there these they they'd they'll
they're they've this those though through to too under until up upon us very was wasn't we we'd we'll we're we've
were weren't what when where which while who whom whose why will with without won't would wouldn't yes yet you you'd
you'll you're you've your yours yourself yourselves
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""English words that say nothing about the subject."""


def keyword_units(text: str) -> list[str]:
    """Return words and marks without possessive endings: "Germany's" mentions Germany.

    Example:
        >>> keyword_units("Germany's C++")
        ['germany', 'c', '+', '+']
    """
    return [unit.removesuffix("'s") for unit in words_and_marks(text)]


def content_words(text: str) -> set[str]:
    """Return the distinct words of a text without function words, or with them where there are no others.

    Example:
        >>> sorted(content_words("What is the capital of France?")), sorted(content_words("To be or not to be"))
        (['capital', 'france'], ['be', 'not', 'or', 'to'])
    """
    found = {word.removesuffix("'s") for word in words(text)}
    return found - FUNCTION_WORDS or found


@register_reward()
class KeywordOverlapReward(BaseReward):
    """Overlap of a message with keywords: recall, precision or their harmonic mean.

    * `recall`: keywords that the message contains / keywords.
    * `precision`: words of the contained keywords / these and the content words of the message.
    * `f1`: 2 precision recall / (precision + recall).

    A keyword is contained as a whole: "art" is not in "start", "New York" not in "new in York". Case, accents written
    in two ways and invisible characters make no difference. How often a keyword occurs makes none either.

    Args:
        keywords: words or phrases; when omitted, the content words of the text at `info_key`, or of the prompt where
            that is omitted too.
        info_key: where `info` holds the text whose content words are the keywords ("task.gold"). Of a list of texts,
            all.
        metric: `recall`, `precision` or `f1`.

    Range: [0, 1].

    Raises:
        ParameterError: no keywords, one without a visible character, keywords beside an info_key, or an unknown
            metric.

    Example:
        >>> reward = KeywordOverlapReward(["New York", "art", "jazz"])
        >>> round(reward(Transition(response="They start with JAZZ in New York.")), 3)
        0.667
    """

    effect: ClassVar[str] = "listing the keywords, whatever is said about them"

    def __init__(
        self, keywords: list[str] | None = None, info_key: str | None = None, metric: OverlapMetric = "recall"
    ) -> None:
        check_choice("metric", metric, get_args(OverlapMetric))
        if keywords is not None and info_key is not None:
            raise ParameterError("info_key", "cannot stand beside keywords: give one of the two")
        given: object = keywords
        if given is not None and (isinstance(given, str) or not given):
            raise ParameterError("keywords", f"must name at least one word or phrase in a list, got {keywords!r}")
        for keyword in keywords or ():
            if not keyword_units(keyword):
                raise ParameterError("keywords", f"must have a visible character each, got {keyword!r}")
        self.keywords = keywords
        self.info_key = info_key
        self.metric = metric
        self._given = None if keywords is None else phrase_table(keywords)

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            KeyError: info has nothing under `info_key`.
            ValueError: the text that should give the keywords has no words.
        """
        if not transition.message_ended:
            return 0.0
        table = self._given or self._keywords_of(transition)
        units = keyword_units(transition.response)
        found = table.count(units).keys()
        recall = len(found) / len(table.phrases)
        if self.metric == "recall" or not found:
            return recall
        mentioned = {unit for phrase in found for unit in phrase}
        written = content_words(transition.response) | mentioned
        precision = len(mentioned) / len(written)
        if self.metric == "precision":
            return precision
        return 2 * precision * recall / (precision + recall)

    def _keywords_of(self, transition: Transition) -> PhraseTable:
        texts: Sequence[str] = [transition.prompt] if self.info_key is None else info_texts(transition, self.info_key)
        found = set().union(*map(content_words, texts))
        if not found:
            where = "the prompt" if self.info_key is None else f"info[{self.info_key!r}]"
            raise ValueError(f"{where} has no words to look for: {texts!r:.80}")
        return PhraseTable((word,) for word in found)


def phrase_table(phrases: Iterable[str]) -> PhraseTable:
    """Return a table of phrases, cut into words and marks."""
    cut: list[Ngram] = [tuple(keyword_units(phrase)) for phrase in phrases]
    return PhraseTable(cut)
