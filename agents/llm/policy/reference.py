"""What the KL penalty holds the policy to."""

from typing import Protocol

from torch import Tensor

from rlenvs.agents.llm.policy.model import Policy


class Reference(Protocol):
    """Scores tokens as the model did before training."""

    def logprobs(self, ids_BL: Tensor, attention_BL: Tensor, action_BL: Tensor, temperature: float) -> Tensor:
        """Return the log-probabilities `[M]` of the action tokens; see `Policy.evaluate`."""


class FrozenCopy:
    """A second model with the weights of the start.

    Args:
        policy: a model of its own, which nobody trains.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy.requires_grad_(False)

    def logprobs(self, ids_BL: Tensor, attention_BL: Tensor, action_BL: Tensor, temperature: float) -> Tensor:
        """Return the log-probabilities `[M]` of the action tokens."""
        evaluation = self.policy.evaluate(ids_BL, attention_BL, action_BL, temperature, with_values=False)
        return evaluation.logprobs_M
