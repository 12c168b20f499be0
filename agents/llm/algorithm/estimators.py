"""Advantages without a critic, and the one function that knows all estimators.

Estimators that compare the samples of one prompt take `group_B`, the number of each episode's group. Groups may have
any sizes. An episode without action tokens is in no comparison: no token could have earned its reward, and counting
it as 0 would shift its siblings. A group of one has nothing to compare with, and its advantage is 0. Without a critic
nothing stands for what a truncated episode had left to earn: it counts what it has earned, or leaves the mask
(`filters.overlong_mask`).

Shape suffixes: `B` episodes, `A` action tokens of the longest, `G` groups.
"""

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from rlenvs.agents.llm.algorithm.advantages import MIN_STD, AllReduce, generalized_advantages
from rlenvs.agents.llm.algorithm.names import Estimator
from rlenvs.errors import ParameterError


def group_index(keys: Sequence[Hashable]) -> Tensor:
    """Number the groups 0, 1, ... in the order in which their keys appear.

    Args:
        keys: one per episode; episodes with equal keys are samples of the same prompt.

    Returns:
        `[B]` integers.

    Example:
        >>> group_index(["7*8", "1+1", "7*8"]).tolist()
        [0, 1, 0]
    """
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(key, len(numbers)) for key in keys], dtype=torch.long)


def reinforce(rewards_BA: Tensor, mask_BA: Tensor, gamma: float) -> Tensor:
    """Discounted return-to-go of each action token (Williams 1992): sum_k gamma^k * r_{t+k}.

    Args:
        rewards_BA: `[B, A]` reward per action token; padding is ignored.
        mask_BA: `[B, A]` bool, True on action tokens; each row a prefix of True.
        gamma: discount per action token, in [0, 1].

    Returns:
        `[B, A]`, 0 on padding.

    Example:
        >>> reinforce(torch.tensor([[1.0, 2.0]]), torch.tensor([[True, True]]), gamma=0.5).tolist()
        [[2.0, 2.0]]
    """
    nothing_BA, nothing_B = torch.zeros_like(rewards_BA), rewards_BA.new_zeros(len(rewards_BA))
    return generalized_advantages(rewards_BA, nothing_BA, nothing_B, mask_BA, gamma, 1.0)[0]


def reinforce_baseline(
    rewards_BA: Tensor, mask_BA: Tensor, gamma: float, all_reduce: AllReduce | None = None
) -> Tensor:
    """Return-to-go minus its mean over all action tokens of the batch (REINFORCE++, Hu et al. 2025, arXiv 2501.03262).

    The baseline contains the episode itself, which shrinks the gradient by the share that one token has in the batch.

    Args:
        rewards_BA: `[B, A]` reward per action token; padding is ignored.
        mask_BA: `[B, A]` bool, True on action tokens; each row a prefix of True.
        gamma: discount per action token, in [0, 1].
        all_reduce: sums over processes, so that the mean is that of the whole batch.

    Returns:
        `[B, A]`, 0 on padding.

    Example:
        >>> rewards, mask = torch.tensor([[1.0], [0.0]]), torch.tensor([[True], [True]])
        >>> reinforce_baseline(rewards, mask, gamma=1.0).tolist()
        [[0.5], [-0.5]]
    """
    returns_BA = reinforce(rewards_BA, mask_BA, gamma)
    total = torch.stack([returns_BA.sum(), mask_BA.sum().to(returns_BA.dtype)])
    if all_reduce is not None:
        total = all_reduce(total)
    return torch.where(mask_BA, returns_BA - total[0] / total[1].clamp(min=1.0), 0.0)


def rloo(rewards_BA: Tensor, mask_BA: Tensor, group_B: Tensor) -> Tensor:
    """Score minus the mean score of the *other* samples of the prompt (Ahmadian et al. 2024, arXiv 2402.14740).

    Args:
        rewards_BA: `[B, A]` reward per action token; an episode's score is their sum.
        mask_BA: `[B, A]` bool, True on action tokens.
        group_B: `[B]` group of each episode; see `group_index`.

    Returns:
        `[B, A]`, the same for all action tokens of an episode, 0 on padding.

    Example:
        >>> scores, mask = torch.tensor([[1.0], [0.0], [0.0]]), torch.ones(3, 1, dtype=torch.bool)
        >>> rloo(scores, mask, torch.tensor([0, 0, 0])).tolist()
        [[1.0], [-0.5], [-0.5]]
    """
    centered_B, size_B = _centered_scores(rewards_BA, mask_BA, group_B)
    # s - (S - s) / (n - 1) = (s - S / n) * n / (n - 1)
    return _spread(centered_B * size_B / (size_B - 1).clamp(min=1), rewards_BA, mask_BA)


