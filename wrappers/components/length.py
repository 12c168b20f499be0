"""How long the response is."""

import re
from typing import Literal

from rlenvs.errors import ConfigError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.transition import Transition

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


@register_reward()
class LengthPenalty(BaseReward):
    """penalty_per_token * max(0, length - max_length), once per message.

    Args:
        max_length: length that is still free, in units, >= 0.
        penalty_per_token: added per unit above it, <= 0.
        unit: `tokens` (as the agent counted them in `info["response_tokens"]`), `words` (separated by white space),
            `chars`, or `auto`: tokens where the agent counted them, else words and punctuation marks. `auto` is
            approximate: the same response may get another number offline than in training, which the other units
            never allow.

    Range: (-inf, 0].

    Raises:
        ConfigError: a negative length or a positive penalty.

    Example:
        >>> LengthPenalty(max_length=2, penalty_per_token=-0.5, unit="words")(Transition(response="a b c d"))
        -1.0
    """

    def __init__(
        self,
        max_length: int,
        penalty_per_token: float = -0.01,
        unit: Literal["auto", "tokens", "words", "chars"] = "auto",
    ) -> None:
        if max_length < 0:
            raise ConfigError(f"max_length must be >= 0, got {max_length}")
        if penalty_per_token > 0:
            raise ConfigError(f"penalty_per_token is a penalty and must be <= 0, got {penalty_per_token}")
        self.max_length = max_length
        self.penalty_per_token = penalty_per_token
        self.unit = unit

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            KeyError: the unit is `tokens` and no agent counted them.
        """
        if not transition.message_ended:
            return 0.0
        excess = self._length(transition) - self.max_length
        return self.penalty_per_token * excess if excess > 0 else 0.0

    def _length(self, transition: Transition) -> int:
        if self.unit == "chars":
            return len(transition.response)
        if self.unit == "words":
            return len(transition.response.split())
        counted = transition.info.get("response_tokens")
        if counted is not None:
            return int(counted)
        if self.unit == "tokens":
            raise KeyError(
                "info has no 'response_tokens': use unit 'words' or 'chars', or an agent that counts its tokens"
            )
        return len(_WORD_OR_MARK.findall(transition.response))
