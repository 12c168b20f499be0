"""Which episodes and groups count, as pure functions. Shape suffixes: `B` episodes, `A` action tokens."""

import torch
from torch import Tensor


def overlong_mask(mask_BA: Tensor, cut_B: Tensor) -> Tensor:
    """Take episodes that hit a length limit out of losses and statistics (over-long filtering of DAPO).

    What a cut answer would have earned is not known, so that neither its reward nor its value is a lesson.

    Args:
        mask_BA: `[B, A]` bool, True on action tokens.
        cut_B: `[B]` bool, True where the message or the context ran out of tokens.

    Returns:
        `[B, A]` bool, all False in the rows of cut episodes. They leave counts and group means too.

    Example:
        >>> overlong_mask(torch.ones(2, 1, dtype=torch.bool), torch.tensor([True, False])).tolist()
        [[False], [True]]
    """
    return mask_BA & ~cut_B[:, None]


def informative_groups(scores_B: Tensor, group_B: Tensor, tolerance: float = 1e-6) -> Tensor:
    """Decide which episodes to keep: those whose group does not agree (dynamic sampling of DAPO, arXiv 2503.14476).

    Where all samples of a prompt score the same (all right, all wrong, or all equally half-right), comparing them
    says nothing. A group of one agrees with nobody and is kept: a critic can still learn from it.

    Args:
        scores_B: `[B]` scores of the task, without shaping and KL.
        group_B: `[B]` group of each episode; see `estimators.group_index`.
        tolerance: scores closer than this are the same.

    Returns:
        `[B]` bool, the same for all episodes of a group.

    Example:
        >>> informative_groups(torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])).tolist()
        [True, True, False, False]
    """
    groups = int(group_B.max()) + 1 if len(group_B) else 0
    highest_G = scores_B.new_full((groups,), -torch.inf).scatter_reduce_(0, group_B, scores_B, "amax")
    lowest_G = scores_B.new_full((groups,), torch.inf).scatter_reduce_(0, group_B, scores_B, "amin")
    keep_G = (highest_G - lowest_G > tolerance) | (torch.bincount(group_B, minlength=groups) == 1)
    return keep_G[group_B]
