"""Estimators against slow loops on ragged batches and groups, and against exact policy gradients."""

import itertools
import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages, whiten
from rlenvs.agents.llm.algorithm.estimators import (
    estimate_advantages,
    group_index,
    grpo,
    reinforce,
    reinforce_baseline,
    rloo,
)
from rlenvs.errors import ParameterError

sizes = st.tuples(st.integers(1, 9), st.integers(1, 6), st.integers(0, 10**6))
factors = st.sampled_from([0.0, 0.5, 0.99, 1.0])


def ragged(size, empty=True):
    """Random rewards, prefix masks (some rows without any token) and groups of random sizes."""
    rows, columns, seed = size
    rng = np.random.default_rng(seed)
    mask = np.arange(columns) < rng.integers(0 if empty else 1, columns + 1, rows)[:, None]
    rewards = rng.integers(-2, 3, size=(rows, columns)) * 0.3  # few values: ties happen
    return torch.tensor(rewards), torch.tensor(mask), torch.tensor(rng.integers(0, 4, rows))


def scores_of(rewards, mask):
    return [
        sum(float(r) for r, valid in zip(row, keep, strict=True) if valid)
        for row, keep in zip(rewards, mask, strict=True)
    ]


def siblings(row, mask, group):
    return [other for other in range(len(group)) if group[other] == group[row] and mask[other].any()]


def check(found, expected, mask):
    """Each action token has its episode's number, padding has 0."""
    for row, number in enumerate(expected):
        for column in range(mask.shape[1]):
            assert float(found[row, column]) == pytest.approx(number if mask[row, column] else 0.0, abs=1e-6)


@settings(deadline=None)
@given(size=sizes, gamma=factors)
def test_reinforce_is_the_discounted_return_to_go(size, gamma):
    rewards, mask, _ = ragged(size)
    found = reinforce(rewards, mask, gamma)
    baseline = reinforce_baseline(rewards, mask, gamma)
    every = []
    for row in range(len(mask)):
        n = int(mask[row].sum())
        for t in range(mask.shape[1]):
            expected = sum(gamma ** (k - t) * float(rewards[row, k]) for k in range(t, n)) if t < n else 0.0
            assert float(found[row, t]) == pytest.approx(expected, abs=1e-6)
            every += [expected] if t < n else []
    mean = statistics.fmean(every) if every else 0.0
    np.testing.assert_allclose(baseline, np.where(mask, found - mean, 0.0), atol=1e-6)


@settings(deadline=None)
@given(size=sizes)
def test_rloo_compares_with_the_others(size):
    rewards, mask, group = ragged(size)
    scores, expected = scores_of(rewards, mask), []
    for row in range(len(mask)):
        others = [scores[other] for other in siblings(row, mask, group) if other != row]
        expected.append(scores[row] - statistics.fmean(others) if others else 0.0)
    check(rloo(rewards, mask, group), expected, mask)


@settings(deadline=None)
@given(size=sizes, scale=st.booleans())
def test_grpo_compares_with_the_group(size, scale):
    rewards, mask, group = ragged(size)
    scores, expected = scores_of(rewards, mask), []
    for row in range(len(mask)):
        group_scores = [scores[other] for other in siblings(row, mask, group)]
        centered = scores[row] - statistics.fmean(group_scores) if group_scores else 0.0
        spread = statistics.stdev(group_scores) if len(group_scores) > 1 else 0.0
        expected.append(centered / spread if scale and spread > 1e-6 else centered)
    check(grpo(rewards, mask, group, scale), expected, mask)


@pytest.mark.parametrize("score", [0.1, 1 / 3, 7.7])
def test_a_group_that_agrees_gets_exactly_nothing(score):
    rewards, mask = torch.full((7, 1), score), torch.ones(7, 1, dtype=torch.bool)
    group = torch.zeros(7, dtype=torch.long)
    assert not grpo(rewards, mask, group).any()
    assert not rloo(rewards, mask, group).any()


def test_a_group_of_one_gets_nothing():
    rewards, mask = torch.tensor([[5.0], [1.0], [0.0]]), torch.ones(3, 1, dtype=torch.bool)
    group = torch.tensor([0, 1, 1])
    assert rloo(rewards, mask, group)[:, 0].tolist() == [0.0, 1.0, -1.0]
    assert grpo(rewards, mask, group)[:, 0].tolist() == pytest.approx([0.0, math.sqrt(0.5), -math.sqrt(0.5)])


def test_an_episode_without_tokens_shifts_no_sibling():
    mask = torch.tensor([[True], [True], [False]])
    rewards, group = torch.tensor([[1.0], [0.0], [0.0]]), torch.tensor([0, 0, 0])
    for estimator in (rloo, grpo):
        assert torch.equal(estimator(rewards, mask, group)[:2], estimator(rewards[:2], mask[:2], group[:2]))


@settings(deadline=None)
@given(size=sizes, seed=st.integers(0, 10**6))
def test_order_and_numbering_of_episodes_change_nothing(size, seed):
    rewards, mask, group = ragged(size)
    order = torch.tensor(np.random.default_rng(seed).permutation(len(mask)))
    renamed = group_index([f"group {number}" for number in group[order].tolist()])
    for estimator in (rloo, grpo):
        found = estimator(rewards[order], mask[order], renamed)
        torch.testing.assert_close(found, estimator(rewards, mask, group)[order], atol=1e-9, rtol=0)


