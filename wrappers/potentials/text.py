"""Potentials over what has been written so far: its length, and which keywords it has."""

import math
import re
from collections.abc import Sequence
from typing import Literal

from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import whole_number
from rlenvs.wrappers.potentials.base import Potential, register_potential
from rlenvs.wrappers.potentials.state_text import assistant_text, newest_response
from rlenvs.wrappers.transition import RewardState


@register_potential("target_length")
class TargetLengthPotential(Potential):
    """Phi(s) = max(0, 1 - |length - target| / scale), of the newest message so far.

    With the default scale an empty message is worth 0 and one of the target length 1, so that shaping begins at
    Phi(s_0) = 0 and only the way there is paid.

    Args:
        target: length to come close to, in units, >= 1.
        unit: `words` (separated by white space), `chars`, or `tokens` as the agent or the environment counted them in
            `info["response_tokens"]`, which exists where a message has ended: use another unit at token level.
        scale: distance at which the potential reaches 0, in units, > 0; `target` when omitted.

    Range: [0, 1].

    Raises:
        ParameterError: a target below 1, or a scale that is not a positive finite number.

    Example:
        >>> near = TargetLengthPotential(target=4)
        >>> near(RewardState(info={"response_so_far": "one two three"}))
        0.75
        >>> near(RewardState())
        0.0
    """

    def __init__(
        self, target: int, unit: Literal["words", "chars", "tokens"] = "words", scale: float | None = None
    ) -> None:
        if target < 1:
            raise ParameterError("target", f"must be >= 1, got {target}")
        whole_number("target", target, 1)
        if unit not in ("words", "chars", "tokens"):
            raise ParameterError("unit", f"must be 'words', 'chars' or 'tokens', got {unit!r}")
        if scale is not None and not 0 < scale < math.inf:
            raise ParameterError("scale", f"must be a finite number > 0, got {scale}")
        self.target = target
        self.unit = unit
        self.scale = scale

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state).

        Raises:
            KeyError: the unit is `tokens` and nobody counted them.
        """
        distance = abs(self._length(state) - self.target)
        return max(0.0, 1.0 - distance / (self.target if self.scale is None else self.scale))

    def _length(self, state: RewardState) -> int:
        text = newest_response(state)
        if self.unit == "chars":
            return len(text)
        if self.unit == "words":
            return len(text.split())
        if "response_tokens" in state.info:
            return int(state.info["response_tokens"])
        if text:
            raise KeyError("info has no 'response_tokens': use unit 'words' or 'chars', or an agent that counts tokens")
        return 0


@register_potential("keyword_coverage")
class KeywordCoveragePotential(Potential):
    """Phi(s) = share of the keywords that occur in what the policy has written in this episode.

    Args:
        keywords: at least one, none blank; one that differs from another in case only is the same, unless
            `case_sensitive`.
        case_sensitive: whether "Sum" is another keyword than "sum".
        whole_words: whether a keyword must not be part of a longer word.

    Range: [0, 1].

    Raises:
        ParameterError: no keywords, or a blank one.

    Example:
        >>> steps = KeywordCoveragePotential(["first", "then", "therefore"])
        >>> round(steps(RewardState(info={"response_so_far": "First add. Then"})), 3)
        0.667
    """

    def __init__(self, keywords: Sequence[str], case_sensitive: bool = False, whole_words: bool = True) -> None:
        if isinstance(keywords, str) or not keywords:
            raise ParameterError("keywords", f"must be a list with at least one keyword, got {keywords!r}")
        for keyword in keywords:
            if not isinstance(keyword, str) or not keyword.strip():
                raise ParameterError("keywords", f"must be texts that are not blank, got {keyword!r}")
        self.keywords = list(keywords)
        self.case_sensitive = case_sensitive
        self.whole_words = whole_words
        wanted = sorted({self._folded(keyword) for keyword in self.keywords})
        # Boundaries only where the keyword itself ends in a word character: "c++" has none on its right.
        self._patterns = [
            re.compile(
                (r"(?<!\w)" if whole_words and re.match(r"\w", keyword) else "")
                + re.escape(keyword)
                + (r"(?!\w)" if whole_words and re.search(r"\w\Z", keyword) else "")
            )
            for keyword in wanted
        ]

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state)."""
        text = self._folded(assistant_text(state))
        return sum(pattern.search(text) is not None for pattern in self._patterns) / len(self._patterns)

    def _folded(self, text: str) -> str:
        return text if self.case_sensitive else text.casefold()
