"""How three recursions that are in use over whole token rows differ from GAE over the action tokens.

Three turns of 10 action tokens with 50 feedback tokens after each of the first two; values uniform in [0, 1] on every
token, reward 1 on the last action token; 100 episodes. `error` is the root mean square difference of the advantages
over the standard deviation of the right ones, `signs` the share of the first turn's tokens whose sign is right.

| recursion | gamma 1, lambda 1 | gamma 1, lambda 0.95 | gamma 0.99, lambda 0.95 | a reward on feedback |
|---|---|---|---|---|
| zeroed: values and rewards times the mask, then every position | error 0 | 1.48, signs 49 % | 1.26, 56 % | lost |
| blind: every position, with the critic's values on feedback | error 0 | 0.51, signs 88 % | 0.50, 87 % | kept, diminished |
| carried: state kept across feedback | error 0 | 0, signs 100 % | 0, 100 % | lost |
"""

import numpy as np
import pytest
import torch

from rlenvs.agents.llm.algorithm.advantages import generalized_advantages
from rlenvs.agents.llm.algorithm.tokens import action_mask, action_subsequence, credit_rewards

TURNS, ACTIONS, FEEDBACK, EPISODES = 3, 10, 50, 100


def zeroed(rewards, values, action, gamma, lam):
    """Feedback tokens take part as steps with value 0, each of which discounts and pulls towards 0."""
    return blind(rewards * action, values * action, action, gamma, lam)


def blind(rewards, values, action, gamma, lam):
    """Feedback tokens take part as steps like any other."""
    advantages, following, carried = np.zeros_like(values), 0.0, 0.0
    for t in reversed(range(len(values))):
        carried = rewards[t] + gamma * following - values[t] + gamma * lam * carried
        advantages[t], following = carried, values[t]
    return advantages


def carried_across(rewards, values, action, gamma, lam):
    """Feedback tokens are stepped over, and so is what was paid on them."""
    advantages, following, carried = np.zeros_like(values), 0.0, 0.0
    for t in reversed(range(len(values))):
        if action[t]:
            carried = rewards[t] + gamma * following - values[t] + gamma * lam * carried
            advantages[t], following = carried, values[t]
    return advantages


def ours(rewards, values, action, gamma, lam):
    rewards, values, action = (torch.tensor(part)[None] for part in (rewards, values, action))
    credited, kept = credit_rewards(rewards, action), action_subsequence(values, action)
    nothing = torch.zeros(1, dtype=torch.float64)
    return generalized_advantages(credited, kept, nothing, action_mask(action), gamma, lam)[0][0].numpy()


def layout():
    turn = [True] * ACTIONS + [False] * FEEDBACK
    return np.array((turn * TURNS)[:-FEEDBACK])


def compare(recursion, gamma, lam):
    rng = np.random.default_rng(0)
    action = layout()
    rewards = np.zeros(len(action))
    rewards[-1] = 1.0
    found, right = [], []
    for _ in range(EPISODES):
        values = rng.random(len(action))
        found.append(recursion(rewards, values, action, gamma, lam)[action])
        right.append(ours(rewards, values, action, gamma, lam))
    found, right = np.array(found), np.array(right)
    error = np.sqrt(np.square(found - right).mean()) / right.std()
    signs = (np.sign(found) == np.sign(right))[:, :ACTIONS].mean()
    return error, signs


TABLE = [
    (zeroed, 1.0, 0.95, 1.48, 0.494),
    (zeroed, 0.99, 0.95, 1.26, 0.556),
    (blind, 1.0, 0.95, 0.51, 0.877),
    (blind, 0.99, 0.95, 0.50, 0.872),
    (carried_across, 1.0, 0.95, 0.0, 1.0),
    (carried_across, 0.99, 0.95, 0.0, 1.0),
    (zeroed, 1.0, 1.0, 0.0, 1.0),
    (blind, 1.0, 1.0, 0.0, 1.0),
    (carried_across, 1.0, 1.0, 0.0, 1.0),
]


@pytest.mark.parametrize(("recursion", "gamma", "lam", "error", "signs"), TABLE)
def test_the_table(recursion, gamma, lam, error, signs):
    found_error, found_signs = compare(recursion, gamma, lam)
    assert found_error == pytest.approx(error, abs=0.01)
    assert found_signs == pytest.approx(signs, abs=0.005)


@pytest.mark.parametrize(("recursion", "kept"), [(zeroed, False), (blind, True), (carried_across, False), (ours, True)])
def test_what_becomes_of_a_reward_on_feedback(recursion, kept):
    action = layout()
    rewards = np.zeros(len(action))
    rewards[ACTIONS + 7] = 1.0  # paid while the environment speaks, for the first turn
    found = recursion(rewards, np.zeros(len(action)), action, 1.0, 0.95)
    first_turn = found[:ACTIONS]
    assert bool(np.abs(first_turn).max() > 0.5) is kept
    if recursion is ours:
        assert first_turn[-1] == 1.0, "the last token of the answer gets it undiminished"
