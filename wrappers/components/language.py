"""Is the response written in the language that was asked for."""

import copy
import functools
from typing import Any, ClassVar

from rlenvs.errors import ParameterError
from rlenvs.extras import require
from rlenvs.suggestions import did_you_mean
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.text_parameters import check_number
from rlenvs.wrappers.components.text_units import shorten_combining_runs
from rlenvs.wrappers.transition import Transition


@functools.cache
def whole_identifier() -> Any:
    """Return py3langid's model with normalised probabilities; loading takes half a second, once per process."""
    langid = require("py3langid.langid", "text", "LanguageReward")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


@functools.lru_cache(maxsize=32)
def identifier(candidates: frozenset[str]) -> Any:
    """Return the model restricted to `candidates`, which share its tables.

    Raises:
        ParameterError: py3langid does not know one of them.
    """
    model = copy.copy(whole_identifier())
    for code in sorted(candidates):
        if code not in model.labels:
            hint = did_you_mean(code, model.labels)
            raise ParameterError(
                "language", f"and candidates must be among {', '.join(model.labels)}; got {code!r}{hint}"
            )
    model.set_languages(candidates)
    return model


@register_reward()
class LanguageReward(BaseReward):
    """reward_value times the probability that the message is written in `language`.

    The probability is that of py3langid's naive Bayes model over byte n-grams, normalised over the candidates. It is
    unreliable on a few words, so a message with fewer than `min_letters` letters gets `short_value` instead.

    Args:
        language: ISO 639-1 code of the language that is wanted ("en").
        candidates: codes of the languages that can occur; all that the model knows (140 in version 0.4) when
            omitted. The fewer there are, the shorter the texts that are told apart.
        min_letters: letters that a message needs, >= 0. Digits, marks and spaces speak no language.
        short_value: value of a message with fewer.
        reward_value: value of a message that is certainly written in the language.

    Range: [0, reward_value], and short_value.

    Raises:
        ParameterError: a parameter out of its range, or, on first use, a language that the model does not know.
        MissingExtraError: on first use, py3langid is not installed.

    Source: Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool", as py3langid.

    Example:
        >>> english = LanguageReward("en", candidates=["en", "de", "fr"])
        >>> round(english(Transition(response="The weather is lovely today, is it not?")), 2)
        1.0
        >>> round(english(Transition(response="Das Wetter ist heute schön, nicht wahr?")), 2)
        0.0
    """

    effect: ClassVar[str] = "writing common words of the language, whatever they say"

    def __init__(
        self,
        language: str,
        candidates: list[str] | None = None,
        min_letters: int = 20,
        short_value: float = 0.0,
        reward_value: float = 1.0,
    ) -> None:
        if not language:
            raise ParameterError("language", "must be an ISO 639-1 code such as 'en', got ''")
        if candidates is not None:
            if len(set(candidates)) < 2:
                raise ParameterError("candidates", f"must be two languages or more, got {candidates}")
            if language not in candidates:
                raise ParameterError("candidates", f"must contain the language {language!r}, got {candidates}")
        check_number("min_letters", min_letters, at_least=0)
        check_number("short_value", short_value)
        check_number("reward_value", reward_value)
        self.language = language
        self.candidates = candidates
        self.min_letters = min_letters
        self.short_value = short_value
        self.reward_value = reward_value

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        if not transition.message_ended:
            return 0.0
        if sum(map(str.isalpha, transition.response)) < self.min_letters:
            return self.short_value
        return self.reward_value * self._probability(transition.response)

    def _probability(self, text: str) -> float:
        candidates = frozenset(self.candidates) if self.candidates else frozenset(whole_identifier().labels)
        ranking = identifier(candidates | {self.language}).rank(shorten_combining_runs(text))
        return float(dict(ranking)[self.language])
