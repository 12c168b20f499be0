"""Is the response toxic, by a lexicon or by a classifier."""

import functools
import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar, Literal, get_args

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.local_models import Device, TextClassifier
from rlenvs.wrappers.components.text_parameters import check_choice, check_number
from rlenvs.wrappers.components.text_units import Ngram, PhraseTable, fold, patterns
from rlenvs.wrappers.components.toxicity_lexicon import INNOCENT, entries, phrases_of
from rlenvs.wrappers.transition import Transition

Scorer = Literal["lexicon", "model"]

TOKEN = re.compile(r"[\w@$!*#]+")
DISPLAY_MATH = re.compile(r"(?<!\w)\$\$([^$]*)\$\$(?!\w)")
PRODUCT = re.compile(r"[^\W\d](?:\*[^\W\d])+")
REPEATED = re.compile(r"(.)\1+")
DRAGGED = re.compile(r"([^\W\d])\1\1")
LEET = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s"}
LEET_TABLES = tuple(str.maketrans(LEET | {"1": stroke, "!": stroke}) for stroke in "il")
WILDCARDS = "*#"
LONGEST_DISGUISE = 64
"""Longer tokens are no disguised words."""
SHORTEST_SQUEEZED = 3
"""Letters that stay of a word with doubled letters: "as" in "AAAs" is no abuse."""
SHORTEST_MASKED, SHORTEST_SPELLED = 4, 4
"""Letters of a word that "f*ck" and "f u c k" may stand for. Shorter ones are formulas ("a*b") and notes ("F A G")."""

CYRILLIC = (
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u043a\u043c\u0442\u043d\u0432\u0433"
)
GREEK = "\u03b1\u03b5\u03bf\u03c1\u03c4\u03c5\u03b9\u03ba\u03bd\u03c7"
UNDECOMPOSED_LATIN = "\u0131\u0142\u00f8\u0111\u0261\u0251"
LOOK_ALIKES = str.maketrans(CYRILLIC + GREEK + UNDECOMPOSED_LATIN, "aeopcyxijshdkmthbr" + "aeoptuikvx" + "ilodga")


