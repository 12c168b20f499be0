"""Potential shaping is exact: it telescopes for both endings, every schedule and every discount.

Each identity is also tried on a deliberately wrong variant, so that the test is known to be able to fail.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reward_strategies import gammas, potentials, rewards, schedules

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers import (
    EnvReward,
    InfoPotential,
    LLMPotentialBasedReward,
    Potential,
    ProgressPotential,
    RewardPipeline,
    RewardState,
    Transition,
    register_potential,
)

episodes = st.integers(1, 8).flatmap(
    lambda n: st.tuples(st.lists(rewards, min_size=n, max_size=n), st.lists(potentials, min_size=n + 1, max_size=n + 1))
)


def shaping_pipeline(gamma: float, schedule: object) -> RewardPipeline:
    term = LLMPotentialBasedReward("info", gamma=gamma, potential_params={"info_key": "phi"})
    return RewardPipeline({"env": EnvReward(), "guide": term}, {"guide": schedule})


def play(pipeline: RewardPipeline, env_rewards, phi, ending: str, first_step: int) -> tuple[list[float], list[float]]:
    """Return shaped rewards and shaping terms of one scripted episode, one clock tick per step."""
    visited = pipeline.visit([RewardState(info={"phi": phi[0]})], first_step)
    shaped, terms = [], []
    for t, reward in enumerate(env_rewards):
        last = t == len(env_rewards) - 1
        transition = Transition(
            env_reward=reward,
            terminated=last and ending == "terminated",
            truncated=last and ending == "truncated",
            info={"phi": phi[t + 1]},
            previous_info={"phi": phi[t]},
            step=first_step + t,
        )
        batch = pipeline.compute([transition], first_step + t, visited)
        visited = batch.visited
        shaped.append(batch.total[0])
        terms.append(batch.potential[0])
    return shaped, terms


def discounted(values, gamma: float) -> float:
    return float(sum(value * gamma**t for t, value in enumerate(values)))


@given(episode=episodes, gamma=gammas, schedule=schedules(), first=st.integers(0, 20))
@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_shaping_telescopes(ending, episode, gamma, schedule, first):
    env_rewards, phi = episode
    pipeline = shaping_pipeline(gamma, schedule)
    _, terms = play(pipeline, env_rewards, phi, ending, first)
    length = len(env_rewards)
    # A state carries the weight of the clock at which it was visited.
    arrival = schedule(first + length - 1)
    kept = gamma**length * arrival * phi[-1] if ending == "truncated" else 0.0
    assert discounted(terms, gamma) == pytest.approx(kept - schedule(first) * phi[0], abs=1e-9)


@given(one=episodes, other=episodes, start=potentials, gamma=gammas, schedule=schedules())
def test_two_ways_from_the_same_start_keep_their_difference(one, other, start, gamma, schedule):
    pipeline = shaping_pipeline(gamma, schedule)
    differences = []
    for env_rewards, phi in (one, other):
        shaped, _ = play(pipeline, env_rewards, [start, *phi[1:]], "terminated", 3)
        differences.append(discounted(shaped, gamma) - discounted(env_rewards, gamma))
    assert differences[0] == pytest.approx(differences[1], abs=1e-9)


def wrong_variants(phi, gamma, weights):
    """Shaping terms as they are often written, on a terminated episode; each breaks the sum."""
    length = len(phi) - 1
    ends = [*phi[1:-1], 0.0]
    return {
        "terminal potential kept": [gamma * phi[t + 1] - phi[t] for t in range(length)],
        "weight outside": [weights[t] * (gamma * ends[t] - phi[t]) for t in range(length)],
        "clipped": [float(np.clip(gamma * ends[t] - phi[t], -1.0, 1.0)) for t in range(length)],
        "evaluated again": [gamma * ends[t] - 1.5 * phi[t] for t in range(length)],
    }


@pytest.mark.parametrize("wrong", ["terminal potential kept", "weight outside", "clipped", "evaluated again"])
def test_the_usual_mistakes_do_not_telescope(wrong):
    phi, gamma, weights = [0.5, -1.0, 2.0, 1.5], 0.9, [1.0, 0.6, 0.2]
    total = discounted(wrong_variants(phi, gamma, weights)[wrong], gamma)
    assert abs(total - -phi[0]) > 0.1


def test_a_stale_weight_is_used_for_the_state_that_was_visited_with_it():
    """The clock may jump in mid-episode (a trainer sets it): what was cached at the visit is what is subtracted."""
    calls = []

    class Halving:
        def __call__(self, step: int) -> float:
            calls.append(step)
            return 1.0 / (1 + step)

    pipeline = shaping_pipeline(1.0, Halving())
    visited = pipeline.visit([RewardState(info={"phi": 2.0})], 0)
    batch = pipeline.compute([Transition(info={"phi": 3.0})], 9, visited)
    assert batch.potential[0] == pytest.approx(0.1 * 3.0 - 1.0 * 2.0)


@given(phi=potentials, after=potentials, gamma=gammas, step=st.integers(0, 100))
def test_without_a_cache_the_transition_itself_says_what_came_before(phi, after, gamma, step):
    pipeline = shaping_pipeline(gamma, lambda t: 1.0 + t)
    transition = Transition(info={"phi": after}, previous_info={"phi": phi}, step=step)
    cached = pipeline.compute([transition], step, pipeline.visit([transition.state_before()], step))
    assert pipeline.compute([transition], step).total[0] == pytest.approx(cached.total[0], abs=1e-12)


def test_the_columns_say_phi_weight_and_contribution():
    pipeline = shaping_pipeline(0.5, lambda t: 2.0)
    batch = pipeline.compute([Transition(info={"phi": 3.0}, previous_info={"phi": 1.0}, env_reward=0.25)], 0)
    column = batch.names.index("guide")
    assert (batch.raw[0, column], batch.weights[column]) == (3.0, 2.0)
    assert batch.contributions[0, column] == batch.potential[0] == 0.5 * 2.0 * 3.0 - 2.0 * 1.0
    assert batch.total[0] == pytest.approx(0.25 + batch.potential[0])


def test_terminated_states_are_worth_nothing_and_their_potential_is_not_even_asked():
    asked = []

    @register_potential("counts_questions")
    class CountsQuestions(Potential):
        def __call__(self, state: RewardState) -> float:
            asked.append(state)
            return 1.0

    pipeline = RewardPipeline({"guide": LLMPotentialBasedReward("counts_questions")})
    visited = pipeline.visit([RewardState()], 0)
    batch = pipeline.compute([Transition(terminated=True)], 0, visited)
    assert len(asked) == 1
    assert (batch.raw[0, 0], batch.total[0]) == (0.0, -1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_potential_must_be_finite(value):
    pipeline = shaping_pipeline(1.0, lambda t: 1.0)
    with pytest.raises(ComponentError, match="'guide' returned NaN or infinity"):
        pipeline.visit([RewardState(info={"phi": value})], 0)


def test_a_missing_key_names_the_potential_and_what_there_is():
    pipeline = shaping_pipeline(1.0, lambda t: 1.0)
    with pytest.raises(ComponentError, match=r"'guide' failed.*no 'phi'.*it has other"):
        pipeline.visit([RewardState(info={"other": 1.0})], 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"potential_function": "progres"}, "did you mean 'progress'"),
        ({"potential_function": "info"}, "info_key"),
        ({"potential_function": "progress", "gamma": 1.5}, r"\[0, 1\]"),
    ],
)
def test_wrong_terms_are_refused(arguments, message):
    with pytest.raises(ConfigError, match=message):
        LLMPotentialBasedReward(**arguments)


def test_shipped_potentials_read_info():
    state = RewardState(info={"progress": 0.25, "difficulty": 0.5})
    assert ProgressPotential(scale=2.0)(state) == 0.5
    assert InfoPotential("difficulty", scale=-1.0)(state) == -0.5
