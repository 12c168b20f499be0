"""From token positions to action tokens: the only place where rewards and values change layout.

Shape suffixes: `B` episodes, `L` tokens of the longest, `A` action tokens of the one with the most.
"""

import torch
from torch import Tensor

from rlenvs.errors import ParameterError


def action_mask(action_BL: Tensor) -> Tensor:
    """Say which episodes have an a-th action token.

    Args:
        action_BL: `[B, L]` bool, True on action tokens, wherever they stand.

    Returns:
        `[B, A]` bool, each row a prefix of True.

    Example:
        >>> action_mask(torch.tensor([[False, True, False, True], [False, False, True, False]])).tolist()
        [[True, True], [True, False]]
    """
    count_B = action_BL.sum(dim=1)
    longest = int(count_B.max()) if len(count_B) else 0
    return torch.arange(longest, device=action_BL.device) < count_B[:, None]


def action_subsequence(values_BL: Tensor, action_BL: Tensor) -> Tensor:
    """Keep the entries of the action tokens, moved to the left.

    Args:
        values_BL: `[B, L]` one entry per token.
        action_BL: `[B, L]` bool, True on action tokens.

    Returns:
        `[B, A]`, 0 on padding. Entries on prompt, feedback and padding are gone.

    Example:
        >>> values = torch.tensor([[9.0, 1.0, 9.0, 2.0]])
        >>> action_subsequence(values, torch.tensor([[False, True, False, True]])).tolist()
        [[1.0, 2.0]]
    """
    mask_BA = action_mask(action_BL)
    kept_BA = values_BL.new_zeros(mask_BA.shape)
    kept_BA[mask_BA] = values_BL[action_BL]
    return kept_BA


def credit_rewards(rewards_BL: Tensor, action_BL: Tensor) -> Tensor:
    """Credit each reward to the last action token at or before it, so that no reward is lost.

    A reward on feedback belongs to the message that it answers. One before the first action token was earned by no
    choice; it goes to the first action token, where a baseline absorbs it, and the sum stays what the env gave.

    Args:
        rewards_BL: `[B, L]` rewards, on any token; 0 on padding.
        action_BL: `[B, L]` bool, True on action tokens.

    Returns:
        `[B, A]`; each row sums to the row of `rewards_BL`.

    Raises:
        ParameterError: an episode has a reward and no action token to credit it to.

    Example:
        >>> rewards = torch.tensor([[0.0, 0.5, 1.0, 2.0]])
        >>> credit_rewards(rewards, torch.tensor([[False, True, False, True]])).tolist()
        [[1.5, 2.0]]
    """
    lost_B = (rewards_BL != 0).any(dim=1) & ~action_BL.any(dim=1)
    if lost_B.any():
        row = int(lost_B.nonzero()[0])
        raise ParameterError("rewards_BL", f"must be 0 in episodes without an action token, got a reward in row {row}")
    credited_BA = rewards_BL.new_zeros(action_mask(action_BL).shape)
    if not credited_BA.numel():
        return credited_BA
    newest_BL = (action_BL.cumsum(dim=1) - 1).clamp(min=0)
    return credited_BA.scatter_add_(1, newest_BL, rewards_BL)
