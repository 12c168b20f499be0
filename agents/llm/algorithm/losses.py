"""The PPO losses, as pure functions of tensors.

Shape suffix `M`: the valid action tokens of one micro-batch, flattened. Losses are sums divided by `token_count`,
the number of valid tokens of the whole minibatch, so that accumulating gradients over micro-batches gives exactly
the gradient of one large batch.
"""

import torch
from torch import Tensor

MAX_LOG_RATIO = 20.0  # exp(20) = 5e8 is far beyond any clip range, and still finite in every dtype


def policy_loss(
    logprobs_M: Tensor, old_logprobs_M: Tensor, advantages_M: Tensor, clip_range: float, token_count: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """Clipped surrogate loss (Schulman et al. 2017, arXiv 1707.06347, eq. 7).

    L = -1/n * sum_t min(ratio_t * A_t, clip(ratio_t, 1 - eps, 1 + eps) * A_t), ratio = exp(log pi - log pi_old).

    Args:
        logprobs_M: `[M]` log-probabilities under the policy being trained.
        old_logprobs_M: `[M]` under the policy that sampled.
        advantages_M: `[M]`.
        clip_range: eps > 0.
        token_count: n, valid tokens of the whole minibatch.

    Returns:
        The scalar loss, and sums over the M tokens: `clipped` (ratio outside the range), `approx_kl`
        (ratio - 1 - log ratio, an estimate of KL(old || new) that is never negative).

    Example:
        >>> loss, sums = policy_loss(torch.tensor([0.5]), torch.tensor([0.0]), torch.tensor([1.0]), 0.2, 1)
        >>> round(loss.item(), 4), sums["clipped"].item()
        (-1.2, 1.0)
    """
    log_ratio_M = (logprobs_M - old_logprobs_M).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio_M = log_ratio_M.exp()
    clipped_M = ratio_M.clamp(1.0 - clip_range, 1.0 + clip_range)
    loss = -torch.minimum(ratio_M * advantages_M, clipped_M * advantages_M).sum() / token_count
    with torch.no_grad():
        sums = {
            "clipped": (ratio_M != clipped_M).float().sum(),
            "approx_kl": (ratio_M - 1.0 - log_ratio_M).sum(),
        }
    return loss, sums


def value_loss(
    values_M: Tensor, old_values_M: Tensor, returns_M: Tensor, clip_range: float | None, token_count: int
) -> Tensor:
    """Clipped value loss: 1/(2n) * sum_t max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2).

    Args:
        values_M: `[M]` values being trained.
        old_values_M: `[M]` values at rollout time.
        returns_M: `[M]` regression targets.
        clip_range: eps > 0 in units of return; None for the plain squared error.
        token_count: n, valid tokens of the whole minibatch.

    Returns:
        The scalar loss.

    Example:
        >>> value_loss(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([1.0]), 0.5, 1).item()
        0.125
    """
    errors_M = (values_M - returns_M).square()
    if clip_range is not None:
        clipped_M = old_values_M + (values_M - old_values_M).clamp(-clip_range, clip_range)
        errors_M = torch.maximum(errors_M, (clipped_M - returns_M).square())
    return 0.5 * errors_M.sum() / token_count


def explained_variance(values_M: Tensor, returns_M: Tensor) -> float:
    """1 - Var(R - V) / Var(R): 1 for a perfect critic, 0 for a constant one, NaN where the returns are constant.

    Example:
        >>> explained_variance(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
        1.0
    """
    variance = returns_M.var(correction=0)
    if variance == 0:
        return float("nan")
    return float(1.0 - (returns_M - values_M).var(correction=0) / variance)
