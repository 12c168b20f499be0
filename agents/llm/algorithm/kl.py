"""The KL divergence to the reference: as a reward, as a loss, and its coefficient.

One token a sampled from pi gives d = log pi(a) - log ref(a), and three estimators (Schulman 2020,
http://joschu.net/blog/kl-approx.html):

| | value | mean under pi |
|---|---|---|
| k1 | d | KL(pi, ref); can be negative |
| k2 | d^2 / 2 | not KL; equal to it to second order |
| k3 | exp(-d) - 1 + d | KL(pi, ref); never negative |

What matters is the gradient, and it depends on where the estimator stands (Tang and Munos 2025, arXiv 2506.09477):

| | as a reward | as a loss, differentiated | as a loss with the importance ratio |
|---|---|---|---|
| k1 | KL(pi, ref), exact | zero on average: noise, refused here | KL(pi, ref), exact |
| k2 | of another penalty | KL(pi, ref), exact while pi is the sampling policy | KL(pi, ref), exact |
| k3 | of another penalty | KL(ref, pi), the reverse direction | KL(pi, ref), exact |

"Exact" is about one token given what came before it: as a loss, no term sees how a token changes later ones. Only
k1 as a reward, with gamma = lambda = 1, has the gradient of the divergence between whole episodes.
"""

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.losses import MAX_LOG_RATIO, mean_loss
from rlenvs.agents.llm.algorithm.names import KLEstimator
from rlenvs.errors import ParameterError

MAX_LOGGED_KL = 10.0  # nats per token: one token that the reference all but excludes must not hide the rest of a curve
MAX_RELATIVE_ERROR = 0.2  # of Ziegler et al. 2019: the coefficient reacts to how often, not how far, the target is off


def kl_estimate(logprobs: Tensor, ref_logprobs: Tensor, estimator: KLEstimator = "k1") -> Tensor:
    """Estimate KL(pi, ref) from each sampled token.

    Args:
        logprobs: any shape, log pi of the sampled tokens.
        ref_logprobs: the same shape, log ref.
        estimator: see the tables at the top.

    Returns:
        Nats, one per token. In k3, d is cut at +-20 before it is exponentiated.

    Raises:
        ParameterError: the estimator has no such name.

    Example:
        >>> [kl_estimate(torch.tensor(-1.0), torch.tensor(-2.0), k).item() for k in ("k1", "k2")]
        [1.0, 0.5]
    """
    difference = logprobs - ref_logprobs
    if estimator == "k1":
        return difference
    if estimator == "k2":
        return 0.5 * difference.square()
    if estimator == "k3":
        # Cut in both places: cutting the exponential alone would leave a gradient that pushes the wrong way.
        difference = difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
        return torch.expm1(-difference) + difference
    raise ParameterError("estimator", f"must be 'k1', 'k2' or 'k3', got {estimator!r}")


def kl_loss(
    logprobs_M: Tensor,
    ref_logprobs_M: Tensor,
    old_logprobs_M: Tensor | None,
    estimator: KLEstimator,
    denominator: float,
    weights_M: Tensor | None = None,
) -> Tensor:
    """Mean KL estimate, to be differentiated and added to the loss with a coefficient.

    With `old_logprobs_M` each token is weighted with pi / pi_old, so that the gradient is that of KL(pi, ref) for
    all three estimators, also after pi has left the sampling policy. k1 and k3 need the gradient of that ratio,
    k2 must not have it.

    Args:
        logprobs_M: `[M]` under the policy being trained.
        ref_logprobs_M: `[M]` under the reference.
        old_logprobs_M: `[M]` under the policy that sampled; None for no importance ratio.
        estimator: see the tables at the top.
        denominator: of `loss_scale`.
        weights_M: `[M]` of `loss_scale`, None for 1.

    Returns:
        A scalar.

    Raises:
        ParameterError: k1 without importance ratio, whose gradient would be noise.
    """
    if old_logprobs_M is None and estimator == "k1":
        raise ParameterError("estimator", "must be 'k2' or 'k3' in a loss without importance ratio, got 'k1'")
    losses_M = kl_estimate(logprobs_M, ref_logprobs_M, estimator)
    if old_logprobs_M is not None:
        ratio_M = (logprobs_M - old_logprobs_M).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO).exp()
        losses_M = losses_M * (ratio_M.detach() if estimator == "k2" else ratio_M)
    return mean_loss(losses_M, denominator, weights_M)


