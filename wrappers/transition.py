"""What the reward layer sees of one environment step, whatever the environment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Message = Mapping[str, str]


@dataclass(slots=True)
class RewardState:
    """A state as potentials see it.

    Attributes:
        prompt: first message of the episode, "" where the environment has no text.
        messages: the chat so far, as `{"role": ..., "content": ...}`.
        observation: the environment's own observation.
        info: the `info` that came with this observation. Potentials must not change it.
    """

    prompt: str = ""
    messages: Sequence[Message] = ()
    observation: Any = None
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Transition:
    """One environment step as reward components see it. Components must not change it.

    Attributes:
        prompt: first message of the episode.
        response: the text that this step adds (at token level: the response so far).
        messages: the chat after the step.
        observation: observation before the step.
        action: what the agent did: a string at turn level, a token id at token level.
        next_observation: observation after the step.
        env_reward: the environment's own reward.
        terminated: the task reached an end; the state after it has no value.
        truncated: the episode was cut; the state after it still has a value.
        info: the `info` of the step, with the grade of the response.
        previous_info: the `info` that came with `observation`.
        step: reward clock when the action was taken, in environment steps since training began.
        previous_step: reward clock when `observation` was visited: that of the transition that led to it, or of the
            reset. A state keeps the weight of this clock; None means that it equals `step`.
    """

    prompt: str = ""
    response: str = ""
    messages: Sequence[Message] = ()
    observation: Any = None
    action: Any = None
    next_observation: Any = None
    env_reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)
    previous_info: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
    previous_step: int | None = None

    @property
    def message_ended(self) -> bool:
        """Whether the step ended a message: always at turn level, at the last token at token level."""
        return isinstance(self.action, str) or self.action is None or "response" in self.info

    def state_before(self) -> RewardState:
        """Return the state in which the action was taken."""
        messages = self.previous_info.get("messages", ())
        return RewardState(self.prompt, messages, self.observation, self.previous_info)

    def state_after(self) -> RewardState:
        """Return the state that the action led to; without a chat, prompt and response are one."""
        messages = self.messages
        if not messages and self.response:
            messages = ({"role": "user", "content": self.prompt}, {"role": "assistant", "content": self.response})
        return RewardState(self.prompt, messages, self.next_observation, self.info)
