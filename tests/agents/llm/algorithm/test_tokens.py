"""From token positions to action tokens: nothing is lost, and feedback in between changes nothing, bit for bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages, whiten
from rlenvs.agents.llm.algorithm.tokens import action_mask, action_subsequence, credit_rewards
from rlenvs.errors import ParameterError

sizes = st.tuples(st.integers(1, 4), st.integers(1, 12), st.integers(0, 10**6))
factors = st.sampled_from([0.0, 0.7, 0.95, 1.0])


def conversation(size):
    """Random action masks (at least one action token per row), rewards and values on every kind of token."""
    rows, columns, seed = size
    rng = np.random.default_rng(seed)
    action = rng.random((rows, columns)) < 0.5
    action[np.arange(rows), rng.integers(0, columns, rows)] = True
    rewards = rng.normal(size=(rows, columns)) * (rng.random((rows, columns)) < 0.4)
    return torch.tensor(action), torch.tensor(rewards), torch.tensor(rng.normal(size=(rows, columns)))


def insert_feedback(action, rewards, values, seed):
    """Insert tokens that nobody chose, at random places of each row; their values are noise."""
    rng = np.random.default_rng(seed)
    extra = int(rng.integers(1, 6))
    wider = [[], [], []]
    for row in range(len(action)):
        columns = [action[row].tolist(), rewards[row].tolist(), values[row].tolist()]
        for _ in range(extra):
            place = int(rng.integers(0, len(columns[0]) + 1))
            for column, entry in zip(columns, (False, 0.0, float(rng.normal() * 1e3)), strict=True):
                column.insert(place, entry)
        for target, column in zip(wider, columns, strict=True):
            target.append(column)
    return (torch.tensor(part, dtype=like.dtype) for part, like in zip(wider, (action, rewards, values), strict=True))


def estimate(action, rewards, values, gamma, lam):
    mask = action_mask(action)
    bootstrap = torch.linspace(-1, 1, len(action), dtype=torch.float64)
    found, returns = generalized_advantages(
        credit_rewards(rewards, action), action_subsequence(values, action), bootstrap, mask, gamma, lam
    )
    return whiten(found, mask), found, returns


@settings(deadline=None)
@given(size=sizes, gamma=factors, lam=factors, seed=st.integers(0, 10**6))
def test_inserting_feedback_changes_no_advantage_bit_for_bit(size, gamma, lam, seed):
    plain = conversation(size)
    wider = tuple(insert_feedback(*plain, seed))
    assert wider[0].shape[1] > plain[0].shape[1]
    for mine, other in zip(estimate(*plain, gamma, lam), estimate(*wider, gamma, lam), strict=True):
        assert torch.equal(mine, other)


@settings(deadline=None)
@given(size=sizes)
def test_each_reward_goes_to_the_last_action_token_before_it(size):
    action, rewards, values = conversation(size)
    credited, kept = credit_rewards(rewards, action), action_subsequence(values, action)
    for row in range(len(action)):
        expected, order = [], []
        for position in range(action.shape[1]):
            if action[row, position]:
                # What came before any choice waits for the first one.
                expected.append(0.0 if expected else sum(rewards[row, :position].tolist()))
                order.append(float(values[row, position]))
            if expected:
                expected[-1] += float(rewards[row, position])
        padding = [0.0] * (credited.shape[1] - len(expected))
        np.testing.assert_allclose(credited[row], expected + padding, atol=1e-12)
        assert kept[row].tolist() == order + padding
        assert float(credited[row].sum()) == pytest.approx(float(rewards[row].sum()), abs=1e-12)


def test_a_conversation_written_out():
    #                       prompt        answer        feedback      answer  feedback
    action = torch.tensor([[False, False, True, True, False, False, True, False]])
    rewards = torch.tensor([[0.0, 0.0, 0.0, 0.25, 0.0, 0.5, 0.0, 1.0]])
    assert action_mask(action).tolist() == [[True, True, True]]
    assert credit_rewards(rewards, action).tolist() == [[0.0, 0.75, 1.0]]
    assert action_subsequence(torch.arange(8.0)[None], action).tolist() == [[2.0, 3.0, 6.0]]


def test_a_reward_without_an_action_token_is_refused():
    action = torch.tensor([[True, False], [False, False]])
    with pytest.raises(ParameterError, match=r"rewards_BL must be 0 in episodes without an action token, got .* row 1"):
        credit_rewards(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), action)
    assert credit_rewards(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), action).tolist() == [[1.0], [0.0]]


def test_a_batch_without_action_tokens_is_empty():
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    assert action_mask(nothing).shape == credit_rewards(torch.zeros(2, 3), nothing).shape == (2, 0)
    assert estimate(nothing, torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2, 3, dtype=torch.float64), 1.0, 1.0)[
        0
    ].shape == (2, 0)
    assert action_mask(torch.zeros(0, 3, dtype=torch.bool)).shape == (0, 0)


def test_a_gradient_finds_its_way_back():
    values = torch.arange(4.0, requires_grad=True)
    action_subsequence(values[None], torch.tensor([[False, True, False, True]])).square().sum().backward()
    assert values.grad.tolist() == [0.0, 2.0, 0.0, 6.0]
