"""One PPO update: score the rollout, estimate advantages, take the optimiser steps."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages, token_rewards, whiten
from rlenvs.agents.llm.algorithm.losses import explained_variance, policy_loss, value_loss
from rlenvs.agents.llm.config import PPOConfig
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.rollout.batch import RolloutBatch
from rlenvs.errors import TrainingDivergedError


@dataclass(slots=True)
class ScoredRollout:
    """A rollout with everything that the losses need, per action token.

    Attributes:
        batch: the episodes.
        logprobs_BA: under the policy that sampled.
        values_BA: V before each action token.
        advantages_BA: whitened over all action tokens.
        returns_BA: regression targets of the value.
        metrics: means over action tokens.
    """

    batch: RolloutBatch
    logprobs_BA: Tensor
    values_BA: Tensor
    advantages_BA: Tensor
    returns_BA: Tensor
    metrics: dict[str, float]


@torch.no_grad()
def score_rollout(
    batch: RolloutBatch, policy: Policy, reference: Policy | None, config: PPOConfig, temperature: float
) -> ScoredRollout:
    """Compute log-probabilities, values, KL and advantages of a rollout.

    Args:
        batch: the episodes.
        policy: the policy that sampled them.
        reference: what the KL penalty holds it to; None where `kl_coef` is 0.
        config: gamma, lambda, KL coefficient, sizes.
        temperature: of the sampling.
    """
    mask_BA = batch.mask_BA
    logprobs_BA, entropies_BA, values_BA, last_B = _evaluate_all(batch, policy, config, temperature)
    ref_BA = _evaluate_all(batch, reference, config, temperature)[0] if reference is not None else None
    rewards_BA = token_rewards(batch.turn_rewards_BA, logprobs_BA, ref_BA, mask_BA, config.kl_coef)
    bootstrap_B = torch.where(batch.terminated_B, 0.0, last_B)
    advantages_BA, returns_BA = generalized_advantages(
        rewards_BA, values_BA, bootstrap_B, mask_BA, config.gamma, config.gae_lambda
    )
    metrics = {
        "entropy": float(entropies_BA[mask_BA].mean()),
        "explained_variance": explained_variance(values_BA[mask_BA], returns_BA[mask_BA]),
        "engine/logprob_gap": float((batch.sampled_logprobs_BA - logprobs_BA)[mask_BA].abs().mean()),
    }
    if ref_BA is not None:
        metrics["kl"] = float((logprobs_BA - ref_BA)[mask_BA].mean())
    return ScoredRollout(batch, logprobs_BA, values_BA, whiten(advantages_BA, mask_BA), returns_BA, metrics)


def update_policy(
    rollout: ScoredRollout,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    config: PPOConfig,
    temperature: float,
    first_step: int,
    generator: torch.Generator,
) -> dict[str, float]:
    """Take the optimiser steps of one iteration.

    Args:
        rollout: what to learn from.
        policy: changed in place.
        optimizer: its groups carry `base_lr`, the peak learning rate.
        config: the algorithm.
        temperature: of the sampling.
        first_step: optimiser steps taken before this iteration, for the learning-rate schedule.
        generator: deals episodes to minibatches.

    Returns:
        Means over action tokens and optimiser steps.

    Raises:
        TrainingDivergedError: a loss or gradient is not finite; the policy keeps its last finite weights.
    """
    history: list[dict[str, float]] = []
    for epoch in range(config.epochs):
        order = torch.randperm(len(rollout.batch), generator=generator)
        for minibatch, index in enumerate(order.tensor_split(config.minibatches)):
            step = first_step + epoch * config.minibatches + minibatch
            set_learning_rate(optimizer, config, step)
            history.append(_step(rollout, index, policy, optimizer, config, temperature))
            if config.target_kl is not None and history[-1]["approx_kl"] > config.target_kl:
                return _mean(history)
    return _mean(history)


def learning_rate_factor(config: PPOConfig, step: int) -> float:
    """Share of the peak learning rate at an optimiser step: linear warm-up, then constant or linear decay to 0.

    Example:
        >>> config = PPOConfig(iterations=10, minibatches=1, warmup_steps=2)
        >>> [round(learning_rate_factor(config, step), 3) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 0.889, 0.444, 0.111]
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.lr_schedule == "constant":
        return warmup
    total = config.iterations * config.epochs * config.minibatches
    left = (total - step) / max(1, total - config.warmup_steps + 1)
    return min(warmup, max(0.0, left))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: PPOConfig, step: int) -> None:
    """Set the learning rates of optimiser step `step`."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * learning_rate_factor(config, step)


def make_optimizer(policy: Policy, config: PPOConfig) -> torch.optim.AdamW:
    """AdamW, with a group of its own for the value head and its learning rate."""
    head = list(policy.value_head.parameters())
    trunk = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    head_lr = config.learning_rate * config.value_learning_rate_factor
    groups = [
        {"params": trunk, "lr": config.learning_rate, "base_lr": config.learning_rate},
        {"params": head, "lr": head_lr, "base_lr": head_lr},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay, eps=1e-5)


def _evaluate_all(
    batch: RolloutBatch, policy: Policy, config: PPOConfig, temperature: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Evaluate all rows, a micro-batch at a time, into `[B, A]` tensors; `[B]` for the state after the last token."""
    logprobs_BA, entropies_BA, values_BA = (torch.zeros_like(batch.turn_rewards_BA) for _ in range(3))
    last_B = torch.zeros(len(batch), device=batch.ids_BL.device)
    for index in _micro_batches(torch.arange(len(batch)), config):
        mask = batch.mask_BA[index]
        outputs = policy.evaluate(*batch.rows(index), temperature, config.logprob_chunk)
        for target, flat in zip((logprobs_BA, entropies_BA, values_BA), outputs[:3], strict=True):
            padded = torch.zeros_like(target[index])
            padded[mask] = flat
            target[index] = padded
        last_B[index] = outputs[3]
    return logprobs_BA, entropies_BA, values_BA, last_B


