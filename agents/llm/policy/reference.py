"""What the KL penalty holds the policy to."""

from typing import Protocol

import torch
from torch import Tensor

from rlenvs.agents.llm.policy import adapters
from rlenvs.agents.llm.policy.adapters import INITIAL
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


class AdapterOff:
    """The policy itself without what its adapter has learned: no second copy of any weight of the base.

    Args:
        policy: one that trains an adapter.
        start_is_base: whether the adapter changed nothing at the start. Otherwise the reference is the adapter as it
            is now, which is kept beside the one that is trained.
    """

    def __init__(self, policy: Policy, start_is_base: bool) -> None:
        self.policy = policy
        self.adapter = None if start_is_base else INITIAL
        if not start_is_base:
            adapters.duplicate(policy.model, INITIAL, trainable=False)

    @torch.no_grad()
    def logprobs(self, ids_BL: Tensor, attention_BL: Tensor, action_BL: Tensor, temperature: float) -> Tensor:
        """Return the log-probabilities `[M]` of the action tokens."""
        with self.policy.using_adapter(self.adapter):
            evaluation = self.policy.evaluate(ids_BL, attention_BL, action_BL, temperature, with_values=False)
        return evaluation.logprobs_M
