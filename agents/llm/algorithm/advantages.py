"""Advantages over action tokens, as pure functions.

Everything here lives on the action-token subsequence: prompt and feedback tokens have no column, so they cannot
change an advantage. Shape suffixes: `B` episodes, `A` action tokens of the longest episode. Columns beyond an
episode's own tokens are padding, marked False in `mask_BA`.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.kl import kl_estimate
from rlenvs.agents.llm.algorithm.names import KLEstimator

AllReduce = Callable[[Tensor], Tensor]
"""Returns the sum of a tensor over all processes, without changing it. All of them call it, tokens or not."""

MIN_STD = 1e-6  # below it a batch is constant up to rounding, and dividing would blow rounding up to signal


def generalized_advantages(
    rewards_BA: Tensor,
    values_BA: Tensor,
    bootstrap_B: Tensor,
    mask_BA: Tensor,
    gamma: float,
    gae_lambda: float | Tensor,
    critic_lambda: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438).

    A_t = sum_l (gamma * lambda)^l * delta_{t+l}, delta_t = r_t + gamma * V(s_{t+1}) - V(s_t).

    Args:
        rewards_BA: `[B, A]` reward per action token; padding is ignored.
        values_BA: `[B, A]` V(s_t) before each action token; padding is ignored.
        bootstrap_B: `[B]` V of the state after the last token; 0 where the episode terminated.
        mask_BA: `[B, A]` bool, True on action tokens; each row a prefix of True.
        gamma: discount per action token, in [0, 1].
        gae_lambda: in [0, 1], one for all or `[B]` one per episode.
        critic_lambda: lambda of the returns, where it is another one (VC-PPO, Yuan et al. 2025, arXiv 2503.01491: 1
            for the critic, less for the policy); None for the same.

    Returns:
        advantages and returns (advantage + value), both `[B, A]`, 0 on padding.

    Example:
        >>> rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.25]])
        >>> mask = torch.tensor([[True, True]])
        >>> generalized_advantages(rewards, values, torch.zeros(1), mask, gamma=1.0, gae_lambda=1.0)[0].tolist()
        [[0.5, 0.75]]
    """
    next_values_BA = torch.cat([values_BA, bootstrap_B[:, None]], dim=1)[:, 1:]
    next_mask_BA = torch.cat([mask_BA, mask_BA.new_zeros(len(mask_BA), 1)], dim=1)[:, 1:]
    following_BA = torch.where(next_mask_BA, next_values_BA, bootstrap_B[:, None])
    deltas_BA = torch.where(mask_BA, rewards_BA + gamma * following_BA - values_BA, 0.0)
    advantages_BA = _discounted_sums(deltas_BA, gamma * gae_lambda)
    critic_BA = advantages_BA if critic_lambda is None else _discounted_sums(deltas_BA, gamma * critic_lambda)
    return advantages_BA, torch.where(mask_BA, critic_BA + values_BA, 0.0)


def length_adaptive_lambda(mask_BA: Tensor, alpha: float = 0.05) -> Tensor:
    """Lambda of the policy that grows with the length l of the episode: 1 - 1 / (alpha * l), cut to [0, 1].

    From VAPO (Yue et al. 2025, arXiv 2504.05118): the weights of the temporal differences sum to about alpha * l
    whatever the length. Episodes of 1 / alpha tokens or fewer get 0.

    Args:
        mask_BA: `[B, A]` bool, True on action tokens.
        alpha: > 0.

    Returns:
        `[B]`, for `generalized_advantages`.

    Example:
        >>> length_adaptive_lambda(torch.ones(1, 40, dtype=torch.bool)).tolist()
        [0.5]
    """
    return (1.0 - 1.0 / (alpha * mask_BA.sum(dim=1).clamp(min=1))).clamp(0.0, 1.0)


def whiten(values_BA: Tensor, mask_BA: Tensor, all_reduce: AllReduce | None = None) -> Tensor:
    """Shift to mean 0 and scale to standard deviation 1 over the valid tokens of the whole batch.

    The variance is the biased one, so a single token is no error; a constant batch is only shifted.

    Args:
        values_BA: `[B, A]` any values.
        mask_BA: `[B, A]` bool, True on action tokens.
        all_reduce: sums over processes, so that each of them whitens its share with the moments of the whole batch.

    Returns:
        `[B, A]`, 0 on padding.

    Example:
        >>> whiten(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])).tolist()
        [[-1.0, 1.0, 0.0]]
    """
    valid = values_BA[mask_BA]
    if all_reduce is None:
        if valid.numel() == 0:
            return torch.zeros_like(values_BA)
        mean, std = valid.mean(), valid.std(correction=0)
    else:
        # Two passes: the difference of mean square and squared mean would lose the small spread of large values.
        count = all_reduce(torch.tensor(float(valid.numel()), device=values_BA.device)).clamp(min=1.0)
        mean = all_reduce(valid.sum()) / count
        std = (all_reduce((valid - mean).square().sum()) / count).sqrt()
    scale = std if std > MIN_STD else torch.ones_like(std)
    return torch.where(mask_BA, (values_BA - mean) / scale, 0.0)


def token_rewards(
    turn_rewards_BA: Tensor,
    logprobs_BA: Tensor,
    ref_logprobs_BA: Tensor | None,
    mask_BA: Tensor,
    kl_coef: float,
    estimator: KLEstimator = "k1",
) -> Tensor:
    """Add the KL penalty to the rewards: r_t - kl_coef * (log pi(a_t) - log ref(a_t)).

    The plain log-ratio (k1) is the estimator whose use as a reward gives the gradient of the KL divergence; the
    others give that of another penalty (see `kl`).

    Args:
        turn_rewards_BA: `[B, A]` reward of each turn on that turn's last action token.
        logprobs_BA: `[B, A]` of the sampling policy.
        ref_logprobs_BA: `[B, A]` of the reference; None where there is none.
        mask_BA: `[B, A]` bool, True on action tokens.
        kl_coef: >= 0.
        estimator: of the divergence.

    Returns:
        `[B, A]`, 0 on padding.
    """
    if ref_logprobs_BA is None or kl_coef == 0.0:
        return torch.where(mask_BA, turn_rewards_BA, 0.0)
    return torch.where(mask_BA, turn_rewards_BA - kl_coef * kl_estimate(logprobs_BA, ref_logprobs_BA, estimator), 0.0)


def _discounted_sums(values_BA: Tensor, decay: float | Tensor) -> Tensor:
    """Sum what follows each column, with weights decay^0, decay^1, ...; the columns are 0 on padding."""
    sums_AB = values_BA.t().clone(memory_format=torch.contiguous_format)  # one row or column would be a view
    for t in range(len(sums_AB) - 2, -1, -1):
        sums_AB[t] += decay * sums_AB[t + 1]
    return sums_AB.t().contiguous()
