"""Advantages over action tokens, as pure functions.

Shape suffixes: `B` episodes, `A` action tokens of the longest episode. Everything here lives on the action-token
subsequence: prompt and feedback tokens have no column, so they cannot change an advantage. Columns beyond an
episode's own tokens are padding, marked False in `mask_BA`.
"""

import torch
from torch import Tensor

MIN_STD = 1e-6  # below it a batch is constant up to rounding, and dividing would blow rounding up to signal


def generalized_advantages(
    rewards_BA: Tensor,
    values_BA: Tensor,
    bootstrap_B: Tensor,
    mask_BA: Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438).

    A_t = sum_l (gamma * lambda)^l * delta_{t+l}, delta_t = r_t + gamma * V(s_{t+1}) - V(s_t).

    Args:
        rewards_BA: `[B, A]` reward per action token; 0 on padding.
        values_BA: `[B, A]` V(s_t) before each action token.
        bootstrap_B: `[B]` V of the state after the last token; 0 where the episode terminated.
        mask_BA: `[B, A]` bool, True on action tokens; each row a prefix of True.
        gamma: discount per action token, in [0, 1].
        gae_lambda: in [0, 1].

    Returns:
        advantages and returns (advantage + value), both `[B, A]`, 0 on padding.

    Example:
        >>> rewards, values = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 0.25]])
        >>> mask = torch.tensor([[True, True]])
        >>> generalized_advantages(rewards, values, torch.zeros(1), mask, gamma=1.0, gae_lambda=1.0)[0].tolist()
        [[0.5, 0.75]]
    """
    advantages_BA = torch.zeros_like(rewards_BA)
    next_value_B = bootstrap_B
    next_advantage_B = torch.zeros_like(bootstrap_B)
    for t in range(rewards_BA.shape[1] - 1, -1, -1):
        valid_B = mask_BA[:, t]
        delta_B = rewards_BA[:, t] + gamma * next_value_B - values_BA[:, t]
        advantage_B = delta_B + gamma * gae_lambda * next_advantage_B
        # Padding lies after an episode's last token: it must leave the bootstrap value in place.
        next_value_B = torch.where(valid_B, values_BA[:, t], next_value_B)
        next_advantage_B = torch.where(valid_B, advantage_B, next_advantage_B)
        advantages_BA[:, t] = torch.where(valid_B, advantage_B, 0.0)
    returns_BA = torch.where(mask_BA, advantages_BA + values_BA, 0.0)
    return advantages_BA, returns_BA


def whiten(values_BA: Tensor, mask_BA: Tensor) -> Tensor:
    """Shift to mean 0 and scale to standard deviation 1 over the valid tokens of the whole batch.

    The variance is the biased one, so a single token is no error; a constant batch is only shifted.

    Args:
        values_BA: `[B, A]` any values.
        mask_BA: `[B, A]` bool, True on action tokens.

    Returns:
        `[B, A]`, 0 on padding.

    Example:
        >>> whiten(torch.tensor([[1.0, 3.0, 99.0]]), torch.tensor([[True, True, False]])).tolist()
        [[-1.0, 1.0, 0.0]]
    """
    valid = values_BA[mask_BA]
    if valid.numel() == 0:
        return torch.zeros_like(values_BA)
    std = valid.std(correction=0)
    scale = std if std > MIN_STD else torch.ones_like(std)
    return torch.where(mask_BA, (values_BA - valid.mean()) / scale, 0.0)


def token_rewards(
    turn_rewards_BA: Tensor,
    logprobs_BA: Tensor,
    ref_logprobs_BA: Tensor | None,
    mask_BA: Tensor,
    kl_coef: float,
) -> Tensor:
    """Add the KL penalty to the rewards: r_t - kl_coef * (log pi(a_t) - log ref(a_t)).

    The plain log-ratio (k1) is the estimator whose use as a reward gives the gradient of the KL divergence.

    Args:
        turn_rewards_BA: `[B, A]` reward of each turn on that turn's last action token.
        logprobs_BA: `[B, A]` of the sampling policy.
        ref_logprobs_BA: `[B, A]` of the reference; None where there is none.
        mask_BA: `[B, A]` bool, True on action tokens.
        kl_coef: >= 0.

    Returns:
        `[B, A]`, 0 on padding.
    """
    if ref_logprobs_BA is None or kl_coef == 0.0:
        return torch.where(mask_BA, turn_rewards_BA, 0.0)
    return torch.where(mask_BA, turn_rewards_BA - kl_coef * (logprobs_BA - ref_logprobs_BA), 0.0)