@settings(deadline=None)
@given(size=sizes)
def test_a_potential_changes_nothing_where_groups_are_compared(size):
    """With gamma = 1 shaping adds -Phi(s_0) to the score, the same for all samples of a prompt."""
    rewards, mask, group = ragged(size, empty=False)
    rng = np.random.default_rng(size[2])
    phi = torch.tensor(rng.normal(size=(mask.shape[0], mask.shape[1] + 1)))
    phi[:, 0] = torch.tensor(rng.normal(size=4))[group]
    phi[:, 1:] = torch.where(torch.cat([mask[:, 1:], torch.zeros(len(mask), 1, dtype=torch.bool)], 1), phi[:, 1:], 0.0)
    shaped = rewards + phi[:, 1:] - phi[:, :-1]
    for estimator in (rloo, lambda *args: grpo(*args, scale_by_std=False)):
        torch.testing.assert_close(estimator(shaped, mask, group), estimator(rewards, mask, group), atol=1e-9, rtol=0)


@settings(deadline=None)
@given(size=sizes)
def test_baselines_differ_by_what_whitening_removes(size):
    """With equal groups RLOO is GRPO without scaling times n / (n - 1); whitened they are one."""
    rewards, _, _ = ragged(size)
    rows = len(rewards) // 3 * 3
    if not rows:
        return
    rewards, mask = rewards[:rows], torch.ones(rows, rewards.shape[1], dtype=torch.bool)
    group = torch.arange(rows) // 3
    left, right = rloo(rewards, mask, group), grpo(rewards, mask, group, scale_by_std=False)
    torch.testing.assert_close(left, right * 1.5, atol=1e-9, rtol=0)
    if left.std(correction=0) > 1e-3:
        torch.testing.assert_close(whiten(left, mask), whiten(right, mask), atol=1e-9, rtol=0)


REWARD = (1.0, -0.5, 2.0)


def exact_gradient(logits):
    parameter = logits.clone().requires_grad_()
    (parameter.softmax(0) @ torch.tensor(REWARD, dtype=torch.float64)).backward()
    return parameter.grad


def expected_gradient(logits, samples, advantage):
    """E[mean over samples of A * grad log pi], by summing over every tuple of samples."""
    total = torch.zeros_like(logits)
    probabilities = logits.softmax(0)
    for actions in itertools.product(range(3), repeat=samples):
        weight = math.prod(float(probabilities[a]) for a in actions)
        rewards = torch.tensor([[REWARD[a]] for a in actions], dtype=torch.float64)
        advantages = advantage(rewards, torch.ones(samples, 1, dtype=torch.bool))[:, 0]
        for action, number in zip(actions, advantages, strict=True):
            score = -probabilities.clone()
            score[action] += 1.0
            total += weight * number * score / samples
    return total


@pytest.mark.parametrize("samples", [2, 3, 4])
def test_the_expected_gradient_is_exact_or_shrunk_by_a_known_factor(samples):
    logits = torch.tensor([0.3, -1.0, 0.1], dtype=torch.float64)
    group = torch.zeros(samples, dtype=torch.long)
    right = exact_gradient(logits)
    torch.testing.assert_close(expected_gradient(logits, samples, lambda r, m: reinforce(r, m, 1.0)), right)
    torch.testing.assert_close(expected_gradient(logits, samples, lambda r, m: rloo(r, m, group)), right)
    # A baseline that contains the episode itself shrinks the gradient by (n - 1) / n, and does not turn it.
    shrunk = right * (samples - 1) / samples
    torch.testing.assert_close(expected_gradient(logits, samples, lambda r, m: reinforce_baseline(r, m, 1.0)), shrunk)
    torch.testing.assert_close(expected_gradient(logits, samples, lambda r, m: grpo(r, m, group, False)), shrunk)


def test_group_index_numbers_keys_as_they_come():
    assert group_index(["b", "a", "b", ("c", 1)]).tolist() == [0, 1, 0, 2]
    assert group_index([]).shape == (0,)


def test_one_function_knows_them_all():
    rewards, mask, group = ragged((6, 4, 1), empty=False)
    values, bootstrap = torch.zeros_like(rewards), torch.zeros(6, dtype=torch.float64)
    call = lambda name, **more: estimate_advantages(name, rewards, mask, gamma=0.9, **more)  # noqa: E731
    found = call("gae", values_BA=values, bootstrap_B=bootstrap, gae_lambda=0.8, critic_lambda=1.0)
    expected = generalized_advantages(rewards, values, bootstrap, mask, 0.9, 0.8, 1.0)
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    for name, advantages in {
        "reinforce": reinforce(rewards, mask, 0.9),
        "reinforce_baseline": reinforce_baseline(rewards, mask, 0.9),
        "rloo": rloo(rewards, mask, group),
        "grpo": grpo(rewards, mask, group, False),
    }.items():
        found = call(name, group_B=group, scale_by_std=False)
        assert torch.equal(found[0], advantages), name
        assert found[1] is None


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gae", "values_BA and bootstrap_B must be given for the estimator 'gae'"),
        ("rloo", "group_B must be given for the estimator 'rloo'"),
        ("grpo", "group_B must be given for the estimator 'grpo'"),
        ("ppo", "estimator must be 'gae', 'reinforce', .* got 'ppo'"),
    ],
)
def test_what_is_missing_is_named(name, message):
    with pytest.raises(ParameterError, match=message):
        estimate_advantages(name, torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), gamma=1.0)
