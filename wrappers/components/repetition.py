"""Does the response repeat itself, or the other responses."""

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import ClassVar, Literal, NamedTuple, get_args

from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.text_parameters import check_choice, check_number
from rlenvs.wrappers.components.text_units import Ngram, fold, ngrams, words, words_and_marks
from rlenvs.wrappers.transition import Transition

RepetitionForm = Literal["ngram", "unique_ratio"]
RepetitionUnit = Literal["words", "words_and_marks", "chars"]
DiversityMetric = Literal["similarity", "distinct"]
DiversityScope = Literal["batch", "prompt"]


class FormDefaults(NamedTuple):
    """What a form of `RepetitionPenalty` stands for."""

    ngram_size: int
    threshold: float
    unit: RepetitionUnit


FORMS: dict[RepetitionForm, FormDefaults] = {
    # Marks count, because "!!!!" and the like are the commonest collapse and have no words at all.
    "ngram": FormDefaults(3, 1.0, "words_and_marks"),
    "unique_ratio": FormDefaults(1, 0.5, "words"),
}


def unique_ratio(items: Sequence[Hashable], window: int | None = None) -> float:
    """Return the share of distinct items, or its mean over all windows of `window` items in a row.

    Args:
        items: at least one item.
        window: length of a window; None, or more than there are items, for the whole sequence.

    Source of the mean over windows: Covington and McFall 2010, "Cutting the Gordian Knot: The Moving-Average
    Type-Token Ratio (MATTR)".

    Example:
        >>> unique_ratio("abab"), unique_ratio("aabb", window=2)
        (0.5, 0.6666666666666666)
    """
    if window is None or window >= len(items):
        return len(set(items)) / len(items)
    counts = Counter(items[:window])
    total = distinct = len(counts)
    for leaving, entering in zip(items, items[window:], strict=False):
        counts[leaving] -= 1
        distinct -= counts[leaving] == 0
        distinct += counts[entering] == 0
        counts[entering] += 1
        total += distinct
    return total / (window * (len(items) - window + 1))


@register_reward()
class RepetitionPenalty(BaseReward):
    """penalty * max(0, threshold - unique / total) over the n-grams of a message.

    `form` names two uses of the one formula and sets what is not given:

    * `ngram`: threshold 1, so the penalty is `penalty` times the share of repeated n-grams, with trigrams of words
      and punctuation marks.
    * `unique_ratio`: nothing below threshold 0.5 of repeated words, then linear in the share of distinct words.

    A message with fewer units than an n-gram has nothing to repeat and gets 0.

    Args:
        form: `ngram` or `unique_ratio`.
        penalty: factor, <= 0; what a text of endless repetition gets, times `threshold`.
        ngram_size: units per n-gram, >= 1; 3 for `ngram` and 1 for `unique_ratio` when omitted.
        threshold: share of distinct n-grams that is enough, in [0, 1]; 1 for `ngram` and 0.5 for `unique_ratio` when
            omitted.
        unit: `words`, `words_and_marks` or `chars`; words and marks for `ngram` and words for `unique_ratio` when
            omitted. `chars` also finds a single word without end ("aaaa...").
        window: when given, the share is the mean over all windows of that many n-grams in a row, >= 1. Natural texts
            repeat more the longer they are; a window takes the length out.

    Range: [penalty * threshold, 0].

    Raises:
        ParameterError: a parameter out of its range.

    Source: `ngram` is the repetition penalty of open-r1 (after Yeo et al. 2025, "Demystifying Long Chain-of-Thought
    Reasoning in LLMs", arXiv:2502.03373).

    Example:
        >>> RepetitionPenalty(ngram_size=1)(Transition(response="no no no yes"))
        -0.5
        >>> RepetitionPenalty("unique_ratio", penalty=-2.0)(Transition(response="no no no no"))
        -0.5
    """

    effect: ClassVar[str] = "never using the same words twice"

    def __init__(
        self,
        form: RepetitionForm = "ngram",
        penalty: float = -1.0,
        ngram_size: int | None = None,
        threshold: float | None = None,
        unit: RepetitionUnit | None = None,
        window: int | None = None,
    ) -> None:
        check_choice("form", form, get_args(RepetitionForm))
        check_number("penalty", penalty, at_most=0)
        defaults = FORMS[form]
        self.form = form
        self.penalty = penalty
        self.ngram_size = defaults.ngram_size if ngram_size is None else ngram_size
        self.threshold = defaults.threshold if threshold is None else threshold
        self.unit: RepetitionUnit = defaults.unit if unit is None else unit
        self.window = window
        check_number("ngram_size", self.ngram_size, at_least=1)
        check_number("threshold", self.threshold, at_least=0, at_most=1)
        check_choice("unit", self.unit, get_args(RepetitionUnit))
        if window is not None:
            check_number("window", window, at_least=1)

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        if not transition.message_ended:
            return 0.0
        grams = list(ngrams(self._units(transition.response), self.ngram_size))
        if not grams:
            return 0.0
        shortfall = self.threshold - unique_ratio(grams, self.window)
        return self.penalty * shortfall if shortfall > 0 else 0.0

    def _units(self, text: str) -> Sequence[str]:
        if self.unit == "chars":
            return fold(text)
        return words(text) if self.unit == "words" else words_and_marks(text)


