"""From a rollout to everything that the losses need: log-probabilities, values, KL, advantages."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.advantages import length_adaptive_lambda, token_rewards, whiten
from rlenvs.agents.llm.algorithm.estimators import estimate_advantages
from rlenvs.agents.llm.algorithm.filters import overlong_mask
from rlenvs.agents.llm.algorithm.importance import importance_weights
from rlenvs.agents.llm.algorithm.kl import kl_metrics
from rlenvs.agents.llm.algorithm.losses import explained_variance
from rlenvs.agents.llm.config import PPOConfig
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.memory.offload import on_device
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import Reference
from rlenvs.agents.llm.processes import Processes
from rlenvs.agents.llm.rollout.batch import RolloutBatch

Metrics = dict[str, float]


@dataclass(slots=True)
class ScoredRollout:
    """A rollout with everything that the losses need, per action token.

    Attributes:
        batch: the episodes.
        mask_BA: the action tokens that are learned from: all, or without those of over-long episodes.
        logprobs_BA: under the policy that sampled.
        ref_logprobs_BA: under the reference; None where there is none.
        values_BA: V before each action token; None without a critic.
        advantages_BA: 0 on padding.
        returns_BA: regression targets of the value; None without a critic.
        importance_BA: weights of the policy loss; None where all are 1.
        metrics: means over action tokens.
    """

    batch: RolloutBatch
    mask_BA: Tensor
    logprobs_BA: Tensor
    ref_logprobs_BA: Tensor | None
    values_BA: Tensor | None
    advantages_BA: Tensor
    returns_BA: Tensor | None
    importance_BA: Tensor | None
    metrics: Metrics


@torch.no_grad()
def score_rollout(
    batch: RolloutBatch,
    policy: Policy,
    reference: Reference | None,
    config: PPOConfig,
    temperature: float,
    micro_batches: MicroBatches,
    processes: Processes,
    kl_coef: float | None = None,
    mask_overlong: bool = False,
) -> ScoredRollout:
    """Compute log-probabilities, values, KL and advantages of a rollout.

    Passes that run out of memory begin again with smaller micro-batches: between them, never with a sum over processes
    among what is repeated.

    Args:
        batch: the episodes.
        policy: the policy that sampled them.
        reference: what the KL term holds it to; None for no such term.
        config: the algorithm.
        temperature: of the sampling.
        micro_batches: how many sequences at once.
        processes: who else has a share of the batch.
        kl_coef: present coefficient of the KL term; None for the configuration's.
        mask_overlong: leave out episodes that hit a length limit.
    """
    kl_coef = config.kl_coef if kl_coef is None else kl_coef
    mask_BA = overlong_mask(batch.mask_BA, batch.cut_B) if mask_overlong else batch.mask_BA
    logprobs_BA, entropies_BA, values_BA, last_B = _evaluate(
        batch, policy, config, temperature, micro_batches, processes
    )
    ref_BA = None
    if reference is not None:
        ref_BA = _score_by_reference(batch, reference, temperature, micro_batches, processes)
    in_reward = ref_BA if config.kl_in == "reward" else None
    rewards_BA = token_rewards(batch.turn_rewards_BA, logprobs_BA, in_reward, mask_BA, kl_coef, config.kl_estimator)
    advantages_BA, returns_BA = estimate_advantages(
        config.estimator,
        rewards_BA,
        mask_BA,
        gamma=config.gamma,
        values_BA=values_BA,
        bootstrap_B=None if last_B is None else torch.where(batch.terminated_B, 0.0, last_B),
        gae_lambda=_policy_lambda(mask_BA, config),
        critic_lambda=_critic_lambda(config),
        group_B=batch.group_B,
        all_reduce=processes.sum if processes.count > 1 else None,
    )
    if config.whiten:
        advantages_BA = whiten(advantages_BA, mask_BA, processes.sum if processes.count > 1 else None)
    importance_BA = None
    if config.importance is not None:
        importance_BA, _ = _importance(logprobs_BA, batch.sampled_logprobs_BA, mask_BA, config)
    metrics = _metrics(
        config,
        *processes.gather_rows(
            [mask_BA, logprobs_BA, batch.sampled_logprobs_BA, entropies_BA, values_BA, returns_BA, ref_BA]
        ),
    )
    return ScoredRollout(
        batch, mask_BA, logprobs_BA, ref_BA, values_BA, advantages_BA, returns_BA, importance_BA, metrics
    )


def _metrics(
    config: PPOConfig,
    mask_BA: Tensor | None,
    logprobs_BA: Tensor | None,
    sampled_BA: Tensor | None,
    entropies_BA: Tensor | None,
    values_BA: Tensor | None,
    returns_BA: Tensor | None,
    ref_BA: Tensor | None,
) -> Metrics:
    """Describe the rollouts of all processes: the same in each of them."""
    assert mask_BA is not None
    assert logprobs_BA is not None
    assert sampled_BA is not None
    metrics: Metrics = {}
    if config.old_logprobs != "engine":
        _, metrics = _importance(logprobs_BA, sampled_BA, mask_BA, config)
    if entropies_BA is not None:
        metrics["entropy"] = _mean(entropies_BA, mask_BA)
    if values_BA is not None and returns_BA is not None:
        metrics["explained_variance"] = explained_variance(values_BA[mask_BA], returns_BA[mask_BA])
    if ref_BA is not None:
        metrics |= kl_metrics(logprobs_BA, ref_BA, mask_BA)
    return metrics


def _importance(logprobs_BA: Tensor, sampled_BA: Tensor, mask_BA: Tensor, config: PPOConfig) -> tuple[Tensor, Metrics]:
    mode = config.importance or "token_truncate"
    return importance_weights(logprobs_BA, sampled_BA, mask_BA, mode, config.importance_cap, config.importance_floor)


def _policy_lambda(mask_BA: Tensor, config: PPOConfig) -> float | Tensor:
    if config.length_adaptive_alpha is None:
        return config.gae_lambda
    return length_adaptive_lambda(mask_BA, config.length_adaptive_alpha)


def _critic_lambda(config: PPOConfig) -> float | None:
    """The critic's lambda is one for all episodes, also where the policy's is not."""
    if config.critic_lambda is None and config.length_adaptive_alpha is not None:
        return config.gae_lambda
    return config.critic_lambda


def _evaluate(
    batch: RolloutBatch,
    policy: Policy,
    config: PPOConfig,
    temperature: float,
    micro_batches: MicroBatches,
    processes: Processes,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return log-probabilities, entropies, values `[B, A]`, and values `[B]` after the last token.

    What nobody needs is not computed: entropies only come with log-probabilities, values only with a critic. Where the
    engine is trusted and reported values, only the last state of episodes that did not end is left to value.
    """
    trusted = config.old_logprobs == "engine"
    # None in all processes where one has none: what is gathered of them must be of one kind.
    told = trusted and not processes.any(batch.sampled_entropies_BA is None)
    entropies = batch.sampled_entropies_BA if told else None
    if trusted and not config.uses_critic:
        return batch.sampled_logprobs_BA, entropies, None, None
    if trusted and not processes.any(batch.sampled_values_BA is None):
        last_B = _value_last(batch, policy, temperature, micro_batches, processes)
        return batch.sampled_logprobs_BA, entropies, batch.sampled_values_BA, last_B
    shape = batch.turn_rewards_BA
    logprobs_BA, entropies_BA, values_BA = (torch.zeros_like(shape) for _ in range(3))
    last_B = shape.new_zeros(len(batch))

    def passes() -> None:
        for index, mask in _masks(batch, micro_batches, processes, torch.arange(len(batch))):
            found = policy.evaluate(
                *batch.rows(index), temperature, with_logprobs=not trusted, with_values=config.uses_critic
            )
            if not trusted:
                _fill(logprobs_BA, index, mask, found.logprobs_M)
                _fill(entropies_BA, index, mask, found.entropies_M)
            if config.uses_critic:
                _fill(values_BA, index, mask, found.values_M)
                last_B[index] = found.last_values_B

    micro_batches.survive(passes)
    return (
        batch.sampled_logprobs_BA if trusted else logprobs_BA,
        entropies if trusted else entropies_BA,
        values_BA if config.uses_critic else None,
        last_B if config.uses_critic else None,
    )