def _step(
    rollout: ScoredRollout,
    index: Tensor,
    policy: Policy,
    optimizer: torch.optim.Optimizer,
    config: PPOConfig,
    temperature: float,
) -> dict[str, float]:
    """One optimiser step on the episodes `index`, accumulated over micro-batches."""
    token_count = int(rollout.batch.mask_BA[index].sum())
    optimizer.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for micro in _micro_batches(index, config):
        mask = rollout.batch.mask_BA[micro]
        logprobs, entropies, values, _ = policy.evaluate(
            *rollout.batch.rows(micro), temperature, config.logprob_chunk, config.critic == "detached"
        )
        actor, parts = policy_loss(
            logprobs,
            rollout.logprobs_BA[micro][mask],
            rollout.advantages_BA[micro][mask],
            config.clip_range,
            token_count,
        )
        critic = value_loss(
            values,
            rollout.values_BA[micro][mask],
            rollout.returns_BA[micro][mask],
            config.value_clip_range,
            token_count,
        )
        bonus = entropies.sum() / token_count
        loss = actor + config.value_coef * critic - config.entropy_coef * bonus
        loss.backward()
        found = {
            "policy_loss": actor.item(),
            "value_loss": critic.item(),
            "clip_fraction": parts["clipped"].item() / token_count,
            "approx_kl": parts["approx_kl"].item() / token_count,
        }
        sums = {key: sums.get(key, 0.0) + value for key, value in found.items()}
    norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), config.max_grad_norm)
    sums["grad_norm"] = float(norm)
    if not all(math.isfinite(value) for value in sums.values()):
        raise TrainingDivergedError(
            f"a loss or gradient is not finite ({', '.join(f'{k}={v:.3g}' for k, v in sums.items())}): "
            f"lower ppo.learning_rate (now {config.learning_rate}) or check the rewards"
        )
    optimizer.step()
    return sums


def _micro_batches(index: Tensor, config: PPOConfig) -> Iterator[Tensor]:
    yield from index.split(config.micro_batch_size)


def _mean(history: list[dict[str, float]]) -> dict[str, float]:
    return {key: sum(entry[key] for entry in history) / len(history) for key in history[0]}
