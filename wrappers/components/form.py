"""Does the response have the form that was asked for."""

import json
import re
from typing import Literal

from rlenvs.errors import ConfigError
from rlenvs.wrappers.base import INVALID, OK, BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.transition import Transition


@register_reward()
class FormattingReward(BaseReward):
    """`reward_value` where the whole response has the form, else `penalty_value` with status `invalid`.

    At token level, before the message ends, the reward is 0: a prefix has no form yet.

    Args:
        format: `json` (one JSON value) or `regex` (the whole response matches `pattern`).
        pattern: regular expression, needed by `regex`.
        reward_value: reward of a response with the form.
        penalty_value: reward of one without.

    Range: {penalty_value, 0, reward_value}.

    Raises:
        ConfigError: `regex` without a pattern, `json` with one, or a pattern that does not compile.

    Example:
        >>> digits = FormattingReward("regex", pattern=r"[0-9]+")
        >>> digits(Transition(response="42", terminated=True)).value
        1.0
        >>> digits(Transition(response="forty-two", terminated=True))
        Score(value=0.0, status='invalid')
    """

    def __init__(
        self,
        format: Literal["json", "regex"] = "json",
        pattern: str | None = None,
        reward_value: float = 1.0,
        penalty_value: float = 0.0,
    ) -> None:
        if (format == "regex") != (pattern is not None):
            raise ConfigError(f"`pattern` belongs to format 'regex', got format {format!r} and {pattern=}")
        self.format = format
        self.reward_value = reward_value
        self.penalty_value = penalty_value
        try:
            self._pattern = re.compile(pattern or "", re.DOTALL)
        except re.error as error:
            raise ConfigError(f"pattern {pattern!r} is not a regular expression: {error}") from error

    def __call__(self, transition: Transition) -> Score:
        """Score one transition."""
        if not transition.message_ended:
            return Score(0.0)
        has_form = _is_json(transition.response) if self.format == "json" else self._matches(transition.response)
        return Score(self.reward_value, OK) if has_form else Score(self.penalty_value, INVALID)

    def _matches(self, response: str) -> bool:
        return self._pattern.fullmatch(response) is not None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):  # malformed, a number too long to parse, or nested too deep
        return False
    return True
