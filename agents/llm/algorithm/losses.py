"""The PPO losses, as pure functions of tensors.

Shape suffix `M`: the valid action tokens of one micro-batch, flattened. Losses are sums divided by a `denominator`
that counts the whole minibatch, over micro-batches and processes, so that accumulating gradients gives exactly the
gradient of one large batch. Data-parallel wrappers that average gradients need the loss times the number of
processes.
"""

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.names import LossNormalization
from rlenvs.errors import ParameterError

MAX_LOG_RATIO = 20.0  # exp(20) = 5e8 is far beyond any clip range, and finite in every dtype but float16


def loss_scale(
    mask_BA: Tensor, normalization: LossNormalization = "token", max_tokens: int | None = None
) -> tuple[Tensor | None, int]:
    """Weights of the tokens and the denominator that say what the loss is a mean over.

    * `token`: all tokens count the same (DAPO, Yu et al. 2025, arXiv 2503.14476).
    * `sequence`: all episodes count the same, whatever their length: the mean of each episode's mean (GRPO, Shao et
      al. 2024, arXiv 2402.03300). A token of a long answer counts less.
    * `constant`: sums over episodes, divided by a constant length (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783).

    Args:
        mask_BA: `[B, A]` bool, True on the action tokens of a minibatch.
        normalization: one of the three.
        max_tokens: the constant length, >= 1; of `constant` only.

    Returns:
        `[B, A]` weights (None where all are 1) and the denominator. Denominators of several processes add up.

    Raises:
        ParameterError: `max_tokens` is missing, or the normalisation has no such name.

    Example:
        >>> weights, denominator = loss_scale(torch.tensor([[True, True], [True, False]]), "sequence")
        >>> weights.tolist(), denominator
        ([[0.5, 0.5], [1.0, 0.0]], 2)
    """
    if normalization == "token":
        return None, int(mask_BA.sum())
    episodes = int(mask_BA.any(dim=1).sum())
    if normalization == "sequence":
        return mask_BA / mask_BA.sum(dim=1, keepdim=True).clamp(min=1), episodes
    if normalization == "constant":
        if max_tokens is None or max_tokens < 1:
            raise ParameterError("max_tokens", f"must be >= 1 for the 'constant' normalisation, got {max_tokens}")
        return None, episodes * max_tokens
    raise ParameterError("normalization", f"must be 'token', 'sequence' or 'constant', got {normalization!r}")


def mean_loss(losses_M: Tensor, denominator: float, weights_M: Tensor | None = None) -> Tensor:
    """Weighted sum over tokens, divided by the denominator; 0 for a minibatch without tokens.

    Example:
        >>> mean_loss(torch.tensor([1.0, 3.0]), denominator=4).item()
        1.0
    """
    if weights_M is not None:
        losses_M = losses_M * weights_M
    return losses_M.sum() / max(denominator, 1)


def policy_loss(
    logprobs_M: Tensor,
    old_logprobs_M: Tensor,
    advantages_M: Tensor,
    clip_range: float,
    denominator: float,
    *,
    clip_range_high: float | None = None,
    dual_clip: float | None = None,
    weights_M: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Clipped surrogate loss (Schulman et al. 2017, arXiv 1707.06347, eq. 7).

    L = -1/n * sum_t min(ratio_t * A_t, clip(ratio_t, 1 - eps, 1 + eps_high) * A_t), ratio = exp(log pi - log pi_old).

    Args:
        logprobs_M: `[M]` log-probabilities under the policy being trained.
        old_logprobs_M: `[M]` under the policy that sampled.
        advantages_M: `[M]`.
        clip_range: eps, in (0, 1].
        denominator: n, of `loss_scale`.
        clip_range_high: eps_high > 0, None for eps; 0.28 lets unlikely tokens grow (clip-higher of DAPO).
        dual_clip: c > 1: where A < 0 the surrogate is at least c * A, so that a token that the policy has come to
            prefer much more cannot dominate the batch (Ye et al. 2020, arXiv 1912.09729); None for no such bound.
        weights_M: `[M]` of `loss_scale`, times those of `importance` where there are any; None for 1.

    Returns:
        The scalar loss, and sums over the M tokens: `clipped` (ratio outside the range), `clipped_low` and
        `clipped_high` (those of them that the clipping keeps from learning), `dual_clipped`, and `approx_kl`
        (ratio - 1 - log ratio, an estimate of KL(old, new) that is never negative).

    Example:
        >>> loss, sums = policy_loss(torch.tensor([0.5]), torch.tensor([0.0]), torch.tensor([1.0]), 0.2, 1)
        >>> round(loss.item(), 4), sums["clipped"].item()
        (-1.2, 1.0)
    """
    low, high = 1.0 - clip_range, 1.0 + (clip_range if clip_range_high is None else clip_range_high)
    log_ratio_M = (logprobs_M - old_logprobs_M).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio_M = log_ratio_M.exp()
    clipped_M = ratio_M.clamp(low, high)
    surrogate_M = torch.minimum(ratio_M * advantages_M, clipped_M * advantages_M)
    negative_M = advantages_M < 0
    bounded_M = torch.zeros_like(negative_M)
    if dual_clip is not None:
        bound_M = dual_clip * advantages_M
        bounded_M = negative_M & (surrogate_M < bound_M)
        surrogate_M = torch.where(bounded_M, bound_M, surrogate_M)
    with torch.no_grad():
        sums = {
            "clipped": (ratio_M != clipped_M).float().sum(),
            "clipped_low": ((ratio_M < low) & negative_M).float().sum(),
            "clipped_high": ((ratio_M > high) & (advantages_M > 0)).float().sum(),
            "dual_clipped": bounded_M.float().sum(),
            "approx_kl": (ratio_M - 1.0 - log_ratio_M).sum(),
        }
    return -mean_loss(surrogate_M, denominator, weights_M), sums


def value_loss(
    values_M: Tensor,
    old_values_M: Tensor,
    returns_M: Tensor,
    clip_range: float | None,
    denominator: float,
    *,
    weights_M: Tensor | None = None,
) -> Tensor:
    """Clipped value loss: 1/(2n) * sum_t max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2).

    Args:
        values_M: `[M]` values being trained.
        old_values_M: `[M]` values at rollout time.
        returns_M: `[M]` regression targets.
        clip_range: eps > 0 in units of return; None for the plain squared error.
        denominator: n, of `loss_scale`.
        weights_M: `[M]` of `loss_scale`; None for 1.

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
    return 0.5 * mean_loss(errors_M, denominator, weights_M)


def explained_variance(values_M: Tensor, returns_M: Tensor) -> float:
    """1 - Var(R - V) / Var(R): 1 for a perfect critic, 0 for a constant one, NaN where the returns are constant.

    Example:
        >>> explained_variance(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
        1.0
    """
    if returns_M.numel() == 0:
        return float("nan")
    variance = returns_M.var(correction=0)
    if variance == 0:
        return float("nan")
    return float(1.0 - (returns_M - values_M).var(correction=0) / variance)
