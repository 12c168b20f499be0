"""Which episodes and groups count."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.filters import informative_groups, overlong_mask


@settings(deadline=None)
@given(episodes=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=12))
def test_a_group_is_kept_where_its_scores_differ(episodes):
    group, scores = (list(column) for column in zip(*episodes, strict=True))
    expected = []
    for number in group:
        siblings = [score for other, score in episodes if other == number]
        expected.append(len(siblings) == 1 or len(set(siblings)) > 1)
    assert informative_groups(torch.tensor(scores), torch.tensor(group)).tolist() == expected


def test_scores_that_differ_by_rounding_are_the_same():
    scores = torch.tensor([0.3, 0.1 + 0.2, 1.0, 1.0 + 1e-3], dtype=torch.float64)
    assert informative_groups(scores, torch.tensor([0, 0, 1, 1])).tolist() == [False, False, True, True]
    assert informative_groups(scores, torch.tensor([0, 0, 1, 1]), tolerance=0.1).tolist() == [False] * 4
    assert informative_groups(torch.zeros(0), torch.zeros(0, dtype=torch.long)).shape == (0,)


def test_cut_episodes_leave_the_mask_whole():
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    found = overlong_mask(mask, torch.tensor([False, True, True]))
    assert found.tolist() == [[True, True], [False, False], [False, False]]
    assert mask.sum() == 5, "the rollout's own mask is not touched"


@pytest.mark.parametrize("seed", range(3))
def test_a_group_that_is_dropped_would_have_taught_nothing(seed):
    from rlenvs.agents.llm.algorithm.estimators import grpo, rloo

    rng = np.random.default_rng(seed)
    scores, group = torch.tensor(rng.integers(0, 2, (40, 1)) * 1.0), torch.tensor(rng.integers(0, 12, 40))
    keep = informative_groups(scores[:, 0], group)
    assert keep.any()
    assert not keep.all()
    for estimator in (grpo, rloo):
        advantages = estimator(scores, torch.ones(40, 1, dtype=torch.bool), group)[:, 0]
        assert not advantages[~keep].any()
