"""Correcting for an engine that does not sample from exactly the policy that is trained.

Another kernel, another precision or stale weights make the engine's log-probabilities differ from the trainer's for
the same token. The weight pi_trainer / pi_engine turns expectations under the engine into those under the trainer;
cutting it off keeps a few tokens from carrying the batch (Yao et al. 2025, "Your efficient RL framework secretly
brings you off-policy RL training").
"""

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.losses import MAX_LOG_RATIO
from rlenvs.agents.llm.algorithm.names import ImportanceMode
from rlenvs.errors import ParameterError


def importance_weights(
    trainer_logprobs_BA: Tensor,
    engine_logprobs_BA: Tensor,
    mask_BA: Tensor,
    mode: ImportanceMode = "token_truncate",
    cap: float = 2.0,
    floor: float = 0.0,
) -> tuple[Tensor, dict[str, float]]:
    """Weight each token of the policy loss with pi_trainer / pi_engine.

    * `token_truncate`: the ratio of each token, cut to [floor, cap] (truncated importance sampling).
    * `token_mask`: the ratio of each token, 0 outside [floor, cap] (IcePop).
    * `sequence_truncate`, `sequence_mask`: the same with the ratio of the whole episode, on all of its tokens.

    Args:
        trainer_logprobs_BA: `[B, A]` under the policy that the update starts from, at the sampling temperature.
        engine_logprobs_BA: `[B, A]` as the engine reported them.
        mask_BA: `[B, A]` bool, True on action tokens.
        mode: one of the four.
        cap: >= 1.
        floor: in [0, 1].

    Returns:
        `[B, A]` weights without gradient, 0 on padding, and what they were made of: `engine/logprob_gap` and
        `engine/logprob_gap_max` (mean and largest |log ratio|, nats), `engine/kl` (mean of log engine - log trainer,
        nats per token), `engine/above_cap` and `engine/below_floor` (shares of the tokens), `engine/weight`
        (mean) and `engine/effective_share` (effective sample size over tokens). All 0 without tokens.

    Raises:
        ParameterError: floor <= 1 <= cap does not hold, or the mode has no such name.

    Example:
        >>> trainer, engine = torch.tensor([[-1.0, -1.0]]), torch.tensor([[-1.0, -3.0]])
        >>> weights, metrics = importance_weights(trainer, engine, torch.tensor([[True, True]]), cap=2.0)
        >>> weights.tolist(), metrics["engine/above_cap"]
        ([[1.0, 2.0]], 0.5)
    """
    if not 0.0 <= floor <= 1.0 <= cap:
        raise ParameterError("cap", f"and floor must be 0 <= floor <= 1 <= cap, got floor={floor}, cap={cap}")
    log_ratio_BA = torch.where(mask_BA, trainer_logprobs_BA - engine_logprobs_BA, 0.0).detach()
    if mode in ("sequence_truncate", "sequence_mask"):
        exponent_BA = log_ratio_BA.sum(dim=1, keepdim=True).expand_as(log_ratio_BA)
    elif mode in ("token_truncate", "token_mask"):
        exponent_BA = log_ratio_BA
    else:
        raise ParameterError(
            "mode",
            f"must be 'token_truncate', 'token_mask', 'sequence_truncate' or 'sequence_mask', got {mode!r}",
        )
    ratio_BA = exponent_BA.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
    above_BA, below_BA = mask_BA & (ratio_BA > cap), mask_BA & (ratio_BA < floor)
    if mode in ("token_truncate", "sequence_truncate"):
        weights_BA = ratio_BA.clamp(floor, cap)
    else:
        weights_BA = torch.where(above_BA | below_BA, 0.0, ratio_BA)
    weights_BA = torch.where(mask_BA, weights_BA, 0.0)
    return weights_BA, _metrics(log_ratio_BA, weights_BA, above_BA, below_BA, int(mask_BA.sum()))


def _metrics(
    log_ratio_BA: Tensor, weights_BA: Tensor, above_BA: Tensor, below_BA: Tensor, tokens: int
) -> dict[str, float]:
    """What the weights were made of; the log-ratio is 0 on padding."""
    gap_BA = log_ratio_BA.abs()
    count = max(tokens, 1)
    squares = float(weights_BA.square().sum())
    return {
        "engine/logprob_gap": float(gap_BA.sum()) / count,
        "engine/logprob_gap_max": float(gap_BA.max()) if tokens else 0.0,
        "engine/kl": -float(log_ratio_BA.sum()) / count,
        "engine/above_cap": int(above_BA.sum()) / count,
        "engine/below_floor": int(below_BA.sum()) / count,
        "engine/weight": float(weights_BA.sum()) / count,
        "engine/effective_share": float(weights_BA.sum()) ** 2 / (squares * count) if squares else 0.0,
    }