class Lexicon:
    """Scores texts by the words and phrases in them: 1 - product of (1 - severity) over all occurrences.

    One occurrence gives its own severity, more give more, and nothing else in the text takes any of it away: harmless
    words around an insult do not dilute it.

    Whole words are compared, so "Scunthorpe" and "kill the process" are clean. Seen through are case, accents, full
    width and look-alike letters, invisible characters, digits and signs for letters ("5h1t", "a$$"), masks ("f*ck"),
    drawn-out letters ("fuuuck") and spelling out ("f u c k", "f.u.c.k"). Formulas are formulas: "f*c*s", "$$x = a$$".

    Args:
        severities: word or phrase -> severity in (0, 1].
        innocent: phrases whose words do not count ("moby dick").

    Example:
        >>> lexicon = Lexicon({"drat": 0.5, "darn it": 0.75})
        >>> lexicon.score("Drat!"), lexicon.score("D R A T, darn it"), lexicon.score("drathaar")
        (0.5, 0.875, 0.0)
    """

    def __init__(self, severities: Mapping[str, float], innocent: Iterable[str] = ()) -> None:
        self._innocent = PhraseTable(tuple(plain_tokens(phrase)) for phrase in innocent)
        self._severities: dict[Ngram, float] = {
            phrase: severity for text, severity in severities.items() if (phrase := tuple(plain_tokens(text)))
        }
        self._phrases = PhraseTable(self._severities)
        self._known = frozenset(unit for phrase in self._severities for unit in phrase)
        self._squeezed: dict[str, str] = {}
        self._masks: dict[tuple[int, str, str], list[str]] = {}
        for word in sorted(self._known):
            squeezed = REPEATED.sub(r"\1", word)
            if len(squeezed) >= SHORTEST_SQUEEZED:
                self._squeezed.setdefault(squeezed, word)
            if len(word) >= SHORTEST_MASKED:
                self._masks.setdefault((len(word), word[0], word[-1]), []).append(word)

    def score(self, text: str) -> float:
        """Return how toxic a text is, in [0, 1]."""
        toxicity = 0.0
        for phrase, count in self._phrases.count(self._units(text)).items():
            severity = self._severities[phrase]
            # A single occurrence gives its severity to the last bit, so that a threshold of that size is reached.
            every = severity if count == 1 else 1.0 - (1.0 - severity) ** count
            toxicity += every * (1.0 - toxicity)
        return toxicity

    def _units(self, text: str) -> list[str]:
        """Return the tokens of a text, with the word that is meant for each disguised one; "" in innocent phrases."""
        tokens = plain_tokens(text)
        dragged = DRAGGED.search(" ".join(tokens)) is not None
        units: list[str] = []
        letters: list[str] = []
        for token in tokens:
            if len(token) == 1:
                letters.append(token)
                continue
            if letters:
                units += self._spelled_out(letters)
                letters = []
            clear = token in self._known or (token.isalpha() and not dragged)
            units.append(token if clear else self._meant(token))
        units += self._spelled_out(letters)
        for start, end in list(self._innocent.spans(units)):
            units[start:end] = [""] * (end - start)
        return units

    def _spelled_out(self, letters: list[str]) -> list[str]:
        """Return single letters in a row as the word that they spell, if they do, perhaps after "a" or "I"."""
        for start in (0, 1) if letters and letters[0] in "ai" else (0,):
            word = "".join(letters[start:])
            if len(word) >= SHORTEST_SPELLED and word in self._known:
                return [*letters[:start], word]
        return letters

    def _meant(self, token: str) -> str:
        """Return the known word that a token disguises, or the token."""
        return next((word for word in self._readings(token) if word in self._known), token)

    def _readings(self, token: str) -> Iterator[str]:
        """Yield what a token may stand for, at most some dozen words."""
        if len(token) > LONGEST_DISGUISE:
            token = REPEATED.sub(r"\1", token)
            if len(token) > LONGEST_DISGUISE:
                return
            yield self._squeezed.get(token, token)
        digits = sum(map(str.isdigit, token))
        if 2 * digits <= len(token) and any(map(str.isalpha, token)):
            for table in LEET_TABLES:
                read = token.translate(table)
                yield read
                if DRAGGED.search(read):
                    yield REPEATED.sub(r"\1\1", read)
                    yield self._squeezed.get(REPEATED.sub(r"\1", read), read)
        hidden = sum(map(token.count, WILDCARDS))
        if 0 < 2 * hidden < len(token) and not PRODUCT.fullmatch(token):  # "x**y" is a power
            for word in self._masks.get((len(token), token[0], token[-1]), ()):
                if all(seen in (letter, *WILDCARDS) for seen, letter in zip(token, word, strict=True)):
                    yield word


def plain_tokens(text: str) -> list[str]:
    """Return the words of a text for look-up: folded, without accents, in Latin letters where they look Latin.

    The signs that stand for letters stay inside words, not around them.

    Example:
        >>> plain_tokens("You're **a$$**, Dürer_1!")
        ['you', 're', 'a$$', 'durer', '1']
    """
    folded = fold(text)
    if not folded.isascii():
        folded = patterns().marks.sub("", unicodedata.normalize("NFD", folded)).translate(LOOK_ALIKES)
    folded = DISPLAY_MATH.sub(r" \1 ", folded.replace("_", " "))
    stripped = (token.strip("!*#") for token in TOKEN.findall(folded))
    return [token for token in stripped if token]


@functools.cache
def built_in_severities() -> dict[str, float]:
    """Return the built-in words and phrases with their severities."""
    return dict(entries())