def kl_metrics(logprobs_BA: Tensor, ref_logprobs_BA: Tensor, mask_BA: Tensor) -> dict[str, float]:
    """Describe the distance to the reference, for logs; each token's estimate is cut at +-10 nats here and only here.

    Args:
        logprobs_BA: `[B, A]` under the policy that sampled.
        ref_logprobs_BA: `[B, A]` under the reference.
        mask_BA: `[B, A]` bool, True on action tokens.

    Returns:
        `kl` (k1, nats per token), `kl_k3` (nats per token) and `kl_episode` (k1, nats per episode). 0 without tokens.
    """
    k1_BA, k3_BA = (
        torch.where(mask_BA, kl_estimate(logprobs_BA, ref_logprobs_BA, estimator), 0.0).clamp(
            -MAX_LOGGED_KL, MAX_LOGGED_KL
        )
        for estimator in ("k1", "k3")
    )
    tokens = max(int(mask_BA.sum()), 1)
    episodes = max(int(mask_BA.any(dim=1).sum()), 1)
    total = float(k1_BA.sum())
    return {"kl": total / tokens, "kl_k3": float(k3_BA.sum()) / tokens, "kl_episode": total / episodes}


class KLCoefficient(Protocol):
    """What multiplies the KL term, possibly changing from iteration to iteration."""

    @property
    def value(self) -> float:
        """The coefficient of the next iteration."""
        ...

    def update(self, kl: float, episodes: int) -> None:
        """Take note of an iteration: its KL and how many episodes it had."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved state."""
        ...


class FixedKLCoefficient:
    """A coefficient that never changes.

    Args:
        value: >= 0.

    Example:
        >>> coefficient = FixedKLCoefficient(0.05)
        >>> coefficient.update(kl=100.0, episodes=512)
        >>> coefficient.value
        0.05
    """

    def __init__(self, value: float) -> None:
        if not (math.isfinite(value) and value >= 0):
            raise ParameterError("value", f"must be >= 0, got {value}")
        self.value = value

    def update(self, kl: float, episodes: int) -> None:
        """Nothing changes."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the configuration says it all."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""

    def __repr__(self) -> str:
        return f"FixedKLCoefficient({self.value})"


class AdaptiveKLCoefficient:
    """A proportional controller that holds the KL at a target (Ziegler et al. 2019, arXiv 1909.08593, section 2.2).

    value *= 1 + clip(kl / target - 1, -0.2, 0.2) * min(episodes / horizon, 1)

    The last factor is cut at 1 so that a batch longer than the horizon cannot make the coefficient negative. A KL
    that is not finite changes nothing: such an iteration is stopped elsewhere.

    Args:
        value: coefficient of the first iteration, > 0.
        target: KL to hold, > 0, in the unit of what `update` is given: nats per token or per episode.
        horizon: episodes over which the coefficient may move by 20 %, >= 1.

    Example:
        >>> coefficient = AdaptiveKLCoefficient(0.1, target=0.02, horizon=1_000)
        >>> coefficient.update(kl=0.5, episodes=500)
        >>> round(coefficient.value, 6)
        0.11
    """

    def __init__(self, value: float, target: float, horizon: int = 10_000) -> None:
        for name, number in (("value", value), ("target", target)):
            if not (math.isfinite(number) and number > 0):
                raise ParameterError(name, f"must be > 0, got {number}")
        if horizon < 1:
            raise ParameterError("horizon", f"must be >= 1, got {horizon}")
        self.value = value
        self.target = target
        self.horizon = horizon

    def update(self, kl: float, episodes: int) -> None:
        """Raise the coefficient where the KL was above the target, lower it where it was below."""
        if not math.isfinite(kl):
            return
        error = min(max(kl / self.target - 1.0, -MAX_RELATIVE_ERROR), MAX_RELATIVE_ERROR)
        self.value *= 1.0 + error * min(episodes / self.horizon, 1.0)

    def state_dict(self) -> dict[str, Any]:
        """Return the coefficient that the controller has arrived at."""
        return {"value": self.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved coefficient; target and horizon stay those of the configuration."""
        self.value = float(state["value"])

    def __repr__(self) -> str:
        return f"AdaptiveKLCoefficient({self.value}, target={self.target}, horizon={self.horizon})"
