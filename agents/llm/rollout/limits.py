"""What ends a message or an episode that the environment would let go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rlenvs.agents.llm.config.rollout import SamplingConfig
from rlenvs.errors import DataError

Cut = Literal["context", "turns"]
"""Why the policy plays an episode no further: what comes next does not fit, or it has had all its messages."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a run.

    The first message of an episode has room for `max_new_tokens`, or its prompt is refused. A later message has what is
    left of the context: it becomes shorter before the episode is cut. An episode that is cut is truncated: the state
    after its last token keeps its value.

    Attributes:
        max_new_tokens: tokens per message, >= 1.
        context_tokens: prompt, messages and feedback together; None for no limit.
        max_turns: messages per episode; None for no limit.
    """

    max_new_tokens: int
    context_tokens: int | None = None
    max_turns: int | None = None

    @classmethod
    def of(cls, config: SamplingConfig) -> "Limits":
        """Return the limits of a configuration."""
        return cls(config.max_new_tokens, config.context_tokens, config.max_turns)

    def room(self, tokens: int) -> int:
        """Return how long the next message may be after so many tokens; below 1 where it does not fit."""
        if self.context_tokens is None:
            return self.max_new_tokens
        return min(self.max_new_tokens, self.context_tokens - tokens)

    def cut(self, turns: int) -> bool:
        """Tell whether an episode of so many messages has had them all."""
        return self.max_turns is not None and turns >= self.max_turns

    def check_prompt(self, prompt: Sequence[int], problem_id: str) -> None:
        """Refuse a prompt that is empty or leaves no room for an answer.

        Raises:
            DataError: the message names the problem and the limits.
        """
        if len(prompt) == 0:
            raise DataError(f"the prompt of problem {problem_id!r} has no tokens: there is nothing to continue")
        if self.context_tokens is None:
            return
        room = self.context_tokens - self.max_new_tokens
        if len(prompt) > room:
            raise DataError(
                f"the prompt of problem {problem_id!r} has {len(prompt)} tokens, it must have 1 to {room} "
                f"(rollout.context_tokens={self.context_tokens} less rollout.max_new_tokens={self.max_new_tokens})"
            )