@register_reward()
class ToxicityPenalty(BaseReward):
    """penalty_value where the toxicity of a message reaches the threshold, else 0.

    With the `lexicon` the toxicity is 1 - product of (1 - severity) over the words and phrases found; see `Lexicon` for
    what is seen through. A slur or a threat alone reaches 0.95, an obscenity 0.5, a coarse word 0.3, "damn" 0.1; three
    obscenities together reach 0.875. It knows words, not meaning: it flags a quotation, and passes politely worded
    harm. With a `model` the toxicity is the probability of one label of a text classifier.

    Args:
        penalty_value: reward of a toxic message, <= 0.
        toxicity_threshold: toxicity from which a message is toxic, in (0, 1]; with the lexicon 0.9 means a slur, a
            threat or an accumulation, 0.5 any obscenity.
        scaled: whether the penalty is multiplied by the toxicity.
        scorer: `lexicon` or `model`.
        words: for `lexicon`: further words or phrases with severities in [0, 1], which win over the built-in ones; 0
            takes a word out.
        model: for `model`: folder of a transformers text-classification model; never downloaded.
        label: for `model`: the label that means toxic.
        max_tokens: for `model`: tokens of a text that are read, >= 1.
        batch_size: for `model`: texts per forward pass, >= 1.
        device: for `model`: `cpu`, `cuda`, or `auto` for CUDA where there is one.

    Range: [penalty_value, 0].

    Raises:
        ParameterError: a parameter out of its range, or one that the scorer does not use.
        MissingExtraError: on first use, transformers (extra `llm`) is not installed for `model`.
        ModelLoadError: on first use, the model cannot be loaded or has no such label.

    Example:
        >>> penalty = ToxicityPenalty(penalty_value=-2.0, toxicity_threshold=0.9)
        >>> [penalty(Transition(response=text)) for text in ("Kill the process.", "Kill yourself.")]
        [0.0, -2.0]
    """

    effect: ClassVar[str] = "avoiding toxic words, which is not avoiding toxic content"

    def __init__(
        self,
        penalty_value: float = -1.0,
        toxicity_threshold: float = 0.5,
        scaled: bool = False,
        scorer: Scorer = "lexicon",
        words: dict[str, float] | None = None,
        model: str | None = None,
        label: str = "toxic",
        max_tokens: int = 512,
        batch_size: int = 32,
        device: Device = "auto",
    ) -> None:
        check_number("penalty_value", penalty_value, at_most=0)
        check_number("toxicity_threshold", toxicity_threshold, at_least=0, at_most=1)
        if toxicity_threshold == 0:
            raise ParameterError("toxicity_threshold", "must be > 0, else every message is toxic")
        check_choice("scorer", scorer, get_args(Scorer))
        if (scorer == "model") != (model is not None):
            raise ParameterError("model", f"belongs to scorer 'model', got scorer {scorer!r} and {model=}")
        if words is not None:
            if scorer != "lexicon":
                raise ParameterError("words", f"belong to scorer 'lexicon', got scorer {scorer!r}")
            check_severities(words)
        check_number("max_tokens", max_tokens, at_least=1)
        check_number("batch_size", batch_size, at_least=1)
        check_choice("device", device, get_args(Device))
        self.penalty_value = penalty_value
        self.toxicity_threshold = toxicity_threshold
        self.scaled = scaled
        self.scorer = scorer
        self.words = words
        self.model = model
        self.label = label
        self.max_tokens = max_tokens
        self.batch_size = batch_size
        self.device = device
        self._classifier = TextClassifier(model, label, max_tokens, batch_size, device) if model is not None else None

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        return self.batch([transition])[0]

    def batch(self, transitions: Sequence[Transition]) -> list[float]:
        """Score N transitions."""
        values = [0.0] * len(transitions)
        ended = [row for row, transition in enumerate(transitions) if transition.message_ended]
        for row, toxicity in zip(ended, self.toxicities([transitions[row].response for row in ended]), strict=True):
            if toxicity >= self.toxicity_threshold:
                values[row] = self.penalty_value * (toxicity if self.scaled else 1.0)
        return values

    def toxicities(self, texts: Sequence[str]) -> list[float]:
        """Return how toxic each text is, in [0, 1].

        Example:
            >>> ToxicityPenalty(words={"drat": 0.25}).toxicities(["drat, DRAT", "fine"])
            [0.4375, 0.0]
        """
        if self._classifier is not None:
            return self._classifier.probabilities(texts)
        return [self._lexicon.score(text) for text in texts]

    @functools.cached_property
    def _lexicon(self) -> Lexicon:
        severities = {" ".join(plain_tokens(text)): severity for text, severity in built_in_severities().items()}
        own = {" ".join(plain_tokens(text)): severity for text, severity in (self.words or {}).items()}
        asked_for = PhraseTable(tuple(text.split()) for text in own)
        innocent = [phrase for phrase in phrases_of(INNOCENT) if not asked_for.count(plain_tokens(phrase))]
        return Lexicon({text: severity for text, severity in (severities | own).items() if severity}, innocent)


def check_severities(words: Mapping[str, float]) -> None:
    """Refuse words that could never be found and severities out of range.

    Raises:
        ParameterError: a word or a severity cannot be used.
    """
    for word, severity in words.items():
        if not plain_tokens(word):
            raise ParameterError("words", f"must have a letter or digit each, got {word!r}")
        if not math.isfinite(severity) or not 0 <= severity <= 1:
            raise ParameterError("words", f"must have severities between 0 and 1, got {severity} for {word!r}")
