"""One optimiser step of supervised learning."""

import math
from collections.abc import Sequence

import torch

from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.processes import ALONE, Processes
from rlenvs.agents.llm.rollout.batch import Episode, RolloutBatch, collate
from rlenvs.errors import TrainingDivergedError

Metrics = dict[str, float]


class Imitation:
    """Takes optimiser steps on the cross-entropy of what the assistant of demonstrations says.

    The loss is the mean over the action tokens of the whole batch, over all processes: how the batch is split into
    micro-batches, in which order, and over how many processes changes nothing.

    Args:
        policy: changed in place.
        optimizer: of the policy.
        micro_batches: how many sequences at once.
        max_grad_norm: gradients are clipped to this norm.
        processes: who else has a share of each batch.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        micro_batches: MicroBatches,
        max_grad_norm: float,
        processes: Processes = ALONE,
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.micro_batches = micro_batches
        self.max_grad_norm = max_grad_norm
        self.processes = processes

    def step(self, demonstrations: Sequence[Episode]) -> Metrics:
        """Take one optimiser step.

        Args:
            demonstrations: this process's share of the batch; may be empty where there are others.

        Returns:
            `loss/train` (nats per action token), `grad_norm` before clipping, `batch_tokens` in the mean.

        Raises:
            TrainingDivergedError: the loss or the gradient is not finite; the policy keeps its last finite weights.
        """
        self.optimizer.zero_grad(set_to_none=True)
        tokens = self._total(demonstrations)
        loss = self._sum(demonstrations, tokens, learn=True)
        self.processes.reduce_gradients(self.policy)
        norm = self.processes.clip_gradients(self.policy, self.max_grad_norm)
        if not math.isfinite(loss + norm):
            raise TrainingDivergedError(
                f"the loss ({loss:.3g}) or its gradient (norm {norm:.3g}) is not finite: lower the learning rate"
            )
        self.optimizer.step()
        return {"loss/train": loss, "grad_norm": norm, "batch_tokens": float(tokens)}

    def loss(self, demonstrations: Sequence[Episode]) -> float:
        """Return the mean cross-entropy of the action tokens, nats; nothing is learned.

        Args:
            demonstrations: this process's share.
        """
        with torch.no_grad():
            return self._sum(demonstrations, self._total(demonstrations), learn=False)

    def _total(self, demonstrations: Sequence[Episode]) -> int:
        """Count the action tokens of all processes."""
        count = sum(len(demonstration.sampled_logprobs) for demonstration in demonstrations)
        return max(1, int(self.processes.sum(torch.tensor(count, device=self.policy.device))))

    def _sum(self, demonstrations: Sequence[Episode], tokens: int, learn: bool) -> float:
        """Return the loss; where something is to be learned, leave its gradient in the parameters."""
        total = torch.zeros((), device=self.policy.device)
        if demonstrations:
            batch = collate(demonstrations, self.policy.pad_id, self.policy.device)
            total += self.micro_batches.survive(
                lambda: self._accumulate(batch, tokens, learn), lambda: self.optimizer.zero_grad(set_to_none=True)
            )
        return float(self.processes.sum(total))

    def _accumulate(self, batch: RolloutBatch, tokens: int, learn: bool) -> torch.Tensor:
        total = torch.zeros((), device=self.policy.device)
        for rows in self.micro_batches.split(torch.arange(len(batch)), batch.lengths_B):
            ids_BL, attention_BL, action_BL = batch.rows(rows)
            found = self.policy.evaluate(ids_BL, attention_BL, action_BL, 1.0, with_values=False)
            loss = -found.logprobs_M.sum() / tokens
            if learn:
                torch.autograd.backward(loss)
            total += loss.detach()
        return total
