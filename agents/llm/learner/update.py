"""The optimiser steps of one iteration."""

import math

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.kl import kl_loss
from rlenvs.agents.llm.algorithm.losses import loss_scale, policy_loss, value_loss
from rlenvs.agents.llm.config import PPOConfig
from rlenvs.agents.llm.learner.optimizer import set_learning_rate
from rlenvs.agents.llm.learner.scoring import Metrics, ScoredRollout
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.model import Evaluation, Policy
from rlenvs.agents.llm.processes import Processes
from rlenvs.errors import TrainingDivergedError


class Update:
    """Takes optimiser steps on scored rollouts.

    Args:
        policy: changed in place.
        optimizer: its groups carry `base_lr`, the peak learning rate.
        config: the algorithm.
        temperature: of the sampling.
        max_tokens: limit per message, for the normalisation `constant`.
        micro_batches: how many sequences at once.
        processes: who else has a share of each minibatch.
    """

    def __init__(
        self,
        policy: Policy,
        optimizer: torch.optim.Optimizer,
        config: PPOConfig,
        temperature: float,
        max_tokens: int,
        micro_batches: MicroBatches,
        processes: Processes,
    ) -> None:
        self.policy = policy
        self.optimizer = optimizer
        self.config = config
        self.temperature = temperature
        self.max_tokens = max_tokens
        self.micro_batches = micro_batches
        self.processes = processes

    def __call__(
        self,
        rollout: ScoredRollout,
        first_step: int,
        generator: torch.Generator,
        kl_coef: float = 0.0,
        critic_only: bool = False,
    ) -> Metrics:
        """Take the steps of one iteration.

        Args:
            rollout: what to learn from.
            first_step: optimiser steps taken before this iteration, for the learning-rate schedule.
            generator: deals episodes to minibatches.
            kl_coef: weight of the KL term, where it is part of the loss.
            critic_only: leave the policy as it is.

        Returns:
            Means over action tokens and optimiser steps.

        Raises:
            TrainingDivergedError: a loss or gradient is not finite; the policy keeps its last finite weights.
        """
        config = self.config
        counted = rollout.mask_BA.any(dim=1).nonzero()[:, 0].cpu()
        history: list[Metrics] = []
        for epoch in range(config.epochs):
            order = counted[torch.randperm(len(counted), generator=generator)]
            shares = order.tensor_split(config.minibatches)
            for minibatch in range(config.minibatches):
                # Shares differ by one where they do not come out even: not all processes begin with the larger ones.
                index = shares[(minibatch + self.processes.rank) % config.minibatches]
                step = first_step + epoch * config.minibatches + minibatch
                set_learning_rate(self.optimizer, config, step)
                history.append(self._step(rollout, index, kl_coef, critic_only))
                if self._has_moved_far_enough(history[-1]):
                    return _mean(history)
        return _mean(history)

    def _has_moved_far_enough(self, metrics: Metrics) -> bool:
        """Whether the policy is as far from the one that sampled as it may get: never, where it does not learn."""
        limit = self.config.target_kl
        return limit is not None and metrics.get("approx_kl", 0.0) > limit

    def _step(self, rollout: ScoredRollout, index: Tensor, kl_coef: float, critic_only: bool) -> Metrics:
        """One optimiser step on the episodes `index`, accumulated over micro-batches."""
        self.optimizer.zero_grad(set_to_none=True)
        weights_BA, share = loss_scale(rollout.mask_BA[index], self.config.loss_normalization, self.max_tokens)
        denominator = self._total(share)
        tokens = self._total(int(rollout.mask_BA[index].sum()))
        weights = _whole(weights_BA, index, rollout.mask_BA)
        sums = self.micro_batches.survive(
            lambda: self._accumulate(rollout, index, weights, denominator, tokens, kl_coef, critic_only),
            lambda: self.optimizer.zero_grad(set_to_none=True),
        )
        self.processes.reduce_gradients(self.policy)
        norm = self.processes.clip_gradients(self.policy, self.config.max_grad_norm)
        found = dict(zip(sums, self.processes.sum(torch.stack(list(sums.values()))).tolist(), strict=True))
        found["grad_norm"] = norm
        if not all(math.isfinite(value) for value in found.values()):
            raise TrainingDivergedError(
                f"a loss or gradient is not finite ({', '.join(f'{k}={v:.3g}' for k, v in found.items())}): "
                f"lower ppo.learning_rate (now {self.config.learning_rate}) or check the rewards"
            )
        self.optimizer.step()
        return found

    def _accumulate(
        self,
        rollout: ScoredRollout,
        index: Tensor,
        weights_BA: Tensor | None,
        denominator: int,
        tokens: int,
        kl_coef: float,
        critic_only: bool,
    ) -> dict[str, Tensor]:
        """Add the gradients of all micro-batches; return sums, already divided by what they are means over."""
        sums: dict[str, Tensor] = {}
        parts = list(self.micro_batches.split(index, rollout.batch.lengths_B))
        idle = self.processes.most(len(parts)) - len(parts)
        for micro in parts:
            mask = rollout.mask_BA[micro]
            flat_weights = None if weights_BA is None else weights_BA[micro][mask]
            loss, found = self._losses(rollout, micro, mask, flat_weights, denominator, tokens, kl_coef, critic_only)
            torch.autograd.backward(loss)
            sums = {key: sums.get(key, 0.0) + value.detach() for key, value in found.items()}
        for _ in range(idle):  # the others need this process's share of the weights
            self._pass_without_effect(rollout.values_BA is not None, critic_only)
        if not sums:  # a process without a share of this minibatch still takes part in the sums
            sums = {key: torch.zeros((), device=self.policy.device) for key in self._metric_names(rollout, critic_only)}
        return sums

    def _pass_without_effect(self, with_values: bool, critic_only: bool) -> None:
        """Go forward and backward through all that a micro-batch goes through, with a loss of 0."""
        ids = torch.full((1, 2), self.policy.eos_id, device=self.policy.device)
        action = torch.tensor([[False, True]], device=self.policy.device)
        outputs = self.policy.evaluate(
            ids,
            torch.ones_like(action),
            action,
            self.temperature,
            with_logprobs=not critic_only,
            with_values=with_values,
            detach_features=critic_only,
        )
        total = outputs.logprobs_M.sum() + outputs.entropies_M.sum() + outputs.values_M.sum()
        torch.autograd.backward(0.0 * total)

    def _losses(
        self,
        rollout: ScoredRollout,
        micro: Tensor,
        mask: Tensor,
        weights_M: Tensor | None,
        denominator: int,
        tokens: int,
        kl_coef: float,
        critic_only: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        outputs = self.policy.evaluate(
            *rollout.batch.rows(micro),
            self.temperature,
            with_logprobs=not critic_only,
            with_values=rollout.values_BA is not None,
            detach_features=critic_only,
        )
        loss = torch.zeros((), device=self.policy.device)
        found: dict[str, Tensor] = {}
        if not critic_only:
            loss, found = self._policy_losses(rollout, micro, mask, outputs, weights_M, denominator, tokens, kl_coef)
        if rollout.values_BA is not None and rollout.returns_BA is not None:
            critic = value_loss(
                outputs.values_M,
                rollout.values_BA[micro][mask],
                rollout.returns_BA[micro][mask],
                config.value_clip_range,
                denominator,
                weights_M=weights_M,
            )
            loss = loss + config.value_coef * critic
            found["value_loss"] = critic
        return loss, found

    def _policy_losses(
        self,
        rollout: ScoredRollout,
        micro: Tensor,
        mask: Tensor,
        outputs: Evaluation,
        weights_M: Tensor | None,
        denominator: int,
        tokens: int,
        kl_coef: float,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        old_M = rollout.logprobs_BA[micro][mask]
        importance_M = None if rollout.importance_BA is None else rollout.importance_BA[micro][mask]
        actor, parts = policy_loss(
            outputs.logprobs_M,
            old_M,
            rollout.advantages_BA[micro][mask],
            config.clip_range,
            denominator,
            clip_range_high=config.clip_range_high,
            dual_clip=config.dual_clip,
            weights_M=_product(weights_M, importance_M),
        )
        found = {
            "policy_loss": actor,
            "clip_fraction": parts["clipped"] / tokens,
            "approx_kl": parts["approx_kl"] / tokens,
        }
        loss = actor
        if config.entropy_coef:  # zero times its gradient would cost as much as the gradient
            loss = loss - config.entropy_coef * outputs.entropies_M.sum() / tokens
        if rollout.ref_logprobs_BA is not None and config.kl_in == "loss":
            ref_M = rollout.ref_logprobs_BA[micro][mask]
            term = kl_loss(outputs.logprobs_M, ref_M, old_M, config.kl_estimator, denominator, weights_M)
            loss = loss + kl_coef * term
            found["kl_loss"] = term
        return loss, found

    def _metric_names(self, rollout: ScoredRollout, critic_only: bool) -> list[str]:
        names = [] if critic_only else ["policy_loss", "clip_fraction", "approx_kl"]
        if not critic_only and rollout.ref_logprobs_BA is not None and self.config.kl_in == "loss":
            names.append("kl_loss")
        return [*names, "value_loss"] if rollout.values_BA is not None else names

    def _total(self, count: int) -> int:
        """Sum a count over the processes."""
        if self.processes.count == 1:
            return max(count, 1)
        return max(int(self.processes.sum(torch.tensor(count, device=self.policy.device))), 1)


def _whole(weights_bA: Tensor | None, index: Tensor, mask_BA: Tensor) -> Tensor | None:
    """Put the weights of a minibatch where the rows of the whole batch are."""
    if weights_bA is None:
        return None
    weights_BA = torch.zeros(mask_BA.shape, device=mask_BA.device)
    weights_BA[index] = weights_bA
    return weights_BA


def _product(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    if first is None or second is None:
        return second if first is None else first
    return first * second


def _mean(history: list[Metrics]) -> Metrics:
    return {key: sum(entry[key] for entry in history) / len(history) for key in history[0]}
