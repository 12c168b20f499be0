"""How long the response is."""

import re
from typing import ClassVar, Literal, get_args

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components.text_parameters import check_choice, check_number
from rlenvs.wrappers.transition import Transition

LengthUnit = Literal["auto", "tokens", "words", "chars"]

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


def response_length(transition: Transition, unit: LengthUnit) -> int:
    """Return the length of a response.

    Args:
        transition: the step that ended the message.
        unit: `tokens` (as the agent counted them in `info["response_tokens"]`), `words` (separated by white space),
            `chars`, or `auto`: tokens where the agent counted them, else words and punctuation marks. `auto` is
            approximate: the same response may get another number offline than in training, which the other units
            never allow.

    Raises:
        KeyError: the unit is `tokens` and no agent counted them.
    """
    if unit == "chars":
        return len(transition.response)
    if unit == "words":
        return len(transition.response.split())
    counted = transition.info.get("response_tokens")
    if counted is not None:
        return int(counted)
    if unit == "tokens":
        raise KeyError("info has no 'response_tokens': use unit 'words' or 'chars', or an agent that counts its tokens")
    return len(_WORD_OR_MARK.findall(transition.response))


@register_reward()
class LengthPenalty(BaseReward):
    """penalty_per_token * max(0, length - max_length), once per message.

    Args:
        max_length: length that is still free, in units, >= 0.
        penalty_per_token: added per unit above it, <= 0.
        unit: `tokens`, `words`, `chars` or `auto`; see `response_length`.

    Range: (-inf, 0].

    Raises:
        ParameterError: a negative length, a positive penalty, or an unknown unit.

    Example:
        >>> LengthPenalty(max_length=2, penalty_per_token=-0.5, unit="words")(Transition(response="a b c d"))
        -1.0
    """

    effect: ClassVar[str] = "writing shorter messages"

    def __init__(self, max_length: int, penalty_per_token: float = -0.01, unit: LengthUnit = "auto") -> None:
        check_number("max_length", max_length, at_least=0)
        check_number("penalty_per_token", penalty_per_token, at_most=0)
        check_choice("unit", unit, get_args(LengthUnit))
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
        excess = response_length(transition, self.unit) - self.max_length
        return self.penalty_per_token * excess if excess > 0 else 0.0


@register_reward()
class LengthRangePenalty(BaseReward):
    """penalty_per_token times the distance of the length to [min, max], never below max_penalty, once per message.

    Args:
        min: shortest length that is free, in units, >= 0.
        max: longest length that is free, in units, >= min; None for no upper end.
        penalty_per_token: added per unit below `min` or above `max`, <= 0.
        max_penalty: the largest penalty, <= 0; None for no limit.
        unit: `tokens`, `words`, `chars` or `auto`; see `response_length`.

    Range: [max_penalty, 0], or (-inf, 0] without one.

    Raises:
        ParameterError: a negative length, max below min, a positive penalty, or an unknown unit.

    Example:
        >>> within = LengthRangePenalty(min=2, max=3, penalty_per_token=-0.5, unit="words", max_penalty=-1.0)
        >>> [within(Transition(response="word " * count)) for count in (0, 1, 2, 3, 4, 9)]
        [-1.0, -0.5, 0.0, 0.0, -0.5, -1.0]
    """

    effect: ClassVar[str] = "padding or cutting messages to the length asked for"

    def __init__(
        self,
        min: int,
        max: int | None = None,
        penalty_per_token: float = -0.01,
        max_penalty: float | None = None,
        unit: LengthUnit = "auto",
    ) -> None:
        check_number("min", min, at_least=0)
        if max is not None:
            check_number("max", max)
            if max < min:
                raise ParameterError("max", f"must be >= min ({min}), got {max}")
        check_number("penalty_per_token", penalty_per_token, at_most=0)
        if max_penalty is not None:
            check_number("max_penalty", max_penalty, at_most=0)
        check_choice("unit", unit, get_args(LengthUnit))
        self.min = min
        self.max = max
        self.penalty_per_token = penalty_per_token
        self.max_penalty = max_penalty
        self.unit = unit

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            KeyError: the unit is `tokens` and no agent counted them.
        """
        if not transition.message_ended:
            return 0.0
        length = response_length(transition, self.unit)
        too_long = 0 if self.max is None else length - self.max
        distance = max(self.min - length, 0, too_long)
        if distance == 0:
            return 0.0
        penalty = self.penalty_per_token * distance
        return penalty if self.max_penalty is None else max(penalty, self.max_penalty)


@register_reward()
class SoftOverlongPenalty(BaseReward):
    """0 up to max_length - cache_length, then linear down to -scale at max_length, and -scale beyond.

    A hard cut at the token limit punishes long right answers like wrong ones; the slope before it tells the policy
    in time that it is running out.

    Args:
        max_length: length at which the whole penalty is reached, in units, >= 1.
        cache_length: length of the slope before it, in units, in [0, max_length]; with 0 the penalty is a step just
            beyond `max_length`.
        scale: size of the whole penalty, >= 0.
        unit: `tokens`, `words`, `chars` or `auto`; see `response_length`.

    Range: [-scale, 0].

    Raises:
        ParameterError: a parameter out of its range.

    Source: Yu et al. 2025, "DAPO: An Open-Source LLM Reinforcement Learning System at Scale", arXiv:2503.14476,
    equation 13 (soft overlong punishment).

    Example:
        >>> soft = SoftOverlongPenalty(max_length=8, cache_length=4, unit="words")
        >>> [soft(Transition(response="word " * count)) for count in (4, 5, 6, 8, 100)]
        [0.0, -0.25, -0.5, -1.0, -1.0]
    """

    effect: ClassVar[str] = "ending messages before the length limit"

    def __init__(self, max_length: int, cache_length: int, scale: float = 1.0, unit: LengthUnit = "auto") -> None:
        check_number("max_length", max_length, at_least=1)
        check_number("cache_length", cache_length, at_least=0, at_most=max_length)
        check_number("scale", scale, at_least=0)
        check_choice("unit", unit, get_args(LengthUnit))
        self.max_length = max_length
        self.cache_length = cache_length
        self.scale = scale
        self.unit = unit

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            KeyError: the unit is `tokens` and no agent counted them.
        """
        if not transition.message_ended:
            return 0.0
        excess = response_length(transition, self.unit) - (self.max_length - self.cache_length)
        if excess <= 0:
            return 0.0
        return -self.scale * min(1.0, excess / self.cache_length) if self.cache_length else -self.scale