@register_reward()
class DiversityReward(BaseReward):
    """How different a message is from the other messages of the batch, in [0, 1].

    * `similarity`: 1 - mean over the others of the cosine similarity of n-gram counts. The mean is computed from the
      sum of the unit vectors, so the cost is linear in the text of the batch and not quadratic in its messages.
    * `distinct`: share of the message's distinct n-grams that no other message has.

    Only messages with words that end in the same step are compared. A message without words earns 0, because silence
    is no diversity; one that has nothing to be compared with earns `alone_value`. The value depends on the batch: a
    single environment always gives batches of one, and scoring offline in other batches gives other numbers.

    Args:
        metric: `similarity` or `distinct`.
        within: compare with the whole `batch`, or with the messages that answer the same `prompt` (a group of
            samples).
        ngram_size: words per n-gram, >= 1. A message with fewer words counts as one n-gram.
        alone_value: value of a message that has nothing to be compared with.

    Range: [0, 1], and alone_value.

    Raises:
        ParameterError: a parameter out of its range.

    Source: distinct n-grams after Li et al. 2016, "A Diversity-Promoting Objective Function for Neural Conversation
    Models", arXiv:1510.03055.

    Example:
        >>> batch = [Transition(response=text) for text in ("a b", "a b", "c d")]
        >>> [round(value, 9) for value in DiversityReward(ngram_size=1).batch(batch)]
        [0.5, 0.5, 1.0]
    """

    effect: ClassVar[str] = "writing what no other message of the batch says, nonsense included"

    def __init__(
        self,
        metric: DiversityMetric = "similarity",
        within: DiversityScope = "batch",
        ngram_size: int = 2,
        alone_value: float = 0.0,
    ) -> None:
        check_choice("metric", metric, get_args(DiversityMetric))
        check_choice("within", within, get_args(DiversityScope))
        check_number("ngram_size", ngram_size, at_least=1)
        check_number("alone_value", alone_value)
        self.metric = metric
        self.within = within
        self.ngram_size = ngram_size
        self.alone_value = alone_value

    def __call__(self, transition: Transition) -> float:
        """Score one transition, which has nothing to be compared with."""
        return self.batch([transition])[0]

    def batch(self, transitions: Sequence[Transition]) -> list[float]:
        """Score N transitions against each other."""
        values = [0.0] * len(transitions)
        groups: dict[str, dict[int, Counter[Ngram]]] = {}
        for row, transition in enumerate(transitions):
            found = words(transition.response) if transition.message_ended else []
            if found:
                grams = Counter(ngrams(found, min(self.ngram_size, len(found))))
                groups.setdefault(transition.prompt if self.within == "prompt" else "", {})[row] = grams
        for members in groups.values():
            for row, value in zip(members, self._score_group(list(members.values())), strict=True):
                values[row] = value
        return values

    def _score_group(self, counts: list[Counter[Ngram]]) -> Iterable[float]:
        if len(counts) == 1:
            return [self.alone_value]
        return mean_dissimilarities(counts) if self.metric == "similarity" else distinct_shares(counts)


def mean_dissimilarities(counts: Sequence[Counter[Ngram]]) -> list[float]:
    """Return 1 - mean cosine similarity to the others, for each of N >= 2 non-empty count vectors.

    With unit vectors u_i and their sum S, the mean over j != i of u_i . u_j is (u_i . S - 1) / (N - 1).
    """
    norms = [math.sqrt(sum(count * count for count in vector.values())) for vector in counts]
    total: dict[Ngram, float] = {}
    for vector, norm in zip(counts, norms, strict=True):
        for gram, count in vector.items():
            total[gram] = total.get(gram, 0.0) + count / norm
    others = len(counts) - 1
    dots = (
        sum(count * total[gram] for gram, count in vector.items()) / norm
        for vector, norm in zip(counts, norms, strict=True)
    )
    # Clipped, because rounding can leave the range by the last bit.
    return [min(1.0, max(0.0, 1.0 - (dot - 1.0) / others)) for dot in dots]


def distinct_shares(counts: Sequence[Counter[Ngram]]) -> list[float]:
    """Return the share of each vector's n-grams that no other vector has."""
    owners = Counter(gram for vector in counts for gram in vector)
    return [sum(owners[gram] == 1 for gram in vector) / len(vector) for vector in counts]