def grpo(rewards_BA: Tensor, mask_BA: Tensor, group_B: Tensor, scale_by_std: bool = True) -> Tensor:
    """Score minus the mean of the prompt's samples, over their standard deviation (Shao et al. 2024, arXiv 2402.03300).

    The standard deviation is that of a sample (n - 1). Samples that all score the same get 0, without the small
    constant in the denominator that elsewhere shrinks the others too.

    Args:
        rewards_BA: `[B, A]` reward per action token; an episode's score is their sum.
        mask_BA: `[B, A]` bool, True on action tokens.
        group_B: `[B]` group of each episode; see `group_index`.
        scale_by_std: False does not divide: prompts that are nearly always or nearly never solved count no more than
            others (Dr. GRPO, Liu et al. 2025, arXiv 2503.20783; its other half is the normalisation `constant`).

    Returns:
        `[B, A]`, the same for all action tokens of an episode, 0 on padding.

    Example:
        >>> scores, mask = torch.tensor([[3.0], [1.0], [2.0]]), torch.ones(3, 1, dtype=torch.bool)
        >>> grpo(scores, mask, torch.tensor([0, 0, 0])).tolist()
        [[1.0], [-1.0], [0.0]]
    """
    centered_B, size_B = _centered_scores(rewards_BA, mask_BA, group_B)
    if scale_by_std:
        variance_B = _group_sums(centered_B.square(), group_B) / (size_B - 1).clamp(min=1)
        std_B = variance_B.sqrt()
        centered_B = torch.where(std_B > MIN_STD, centered_B / std_B, centered_B)
    return _spread(centered_B, rewards_BA, mask_BA)


def estimate_advantages(
    estimator: Estimator,
    rewards_BA: Tensor,
    mask_BA: Tensor,
    *,
    gamma: float,
    values_BA: Tensor | None = None,
    bootstrap_B: Tensor | None = None,
    gae_lambda: float | Tensor = 1.0,
    critic_lambda: float | None = None,
    group_B: Tensor | None = None,
    scale_by_std: bool = True,
    all_reduce: AllReduce | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Estimate advantages by any estimator, not yet whitened.

    Args:
        estimator: which one.
        rewards_BA: `[B, A]` reward per action token, the KL penalty included where it is a reward.
        mask_BA: `[B, A]` bool, True on action tokens; each row a prefix of True.
        gamma: discount per action token; `rloo` and `grpo` score whole episodes and do not discount.
        values_BA: `[B, A]`, of `gae`.
        bootstrap_B: `[B]`, of `gae`.
        gae_lambda: of `gae`.
        critic_lambda: of `gae`.
        group_B: `[B]`, of `rloo` and `grpo`. A group's samples are all in this batch, not spread over processes.
        scale_by_std: of `grpo`.
        all_reduce: of `reinforce_baseline`.

    Returns:
        advantages `[B, A]`, and the returns that a critic learns `[B, A]`, None without a critic.

    Raises:
        ParameterError: something that the estimator needs is missing, or it has no such name.
    """
    if estimator == "gae":
        if values_BA is None or bootstrap_B is None:
            raise ParameterError("values_BA", "and bootstrap_B must be given for the estimator 'gae'")
        return generalized_advantages(rewards_BA, values_BA, bootstrap_B, mask_BA, gamma, gae_lambda, critic_lambda)
    if estimator == "reinforce":
        return reinforce(rewards_BA, mask_BA, gamma), None
    if estimator == "reinforce_baseline":
        return reinforce_baseline(rewards_BA, mask_BA, gamma, all_reduce), None
    if estimator not in ("rloo", "grpo"):
        raise ParameterError(
            "estimator", f"must be 'gae', 'reinforce', 'reinforce_baseline', 'rloo' or 'grpo', got {estimator!r}"
        )
    if group_B is None:
        raise ParameterError("group_B", f"must be given for the estimator {estimator!r}")
    if estimator == "rloo":
        return rloo(rewards_BA, mask_BA, group_B), None
    return grpo(rewards_BA, mask_BA, group_B, scale_by_std), None


def _centered_scores(rewards_BA: Tensor, mask_BA: Tensor, group_B: Tensor) -> tuple[Tensor, Tensor]:
    """Scores minus the mean of their group, and the sizes of their groups; 0 for episodes without action tokens.

    In float64 on the CPU: the mean of equal float32 scores is then exactly that score, on every machine.
    """
    scores_B = torch.where(mask_BA, rewards_BA, 0.0).sum(dim=1).to("cpu", torch.float64)
    counted_B = mask_BA.any(dim=1).to("cpu", torch.float64)
    size_B = _group_sums(counted_B, group_B)
    mean_B = _group_sums(scores_B * counted_B, group_B) / size_B.clamp(min=1)
    return (scores_B - mean_B) * counted_B, size_B


def _group_sums(values_B: Tensor, group_B: Tensor) -> Tensor:
    """Sum over each group, given back to each of its episodes."""
    group_B = group_B.to("cpu")
    groups = int(group_B.max()) + 1 if len(group_B) else 0
    return values_B.new_zeros(groups).index_add_(0, group_B, values_B)[group_B]


def _spread(advantages_B: Tensor, rewards_BA: Tensor, mask_BA: Tensor) -> Tensor:
    """Give each action token its episode's advantage."""
    return torch.where(mask_BA, advantages_B.to(rewards_BA)[:, None], 0.0)