def _value_last(
    batch: RolloutBatch, policy: Policy, temperature: float, micro_batches: MicroBatches, processes: Processes
) -> Tensor:
    """Return values `[B]` after the last token, 0 where the episode ended and nobody asks."""
    last_B = batch.turn_rewards_BA.new_zeros(len(batch))
    rows = (~batch.terminated_B).nonzero()[:, 0].cpu()
    if not processes.any(len(rows) > 0):
        return last_B
    if len(rows) == 0:  # another process has some, and passes may be in lockstep
        rows = torch.arange(len(batch))[:1]

    def passes() -> None:
        for index, _ in _masks(batch, micro_batches, processes, rows):
            last_B[index] = policy.evaluate(*batch.rows(index), temperature, with_logprobs=False).last_values_B

    micro_batches.survive(passes)
    return last_B


def _score_by_reference(
    batch: RolloutBatch, reference: Reference, temperature: float, micro_batches: MicroBatches, processes: Processes
) -> Tensor:
    logprobs_BA = torch.zeros_like(batch.turn_rewards_BA)

    def passes() -> None:
        with on_device(reference):
            for index, mask in _masks(batch, micro_batches, processes, torch.arange(len(batch))):
                _fill(logprobs_BA, index, mask, reference.logprobs(*batch.rows(index), temperature))

    micro_batches.survive(passes)
    return logprobs_BA


def _masks(
    batch: RolloutBatch, micro_batches: MicroBatches, processes: Processes, rows: Tensor
) -> Iterator[tuple[Tensor, Tensor]]:
    parts = list(micro_batches.split(rows, batch.lengths_B))
    # Where passes are in lockstep, a process that has fewer scores its first rows again.
    parts += parts[:1] * (processes.most(len(parts)) - len(parts))
    for index in parts:
        yield index, batch.mask_BA[index]


def _fill(target_BA: Tensor, index: Tensor, mask: Tensor, flat_M: Tensor) -> None:
    padded = torch.zeros_like(target_BA[index])
    padded[mask] = flat_M
    target_BA[index] = padded


def _mean(values_BA: Tensor, mask_BA: Tensor) -> float:
    chosen = values_BA[mask_BA]
    return float(chosen.mean()) if chosen.numel() else 0.0
