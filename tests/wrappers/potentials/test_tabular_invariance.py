"""Small decision problems, solved exactly: shaping by a potential leaves every optimal policy optimal, and no other does.

The rewards are those that a real pipeline pays. A bonus that is no potential changes the optimal policies of most random
problems, and a potential handled wrongly those of many: the same comparison finds that.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_strategies import PURE_KINDS, schedule_params, schedules
from shaping import MISTAKES, RIGHT, Script, info_pipeline, play
from tabular import (
    MDP,
    backward,
    iterate_values,
    optimal_actions,
    paid_rewards,
    paths,
    policy_gradient,
    random_mdp,
    random_tree,
    returns_to_go,
    solve,
)

from rlenvs.wrappers import BaseReward, ConstantSchedule, EnvReward, LinearSchedule, RewardPipeline, Transition
from rlenvs.wrappers.schedules.registry import SCHEDULES

GAMMAS = [0.9, 1.0]  # with a discount, and episodes that surely end
HORIZON = 6
MANY = 150
seeds = st.integers(0, 10**6)


class Bonus(BaseReward):
    """Phi(s') as a plain reward: what people mean by shaping until they see what it does."""

    def __call__(self, transition: Transition) -> float:
        return float(transition.info["phi"])


def bonus_pipeline(weight=1.0):
    return RewardPipeline({"env": EnvReward(), "bonus": Bonus()}, {"bonus": ConstantSchedule(weight)})


# --- the ruler ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", GAMMAS)
def test_both_solvers_agree_and_ties_exist(gamma):
    tied = 0
    for seed in range(20):
        mdp = random_mdp(np.random.default_rng(seed), gamma)
        np.testing.assert_allclose(solve(mdp, mdp.R), iterate_values(mdp, mdp.R), atol=1e-9)
        tied += int((optimal_actions(solve(mdp, mdp.R)).sum(axis=1) > 1).sum())
    assert tied > 5


# --- endless and episodic problems -------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", GAMMAS)
@settings(deadline=None)
@given(seed=seeds, weight=st.floats(0.0, 5.0))
def test_a_constant_weight_keeps_the_optimal_policies_and_moves_the_value_by_the_potential(gamma, seed, weight):
    mdp = random_mdp(np.random.default_rng(seed), gamma)
    plain, shaped = solve(mdp, mdp.R), solve(mdp, paid_rewards(mdp, info_pipeline(gamma, ConstantSchedule(weight))))
    np.testing.assert_array_equal(optimal_actions(shaped), optimal_actions(plain))
    # Q'(s, a) = Q(s, a) - w Phi(s): the same order of actions in every state, not only the same best one.
    np.testing.assert_allclose(shaped, plain - weight * mdp.phi[: mdp.states, None], atol=1e-7)


def changed(pairs):
    return float(np.mean([bool((optimal_actions(one) != optimal_actions(other)).any()) for one, other in pairs]))


def fraction_changed(gamma, pay):
    """Return the share of random problems in which what `pay` pays has other optimal policies."""
    problems = [random_mdp(np.random.default_rng(seed), gamma) for seed in range(MANY)]
    return changed((solve(mdp, mdp.R), solve(mdp, pay(mdp))) for mdp in problems)


@pytest.mark.parametrize(
    ("name", "gamma", "pay", "at_least"),
    [
        ("bonus", 0.9, lambda mdp: paid_rewards(mdp, bonus_pipeline()), 0.75),
        ("bonus", 1.0, lambda mdp: paid_rewards(mdp, bonus_pipeline()), 0.75),
        ("small bonus", 0.9, lambda mdp: paid_rewards(mdp, bonus_pipeline(0.1)), 0.15),
        ("terminal potential kept", 0.9, lambda mdp: paid_rewards(mdp, info_pipeline(0.9), ends=False), 0.4),
        ("terminal potential kept", 1.0, lambda mdp: paid_rewards(mdp, info_pipeline(1.0), ends=False), 0.4),
        ("another gamma", 0.9, lambda mdp: paid_rewards(mdp, info_pipeline(0.5)), 0.5),
        ("clipped", 0.9, lambda mdp: mdp.R + np.clip(paid_rewards(mdp, info_pipeline(0.9)) - mdp.R, -1, 1), 0.3),
    ],
)
def test_what_is_no_potential_changes_the_optimal_policies_of_many_problems(name, gamma, pay, at_least):
    assert fraction_changed(gamma, pay) >= at_least, name


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_same_count_is_zero_for_a_potential(gamma):
    assert fraction_changed(gamma, lambda mdp: paid_rewards(mdp, info_pipeline(gamma))) == 0.0


def test_a_bonus_makes_riding_in_circles_optimal_and_a_potential_does_not():
    """The bicycle of Randloev and Alstroem 1998: states A and B, B is nearer to the goal, only the goal pays."""
    P, R = np.zeros((2, 2, 3)), np.zeros((2, 2, 3))
    P[0, :, 1] = 1.0  # from A every action leads to B
    P[1, 0, 0] = P[1, 1, 2] = 1.0  # from B back to A, or to the goal
    R[1, 1, 2] = 1.0
    mdp = MDP(P, R, np.array([0.0, 0.5, 9.0]), 0.9)
    back, goal = 0, 1
    plain = solve(mdp, R)
    np.testing.assert_allclose(plain[1], [0.9**2, 1.0])
    # From B and back: half a point every second step, the first after one.
    without_goal = MDP(P, R, np.array([0.0, 0.5, 0.0]), 0.9)
    circling = solve(without_goal, paid_rewards(without_goal, bonus_pipeline()))
    np.testing.assert_allclose(circling[1], [0.9 * 0.5 / (1 - 0.81), 1.0])
    assert circling[1, back] > circling[1, goal]
    shaped = solve(mdp, paid_rewards(mdp, info_pipeline(0.9)))
    np.testing.assert_allclose(shaped[1], plain[1] - 0.5)
    assert shaped[1, goal] > shaped[1, back]


# --- weights that move: the time is part of the state ------------------------------------------------------------


def shaped_over_time(mdp, schedule, *, last_ends, weight_outside=False):
    """Return H tables of rewards; the weight at which a state was visited is that of the action before."""
    pipeline = info_pipeline(mdp.gamma, None if weight_outside else schedule)
    tables = []
    for t in range(HORIZON):
        table = paid_rewards(mdp, pipeline, step=t, previous_step=max(t - 1, 0))
        if last_ends and t == HORIZON - 1:  # the time limit is the task's own: whatever follows is terminal
            every_end = MDP(mdp.P, mdp.R, np.where(np.arange(mdp.arrivals) < mdp.states, mdp.phi, 0.0), mdp.gamma)
            kept = paid_rewards(every_end, pipeline, step=t, previous_step=max(t - 1, 0))
            table = kept - mdp.gamma * pipeline.weights(t)[1] * every_end.phi
        tables.append(mdp.R + schedule(t) * (table - mdp.R) if weight_outside else table)
    return tables


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("kind", PURE_KINDS)
def test_every_schedule_keeps_the_optimal_policies_of_every_moment(kind, gamma):
    @settings(deadline=None, max_examples=12)
    @given(seed=seeds, params=schedule_params(kind))
    def holds(seed, params):
        rng = np.random.default_rng(seed)
        mdp, schedule = random_mdp(rng, gamma), SCHEDULES[kind](**params)
        visited_with = np.array([schedule(max(t - 1, 0)) for t in range(HORIZON + 1)])
        phi, nothing = mdp.phi[: mdp.states], np.zeros(mdp.states)
        bootstrap = rng.normal(size=mdp.states)
        for last_ends, plain_end, shaped_end in (
            (True, nothing, nothing),
            # Cut, not ended: the potential is kept, and a learner that bootstraps takes its value less the potential.
            (False, bootstrap, bootstrap - visited_with[HORIZON] * phi),
        ):
            plain = backward(mdp, [mdp.R] * HORIZON, plain_end)
            shaped = backward(mdp, shaped_over_time(mdp, schedule, last_ends=last_ends), shaped_end)
            np.testing.assert_array_equal(optimal_actions(shaped), optimal_actions(plain))
            np.testing.assert_allclose(
                shaped, plain - visited_with[:HORIZON, None, None] * phi[None, :, None], atol=1e-9
            )

    holds()


def moving_fraction(gamma, wrong):
    pairs = []
    for seed in range(MANY // 3):
        rng = np.random.default_rng(seed)
        mdp, schedule = random_mdp(rng, gamma), LinearSchedule(2.0, 0.0, HORIZON)
        nothing, bootstrap = np.zeros(mdp.states), rng.normal(size=mdp.states)
        cut = wrong == "truncation without the potential in the bootstrap"
        tables = shaped_over_time(mdp, schedule, last_ends=not cut, weight_outside=wrong == "weight outside")
        end = bootstrap if cut else nothing
        pairs.append((backward(mdp, [mdp.R] * HORIZON, end), backward(mdp, tables, end)))
    return changed(pairs)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_a_moving_weight_outside_the_potential_changes_the_optimal_policies_of_most_problems(gamma):
    assert moving_fraction(gamma, "weight outside") >= 0.5
    assert moving_fraction(gamma, "nothing") == 0.0


def test_a_kept_potential_needs_a_bootstrap_that_knows_it():
    assert moving_fraction(0.9, "truncation without the potential in the bootstrap") >= 0.5


# --- I9: the expected policy gradient ----------------------------------------------------------------------------


def gradients(root, gamma, schedule, mistake=RIGHT):
    """Return the expected policy gradients without and with shaping, by enumeration of all paths."""

    def plain(path):
        return returns_to_go(path.rewards, path.nodes[-1].value, gamma)

    def shaped(path):
        leaf = path.nodes[-1]
        played = play(Script(path.rewards, [node.phi for node in path.nodes], leaf.ending), gamma, schedule, mistake)
        return returns_to_go(played.shaped, leaf.value - played.potentials[-1], gamma)

    return policy_gradient(root, plain, gamma), policy_gradient(root, shaped, gamma)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, gamma=st.sampled_from([1.0, 0.9, 0.5]), schedule=schedules())
@pytest.mark.parametrize("endings", [["terminated"], ["terminated", "truncated"]])
def test_the_expected_policy_gradient_does_not_change(endings, seed, gamma, schedule):
    plain, shaped = gradients(random_tree(np.random.default_rng(seed), 3, endings), gamma, schedule)
    np.testing.assert_allclose(shaped, plain, atol=1e-9)


@pytest.mark.parametrize("mistake", sorted(set(MISTAKES)))
def test_with_any_of_the_mistakes_it_does(mistake):
    endings = ["truncated"] if mistake == "truncation paid as an end" else ["terminated"]
    sizes = []
    for seed in range(10):
        plain, shaped = gradients(
            random_tree(np.random.default_rng(seed), 3, endings), 0.9, LinearSchedule(2.0, 0.2, 3), mistake
        )
        sizes.append(np.abs(plain - shaped).max())
    assert max(sizes) > 0.1


def test_the_enumerated_gradient_is_the_derivative_of_the_expected_return():
    """The ruler against automatic differentiation of sum_path p(path) * return(path)."""
    root, gamma = random_tree(np.random.default_rng(5), 3, ["terminated"]), 0.9
    logits = {}
    expected = torch.zeros((), dtype=torch.float64)
    for path in paths(root):
        chance = torch.ones((), dtype=torch.float64)
        for node, action in zip(path.nodes, path.actions, strict=False):
            table = logits.setdefault(id(node), torch.tensor(node.logits, requires_grad=True))
            chance = chance * torch.softmax(table, dim=0)[action]
        expected = expected + chance * returns_to_go(path.rewards, 0.0, gamma)[0]
    expected.backward()
    derivative = np.concatenate([table.grad.numpy() for table in logits.values()])
    found, _ = gradients(root, gamma, ConstantSchedule(1.0))
    np.testing.assert_allclose(found, derivative, atol=1e-12)
