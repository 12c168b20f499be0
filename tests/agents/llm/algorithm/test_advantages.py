"""Advantages against slow independent algorithms, and the identities that masks and shaping must keep."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages, length_adaptive_lambda, token_rewards, whiten
from rlenvs.agents.llm.algorithm.estimators import reinforce_baseline

sizes = st.tuples(st.integers(1, 5), st.integers(1, 7), st.integers(0, 10**6))
factors = st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0])


def ragged(size):
    """Random rewards, values, bootstrap values and prefix masks, as numpy float64."""
    rows, columns, seed = size
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, columns + 1, size=rows)
    mask = np.arange(columns) < lengths[:, None]
    rewards, values = rng.normal(size=(2, rows, columns)) * mask
    bootstrap = rng.normal(size=rows) * (rng.random(rows) < 0.5)
    return rewards, values, bootstrap, mask


def advantages(rewards, values, bootstrap, mask, gamma, lam):
    tensors = (torch.tensor(x, dtype=torch.float64) for x in (rewards, values, bootstrap))
    return [x.numpy() for x in generalized_advantages(*tensors, torch.tensor(mask), gamma, lam)]


def slow_gae(rewards, values, bootstrap, gamma, lam):
    """The definition, as a double sum over one unpadded episode."""
    following = [*values[1:], bootstrap]
    deltas = [r + gamma * n - v for r, n, v in zip(rewards, following, values, strict=True)]
    return [sum((gamma * lam) ** (k - t) * deltas[k] for k in range(t, len(deltas))) for t in range(len(deltas))]


@settings(deadline=None)
@given(size=sizes, gamma=factors, lam=factors)
def test_advantages_equal_the_definition_on_ragged_batches(size, gamma, lam):
    rewards, values, bootstrap, mask = ragged(size)
    found, returns = advantages(rewards, values, bootstrap, mask, gamma, lam)
    for row in range(len(mask)):
        n = mask[row].sum()
        expected = slow_gae(rewards[row, :n], values[row, :n], bootstrap[row], gamma, lam)
        np.testing.assert_allclose(found[row, :n], expected, atol=1e-9)
        np.testing.assert_allclose(returns[row, :n], expected + values[row, :n], atol=1e-9)
        assert not found[row, n:].any()
        assert not returns[row, n:].any()


@settings(deadline=None)
@given(size=sizes, gamma=factors)
def test_with_lambda_one_the_return_is_the_discounted_sum(size, gamma):
    rewards, values, bootstrap, mask = ragged(size)
    _, returns = advantages(rewards, values, bootstrap, mask, gamma, 1.0)
    for row in range(len(mask)):
        n = int(mask[row].sum())
        expected = sum(gamma**t * rewards[row, t] for t in range(n)) + gamma**n * bootstrap[row]
        assert returns[row, 0] == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(size=sizes, gamma=factors, lam=factors, critic=factors)
def test_the_critic_may_have_a_lambda_of_its_own(size, gamma, lam, critic):
    rewards, values, bootstrap, mask = ragged(size)
    tensors = [torch.tensor(part) for part in (rewards, values, bootstrap, mask)]
    found, returns = generalized_advantages(*tensors, gamma, lam, critic)
    assert torch.equal(found, generalized_advantages(*tensors, gamma, lam)[0])
    assert torch.equal(returns, generalized_advantages(*tensors, gamma, critic)[1])


@settings(deadline=None)
@given(size=sizes, gamma=factors)
def test_each_episode_may_have_a_lambda_of_its_own(size, gamma):
    rewards, values, bootstrap, mask = ragged(size)
    lam = np.random.default_rng(size[2]).random(len(mask))
    tensors = [torch.tensor(part) for part in (rewards, values, bootstrap, mask)]
    found, _ = generalized_advantages(*tensors, gamma, torch.tensor(lam))
    for row in range(len(mask)):
        n = mask[row].sum()
        expected = slow_gae(rewards[row, :n], values[row, :n], bootstrap[row], gamma, lam[row])
        np.testing.assert_allclose(found[row, :n], expected, atol=1e-9)


def test_the_length_adaptive_lambda_spreads_credit_over_a_share_of_the_episode():
    mask = torch.arange(400) < torch.tensor([0, 1, 20, 40, 400])[:, None]
    found = length_adaptive_lambda(mask)
    np.testing.assert_allclose(found, [0.0, 0.0, 0.0, 0.5, 0.95], atol=1e-6)
    # The weights 1 + lambda + lambda^2 + ... sum to alpha * l.
    assert sum(float(found[-1]) ** k for k in range(400)) == pytest.approx(0.05 * 400, rel=1e-4)


@settings(deadline=None)
@given(size=sizes, gamma=factors, lam=factors, terminated=st.booleans())
def test_shaping_changes_no_advantage_once_the_value_knows_the_potential(size, gamma, lam, terminated):
    """GAE(r + F, V - Phi) = GAE(r, V), elementwise, for both endings."""
    rewards, values, _, _ = ragged(size)
    rows, columns = rewards.shape
    rng = np.random.default_rng(size[2] + 1)
    mask = np.ones_like(rewards, dtype=bool)
    phi = rng.normal(size=(rows, columns + 1))
    bootstrap = np.zeros(rows) if terminated else rng.normal(size=rows)
    if terminated:
        phi[:, -1] = 0.0
    shaped = rewards + gamma * phi[:, 1:] - phi[:, :-1]
    plain, _ = advantages(rewards, values, bootstrap, mask, gamma, lam)
    rebased, _ = advantages(shaped, values - phi[:, :-1], bootstrap - phi[:, -1], mask, gamma, lam)
    np.testing.assert_allclose(rebased, plain, atol=1e-9)
    if not terminated and gamma > 0 and np.abs(phi[:, -1]).max() > 0.1:
        wrong, _ = advantages(shaped, values - phi[:, :-1], bootstrap, mask, gamma, lam)
        assert np.abs(wrong - plain).max() > 1e-3, "a bootstrap that forgets Phi must show"


def test_padding_never_enters():
    rewards, values, bootstrap, mask = ragged((4, 6, 3))
    plain, _ = advantages(rewards, values, bootstrap, mask, 0.9, 0.8)
    for noise in (1e6, np.nan, np.inf):
        found = advantages(np.where(mask, rewards, noise), np.where(mask, values, noise), bootstrap, mask, 0.9, 0.8)
        np.testing.assert_array_equal(plain, found[0])
        assert np.isfinite(found[1]).all()


@settings(deadline=None)
@given(size=sizes)
def test_whitening_is_over_all_valid_tokens(size):
    values, _, _, mask = ragged(size)
    white = whiten(torch.tensor(values), torch.tensor(mask)).numpy()
    valid = values[mask]
    if valid.std() > 1e-6:
        np.testing.assert_allclose(white[mask], (valid - valid.mean()) / valid.std(), atol=1e-9)
    assert not white[~mask].any()


@pytest.mark.parametrize("values", [[[0.3]], [[0.1] * 7], [[1e6 + 1e-9, 1e6]]])
def test_whitening_a_constant_batch_does_not_blow_rounding_up(values):
    tensor = torch.tensor(values, dtype=torch.float64)
    assert whiten(tensor, torch.ones_like(tensor, dtype=torch.bool)).abs().max() < 1e-6


class Processes:
    """Runs a function once per shard, in lockstep threads, with a sum over all of them in between."""

    def __init__(self, count):
        self.barrier = threading.Barrier(count)
        self.parts = [None] * count

    def all_reduce(self, rank):
        def reduce(tensor):
            self.parts[rank] = tensor
            self.barrier.wait(timeout=30)
            total = torch.stack(self.parts).sum(dim=0)
            self.barrier.wait(timeout=30)
            return total

        return reduce

    def run(self, function, shards):
        with ThreadPoolExecutor(len(shards)) as pool:
            return list(pool.map(lambda pair: function(*pair[1], self.all_reduce(pair[0])), enumerate(shards)))


@settings(deadline=None, max_examples=30)
@given(size=sizes, offset=st.sampled_from([0.0, 1e4]))
def test_processes_whiten_like_one(size, offset):
    values, _, _, mask = ragged(size)
    values, mask = torch.tensor(values + offset), torch.tensor(mask)
    whole = whiten(values, mask)
    # The last shard has no tokens at all, and must still take part in the sums.
    shards = [(values[::2], mask[::2]), (values[1::2], mask[1::2]), (values[:1], torch.zeros_like(mask[:1]))]
    found = Processes(len(shards)).run(whiten, shards)
    torch.testing.assert_close(found[0], whole[::2], atol=1e-6, rtol=0)
    torch.testing.assert_close(found[1], whole[1::2], atol=1e-6, rtol=0)
    assert not found[2].any()


@settings(deadline=None, max_examples=30)
@given(size=sizes, gamma=factors)
def test_processes_share_the_baseline(size, gamma):
    rewards, _, _, mask = ragged(size)
    rewards, mask = torch.tensor(rewards), torch.tensor(mask)
    whole = reinforce_baseline(rewards, mask, gamma)
    shards = [(rewards[::2], mask[::2]), (rewards[1::2], mask[1::2])]
    found = Processes(2).run(lambda r, m, reduce: reinforce_baseline(r, m, gamma, reduce), shards)
    torch.testing.assert_close(found[0], whole[::2], atol=1e-9, rtol=0)
    torch.testing.assert_close(found[1], whole[1::2], atol=1e-9, rtol=0)


def test_whitening_nothing_is_nothing():
    assert not whiten(torch.ones(2, 3), torch.zeros(2, 3, dtype=torch.bool)).any()


def test_the_kl_penalty_sits_on_every_action_token():
    mask = torch.tensor([[True, True, False]])
    rewards, new, ref = (
        torch.tensor([[0.0, 1.0, 9.0]]),
        torch.tensor([[-1.0, -2.0, 5.0]]),
        torch.tensor([[-1.5, -1.0, 0.0]]),
    )
    np.testing.assert_allclose(token_rewards(rewards, new, ref, mask, 0.1), [[-0.05, 1.1, 0.0]], atol=1e-6)
    np.testing.assert_allclose(token_rewards(rewards, new, None, mask, 0.1), [[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(token_rewards(rewards, new, ref, mask, 0.1, "k2"), [[-0.0125, 0.95, 0.0]], atol=1e-6)
