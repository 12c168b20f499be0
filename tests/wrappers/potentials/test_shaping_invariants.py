"""What potential shaping promises, as identities that hold to 1e-9 and that every usual mistake breaks.

Each check measures how far an identity is off. Hypothesis holds the library to 0; the mistakes, played through the
same pipeline and measured by the same checks, must show.
"""

from typing import get_args

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from reward_strategies import EVERY_KIND, REACTIVE_KINDS, gammas, potentials, rewards, schedule_params, schedules
from shaping import (
    MISTAKES,
    RIGHT,
    Played,
    Script,
    discounted,
    gae_violation,
    info_pipeline,
    library_gae,
    play,
    random_script,
    return_difference_violation,
    scripts,
    slow_gae,
    telescoping_violation,
)

from rlenvs.agents.llm.rollout.batch import Episode, collate
from rlenvs.wrappers import (
    ConstantSchedule,
    EnvReward,
    InfoPotential,
    LinearSchedule,
    RewardPipeline,
    RewardState,
    Transition,
    VectorShapedReward,
)
from rlenvs.wrappers.normalization.strategies import Normalization, Strategy
from rlenvs.wrappers.potentials.base import PotentialTerm
from rlenvs.wrappers.reducers import reducer_registry
from rlenvs.wrappers.schedules.registry import SCHEDULES

EXACT = 1e-9
VISIBLE = 0.5
EPISODES = 200
GAMMA = 0.9
lambdas = st.sampled_from([0.0, 0.5, 0.95, 1.0])
decay = LinearSchedule(2.0, 0.2, 12)


# --- I1: telescoping ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("kind", EVERY_KIND)
def test_shaping_telescopes_for_every_schedule_and_both_endings(kind, ending):
    @settings(deadline=None, max_examples=40)
    @given(script=scripts(endings=[ending]), gamma=gammas, schedule=schedules([kind]))
    def holds(script, gamma, schedule):
        assert telescoping_violation(play(script, gamma, schedule)) < EXACT

    holds()


def shaped_vector_env(scripted, kind, params, mode, ending, plays):
    guide = {
        "class": "LLMPotentialBasedReward",
        "params": {"potential_function": "info", "gamma": GAMMA, "potential_params": {"info_key": "phi"}},
    }
    config = {
        "reward_components": {"env": {"class": "EnvReward"}, "guide": guide},
        "reward_shaping": {"guide": {"decay_schedule": kind, **params}},
    }
    makers = [lambda p=p: scripted(*p, ending) for p in plays]
    return VectorShapedReward(SyncVectorEnv(makers, autoreset_mode=mode), config)


def played_episodes(envs, mode, plays, ending, steps):
    """Step a vector environment and return every whole episode with its weights as `infos` told them."""
    guide = envs.pipeline.names.index("guide")

    def begin(row):
        weight = float(envs.pipeline.weights(envs.clock.step)[guide])
        return {"terms": [], "potentials": [weight * plays[row][1][0]]}

    envs.reset()
    running = [begin(row) for row in range(envs.num_envs)]
    over = np.zeros(envs.num_envs, dtype=bool)
    whole = []
    for _ in range(steps):
        if mode is AutoresetMode.DISABLED and over.any():
            envs.reset(options={"reset_mask": over})
            for row in np.flatnonzero(over):
                running[row] = begin(row)
        _, _, terminated, truncated, infos = envs.step(np.zeros(envs.num_envs, dtype=int))
        resetting = over if mode is AutoresetMode.NEXT_STEP else np.zeros_like(over)
        over = terminated | truncated
        for row in range(envs.num_envs):
            if resetting[row]:
                running[row] = begin(row)
                continue
            episode, (row_rewards, phi) = running[row], plays[row]
            episode["terms"].append(float(infos["reward_potential"][row]))
            arrived = float(infos["reward_weights"][row, guide]) * phi[len(episode["terms"])]
            episode["potentials"].append(0.0 if terminated[row] else arrived)
            if over[row]:
                whole.append(Played(GAMMA, row_rewards, **episode, terminated=ending == "terminated"))
                if mode is AutoresetMode.SAME_STEP:
                    running[row] = begin(row)
    return whole


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("mode", list(AutoresetMode))
# A multiplier is refused on a potential, whose mean has no target; the pipeline alone has been asked above.
@pytest.mark.parametrize("kind", [kind for kind in EVERY_KIND if kind != "lagrangian"])
def test_every_autoreset_mode_telescopes_over_many_episodes(scripted, kind, mode, ending):
    @settings(deadline=None, max_examples=5)
    @given(params=schedule_params(kind), seed=st.integers(0, 10**6))
    def holds(params, seed):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(1, 5, size=3)
        plays = [(rng.normal(size=n).tolist(), rng.uniform(-5, 5, size=n + 1).tolist()) for n in lengths]
        envs = shaped_vector_env(scripted, kind, params, mode, ending, plays)
        episodes = played_episodes(envs, mode, plays, ending, 12)
        assert len(episodes) >= 6
        assert max(map(telescoping_violation, episodes)) < EXACT

    holds()


def test_a_previous_potential_of_the_episode_before_would_show(scripted):
    """What goes wrong at an autoreset: the first state of an episode is worth what the last one of the other was."""
    plays = [([0.0, 0.0], [1.0, 2.0, 4.0])]
    envs = shaped_vector_env(scripted, "constant", {"initial_weight": 1.0}, AutoresetMode.SAME_STEP, "truncated", plays)
    first, second = played_episodes(envs, AutoresetMode.SAME_STEP, plays, "truncated", 4)
    carried = [second.terms[0] + 1.0 - 4.0, *second.terms[1:]]
    assert telescoping_violation(first) < EXACT
    assert telescoping_violation(second) < EXACT
    assert telescoping_violation(Played(GAMMA, second.rewards, carried, second.potentials, False)) > VISIBLE


# --- I2: differences of returns ----------------------------------------------------------------------------------


@settings(deadline=None)
@given(one=scripts(endings=["terminated"]), other=scripts(endings=["terminated"]), gamma=gammas, kind=st.sampled_from(EVERY_KIND), data=st.data())  # fmt: skip
def test_terminated_episodes_from_one_start_keep_their_difference_of_returns(one, other, gamma, kind, data):
    params = data.draw(schedule_params(kind))
    start = (one.clocks[0], one.phi[0], one.drift[0])
    other = Script(
        other.rewards,
        [start[1], *other.phi[1:]],
        "terminated",
        (start[0], *(start[0] + clock for clock in other.clocks[1:])),
        (start[2], *other.drift[1:]),
    )
    first, second = (play(script, gamma, SCHEDULES[kind](**params)) for script in (one, other))
    assert return_difference_violation(first, second) < EXACT


# --- I3: advantages ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gae", [library_gae, slow_gae])
@pytest.mark.parametrize("ending", ["terminated", "truncated"])
def test_shaping_changes_no_advantage_once_the_value_knows_the_potential(ending, gae):
    @settings(deadline=None)
    @given(script=scripts(endings=[ending]), gamma=gammas, lam=lambdas, schedule=schedules(EVERY_KIND), data=st.data())
    def holds(script, gamma, lam, schedule, data):
        values = data.draw(st.lists(potentials, min_size=script.steps, max_size=script.steps))
        bootstrap = data.draw(potentials)
        assert gae_violation(play(script, gamma, schedule), values, bootstrap, lam, gae) < EXACT

    holds()


@given(script=scripts(), gamma=gammas, lam=lambdas, data=st.data())
@settings(deadline=None)
def test_both_algorithms_for_advantages_agree(script, gamma, lam, data):
    values = data.draw(st.lists(potentials, min_size=script.steps, max_size=script.steps))
    found = [gae(script.rewards, values, 1.5, gamma, lam) for gae in (library_gae, slow_gae)]
    np.testing.assert_allclose(*found, atol=EXACT)


@given(script=scripts(endings=["terminated"]), gamma=gammas)
@settings(deadline=None)
def test_a_critic_that_starts_at_minus_phi_learns_what_it_would_have_learned(script, gamma):
    """Shaping is an initial value (Wiewiora 2003): TD errors from V = 0 with r are those from V = -Phi with r + F."""
    played = play(script, gamma, ConstantSchedule(1.0))
    zeros = [0.0] * (script.steps + 1)
    plain = [r + gamma * zeros[t + 1] - zeros[t] for t, r in enumerate(script.rewards)]
    phi = played.potentials
    shaped = [r - gamma * phi[t + 1] + phi[t] for t, r in enumerate(played.shaped)]
    np.testing.assert_allclose(shaped, plain, atol=EXACT)


# --- the mistakes against I1, I2 and I3 --------------------------------------------------------------------------


def worst_telescoping(mistake, ending, rng):
    return telescoping_violation(play(random_script(rng, ending), GAMMA, decay, mistake))


def worst_difference(mistake, ending, rng):
    one, other = (play(random_script(rng, ending, first=2, start=1.5), GAMMA, decay, mistake) for _ in range(2))
    return return_difference_violation(one, other)


def worst_advantage(mistake, ending, rng):
    played = play(random_script(rng, ending), GAMMA, decay, mistake)
    return gae_violation(played, rng.normal(size=len(played.terms)), rng.normal(), 0.95, library_gae)


CHECKS = {"I1 sum": worst_telescoping, "I2 difference": worst_difference, "I3 advantages": worst_advantage}
CAUGHT = [
    (mistake, ending, check)
    for mistake in MISTAKES
    for ending in ("terminated", "truncated")
    for check in CHECKS
    # A mistake about one ending shows in that ending alone, and I2 is a statement about terminated episodes.
    if not (mistake == "terminal potential kept" and ending == "truncated")
    and not (mistake == "truncation paid as an end" and ending == "terminated")
    and not (check == "I2 difference" and ending == "truncated")
]


def worst(mistake, ending, check):
    rng = np.random.default_rng(7)
    return max(CHECKS[check](mistake, ending, rng) for _ in range(EPISODES // 4))


@pytest.mark.parametrize(("mistake", "ending", "check"), CAUGHT)
def test_every_usual_mistake_is_caught(mistake, ending, check):
    assert worst(mistake, ending, check) > VISIBLE, MISTAKES[mistake]


@pytest.mark.parametrize("ending", ["terminated", "truncated"])
@pytest.mark.parametrize("check", CHECKS)
def test_the_same_search_finds_nothing_in_what_is_right(check, ending):
    if check == "I2 difference" and ending == "truncated":
        assert worst(RIGHT, ending, check) > VISIBLE  # it is no law there: the last states are worth something
    else:
        assert worst(RIGHT, ending, check) < EXACT


# --- I5: potentials that move ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(script=scripts(), gamma=gammas, schedule=schedules())
def test_a_potential_may_move_because_its_values_are_kept_from_the_visit(script, gamma, schedule):
    assert telescoping_violation(play(script, gamma, schedule)) < EXACT


def test_evaluating_a_moving_potential_again_is_off_by_what_it_moved():
    script = Script([0.0, 0.0], [1.0, 2.0, 3.0], "truncated", drift=(1.0, 2.0, 4.0))
    stale = play(script, 1.0, ConstantSchedule(1.0), "evaluated again")
    # Both states that are left were worth twice as much a moment later: 1 * (2 - 1) and 2 * (4 - 2).
    assert telescoping_violation(stale) == pytest.approx(1.0 + 4.0, abs=EXACT)
    assert telescoping_violation(play(script, 1.0, ConstantSchedule(1.0))) < EXACT


@pytest.mark.parametrize("kind", REACTIVE_KINDS)
def test_a_schedule_that_watches_the_run_is_kept_from_the_visit_too(kind):
    """Its weight moves between a visit and the next step, for no clock at all."""

    @settings(deadline=None, max_examples=50)
    @given(params=schedule_params(kind), script=scripts(max_steps=8))
    def holds(params, script):
        assert telescoping_violation(play(script, GAMMA, SCHEDULES[kind](**params))) < EXACT

    holds()


# --- I6: weight inside or outside --------------------------------------------------------------------------------


@settings(deadline=None)
@given(script=scripts(), gamma=gammas, kind=st.sampled_from(EVERY_KIND), data=st.data())
def test_a_weight_outside_leaves_exactly_this_residual(script, gamma, kind, data):
    """sum g^t w_t F_t = -w_0 Phi_0 + g^T w_{T-1} Phi_T + sum_{t>=1} g^t (w_{t-1} - w_t) Phi_t."""
    script = Script(script.rewards, script.phi, script.ending, script.clocks)
    schedule = SCHEDULES[kind](**data.draw(schedule_params(kind)))
    outside = play(script, gamma, schedule, "weight outside")
    # Without the pipeline to watch, a reactive schedule keeps its first weight.
    weights = [schedule(script.clock(t)) for t in range(script.steps)]
    phi = [*script.phi[:-1], 0.0 if script.ending == "terminated" else script.phi[-1]]
    residual = sum(gamma**t * (weights[t - 1] - weights[t]) * phi[t] for t in range(1, script.steps))
    ends = -weights[0] * phi[0] + gamma**script.steps * weights[-1] * phi[-1]
    assert discounted(outside.terms, gamma) == pytest.approx(ends + residual, abs=EXACT)


def test_the_residual_can_be_farmed():
    """Dwelling at a high potential while the weight falls is paid when the weight is outside, and not when inside."""
    dwell = Script([0.0] * 12, [0.0, *[5.0] * 11, 0.0], "terminated")
    schedule = LinearSchedule(1.0, 0.0, 11)
    outside = discounted(play(dwell, 1.0, schedule, "weight outside").terms, 1.0)
    inside = discounted(play(dwell, 1.0, schedule).terms, 1.0)
    assert inside == pytest.approx(0.0, abs=EXACT)
    assert outside == pytest.approx(5.0 * (1.0 - 0.0), abs=EXACT)


# --- nothing else touches a potential ---------------------------------------------------------------------------

REDUCERS = {"weighted_sum": {}, "product": {}, "minimum": {}, "gate": {"gate": "env"}, "hybrid": {"model": ["env"]}}
STRATEGIES = [strategy for strategy in get_args(Strategy) if strategy != "none"]


def stacked(reducer, strategy, shaped):
    """A pipeline that normalises and reduces, with and without a potential beside it."""
    components = {"env": EnvReward(), "again": EnvReward()}
    if shaped:
        components["guide"] = PotentialTerm(InfoPotential("phi"), GAMMA)
    normal = Normalization(strategy, warmup=1)
    return RewardPipeline(
        components,
        {"env": LinearSchedule(1.0, 0.5, 3)},
        reducer=reducer_registry.get(reducer)(**REDUCERS[reducer]),
        normalizations={"env": normal, "again": normal},
        output_normalization=normal,
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("reducer", REDUCERS)
def test_reward_and_shaping_add_up_whatever_normalises_and_reduces_the_reward(reducer, strategy):
    rng = np.random.default_rng(11)
    bare, shaped, alone = stacked(reducer, strategy, False), stacked(reducer, strategy, True), info_pipeline(GAMMA)
    for t in range(6):
        transitions = [
            Transition(
                prompt=f"task {row % 2}",
                env_reward=float(rng.normal()),
                terminated=row == 3,
                info={"phi": float(rng.normal())},
                previous_info={"phi": float(rng.normal())},
            )
            for row in range(4)
        ]
        terms = alone.compute(transitions, t).potential
        found = shaped.compute(transitions, t)
        np.testing.assert_allclose(found.potential, terms, atol=EXACT)
        np.testing.assert_allclose(found.total - terms, bare.compute(transitions, t).total, atol=EXACT)


def test_every_reducer_is_among_them():
    own = {name for name in reducer_registry.names() if reducer_registry.get(name).__module__.startswith("rlenvs.")}
    assert own == set(REDUCERS)


def test_normalising_the_shaped_reward_instead_would_show():
    """F divided by what the whole reward's spread happens to be no longer telescopes."""
    rng = np.random.default_rng(7)
    played = play(random_script(rng, "terminated"), GAMMA, decay)
    scale = np.abs(np.cumsum(played.shaped)) + 0.5
    scaled = Played(GAMMA, played.rewards, (np.array(played.terms) / scale).tolist(), played.potentials, True)
    assert telescoping_violation(played) < EXACT
    assert telescoping_violation(scaled) > VISIBLE


# --- I8: the unit of gamma ---------------------------------------------------------------------------------------


@st.composite
def conversations(draw):
    """Turns of m_k tokens, potentials between them, and how it ends."""
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    phi = draw(st.lists(potentials, min_size=len(lengths) + 1, max_size=len(lengths) + 1))
    return lengths, phi, draw(st.booleans())


def per_token(lengths, phi, gamma, terminated):
    """The definition: Phi of every token's state is that of its turn's beginning."""
    ends = [*phi[:-1], 0.0 if terminated else phi[-1]]
    terms = []
    for k, m in enumerate(lengths):
        terms += [(gamma - 1.0) * ends[k]] * (m - 1) + [gamma * ends[k + 1] - ends[k]]
    return terms


def lumped(lengths, phi, gamma, terminated):
    """The same on the last token of each turn: gamma * Phi_{k+1} - Phi_k * gamma^-(m-1)."""
    ends = [*phi[:-1], 0.0 if terminated else phi[-1]]
    terms = []
    for k, m in enumerate(lengths):
        terms += [0.0] * (m - 1) + [gamma * ends[k + 1] - ends[k] * gamma ** (1 - m)]
    return terms


def once_per_turn(lengths, phi, gamma, terminated):
    """The mistake: gamma * Phi_{k+1} - Phi_k on the last token, whatever the number of tokens."""
    ends = [*phi[:-1], 0.0 if terminated else phi[-1]]
    terms = []
    for k, m in enumerate(lengths):
        terms += [0.0] * (m - 1) + [gamma * ends[k + 1] - ends[k]]
    return terms


def token_sum_violation(terms, lengths, phi, gamma, terminated):
    """How far sum_i gamma^i F_i over all tokens is from gamma^N Phi_K - Phi_0; and so from every turn's first token."""
    ends = [*phi[:-1], 0.0 if terminated else phi[-1]]
    starts = np.concatenate([[0], np.cumsum(lengths)]).tolist()
    return max(
        abs(discounted(terms[start:], gamma) - (gamma ** (starts[-1] - start) * ends[-1] - ends[k]))
        for k, start in enumerate(starts[:-1])
    )


token_gammas = st.sampled_from([1.0, 0.99, 0.9, 0.7])


@given(conversation=conversations(), gamma=token_gammas)
def test_a_potential_of_turns_is_paid_per_token_or_in_one_lump(conversation, gamma):
    lengths, phi, terminated = conversation
    for form in (per_token, lumped):
        terms = form(lengths, phi, gamma, terminated)
        assert token_sum_violation(terms, lengths, phi, gamma, terminated) < EXACT


def test_discounting_once_per_turn_is_off_by_what_the_tokens_discount():
    lengths, phi, gamma = [5], [2.0, 3.0], 0.9
    off = token_sum_violation(once_per_turn(lengths, phi, gamma, False), lengths, phi, gamma, False)
    # The lump lies m - 1 tokens late, so that -Phi_0 has shrunk on its way to the turn's first token.
    assert off == pytest.approx((1.0 - gamma**4) * 2.0, abs=EXACT)
    assert token_sum_violation(once_per_turn([1, 1], [2.0, 3.0, 1.0], gamma, False), [1, 1], [2.0, 3.0, 1.0], gamma, False) < EXACT  # fmt: skip


def pay_tokens(pipeline, lengths, phi, terminated):
    """Play token by token; inside a message `info` holds a number that a potential of turns must not read."""
    visited, terms, clock = pipeline.visit([RewardState(info={"phi": phi[0]})], 0), [], 0
    for k, m in enumerate(lengths):
        for token in range(m):
            ended = token == m - 1
            info = {"phi": phi[k + 1], "response": "done"} if ended else {"phi": 1e6}
            last = ended and k == len(lengths) - 1
            step = Transition(action=7, info=info, terminated=last and terminated, truncated=last and not terminated)
            batch = pipeline.compute([step], clock, visited)
            visited, clock = batch.visited, clock + 1
            terms.append(float(batch.potential[0]))
    return terms


def pay_turns(pipeline, lengths, phi, terminated):
    """Play message by message; each term stands on the message's last token."""
    visited, terms = pipeline.visit([RewardState(info={"phi": phi[0]})], 0), []
    for k, m in enumerate(lengths):
        last = k == len(lengths) - 1
        info = {"phi": phi[k + 1], "response_tokens": m}
        step = Transition(action="text", info=info, terminated=last and terminated, truncated=last and not terminated)
        batch = pipeline.compute([step], k, visited)
        visited = batch.visited
        terms += [0.0] * (m - 1) + [float(batch.potential[0])]
    return terms


@settings(deadline=None)
@given(conversation=conversations(), gamma=token_gammas)
def test_level_turn_pays_every_token(conversation, gamma):
    lengths, phi, terminated = conversation
    terms = pay_tokens(info_pipeline(gamma, level="turn"), lengths, phi, terminated)
    np.testing.assert_allclose(terms, per_token(lengths, phi, gamma, terminated), atol=EXACT)


@settings(deadline=None)
@given(conversation=conversations(), gamma=token_gammas)
def test_gamma_unit_token_pays_the_lump(conversation, gamma):
    lengths, phi, terminated = conversation
    terms = pay_turns(info_pipeline(gamma, gamma_unit="token"), lengths, phi, terminated)
    np.testing.assert_allclose(terms, lumped(lengths, phi, gamma, terminated), rtol=1e-12, atol=EXACT)
    assert token_sum_violation(terms, lengths, phi, gamma, terminated) < EXACT


@settings(deadline=None)
@given(conversation=conversations(), gamma=token_gammas, schedule=schedules())
def test_both_forms_telescope_under_every_schedule(conversation, gamma, schedule):
    lengths, phi, terminated = conversation
    count = sum(lengths)
    for clock_of_last, terms in (
        (count - 1, pay_tokens(info_pipeline(gamma, schedule, level="turn"), lengths, phi, terminated)),
        (len(lengths) - 1, pay_turns(info_pipeline(gamma, schedule, gamma_unit="token"), lengths, phi, terminated)),
    ):
        kept = 0.0 if terminated else gamma**count * schedule(clock_of_last) * phi[-1]
        assert discounted(terms, gamma) == pytest.approx(kept - schedule(0) * phi[0], abs=EXACT)


def test_the_wrong_unit_shows_in_the_pipeline():
    lengths, phi, gamma = [6, 4], [2.0, -3.0, 1.0], 0.9
    right = pay_turns(info_pipeline(gamma, gamma_unit="token"), lengths, phi, False)
    wrong = pay_turns(info_pipeline(gamma), lengths, phi, False)
    assert token_sum_violation(right, lengths, phi, gamma, False) < EXACT
    assert token_sum_violation(wrong, lengths, phi, gamma, False) > VISIBLE
    np.testing.assert_allclose(wrong, once_per_turn(lengths, phi, gamma, False), atol=EXACT)


@settings(deadline=None)
@given(conversation=conversations(), gamma=token_gammas, lam=lambdas, seed=st.integers(0, 10**6))
def test_at_token_level_the_advantages_stay_too(conversation, gamma, lam, seed):
    lengths, phi, terminated = conversation
    rng = np.random.default_rng(seed)
    terms = pay_tokens(info_pipeline(gamma, level="turn"), lengths, phi, terminated)
    count = sum(lengths)
    states = [phi[k] for k, m in enumerate(lengths) for _ in range(m)] + [0.0 if terminated else phi[-1]]
    played = Played(gamma, rng.normal(size=count).tolist(), terms, states, terminated)
    assert gae_violation(played, rng.normal(size=count), rng.normal(), lam, library_gae) < EXACT


# --- I10: group-centred advantages -------------------------------------------------------------------------------


def group_violation(episodes):
    """How much shaping changes the group-centred returns of one prompt (GRPO, RLOO), undiscounted."""
    raw = np.array([sum(played.rewards) for played in episodes])
    shaped = np.array([sum(played.shaped) for played in episodes])
    return float(np.abs((shaped - shaped.mean()) - (raw - raw.mean())).max())


@settings(deadline=None)
@given(group=st.lists(scripts(endings=["terminated"]), min_size=2, max_size=5), schedule=schedules())
def test_group_centred_advantages_do_not_change(group, schedule):
    start = (group[0].clocks[0], group[0].phi[0])
    group = [
        Script(s.rewards, [start[1], *s.phi[1:]], s.ending, (start[0], *(start[0] + c for c in s.clocks[1:])))
        for s in group
    ]
    episodes = [play(script, 1.0, schedule) for script in group]
    assert group_violation(episodes) < EXACT
    raw = np.array([sum(played.rewards) for played in episodes])
    shaped = np.array([sum(played.shaped) for played in episodes])
    assert np.std(shaped) == pytest.approx(np.std(raw), abs=EXACT)  # so that dividing by it changes nothing either


@pytest.mark.parametrize("wrong", ["terminal potential kept", "weight outside", "clipped", "begun at different clocks"])
def test_what_group_centring_does_not_forgive(wrong):
    rng = np.random.default_rng(3)
    mistake = wrong if wrong in MISTAKES else RIGHT
    firsts = [0, 3, 6, 9] if wrong == "begun at different clocks" else [0] * 4
    group = [random_script(rng, "terminated", first=first, start=2.0) for first in firsts]
    assert group_violation([play(script, 1.0, decay, mistake) for script in group]) > VISIBLE
    assert group_violation([play(Script(s.rewards, s.phi, s.ending), 1.0, decay) for s in group]) < EXACT


# --- I11: masks --------------------------------------------------------------------------------------------------


def credited(lengths, feedback, turn_rewards, terminated=True):
    episode = Episode(ids=[1, 2, 3], action=[False] * 3, terminated=terminated)
    for m, between, reward in zip(lengths, feedback, turn_rewards, strict=True):
        episode.add_message([5] * m, [-1.0] * m)
        episode.credit(reward)
        episode.add_feedback([9] * between)
    return episode


@st.composite
def turns_and_feedback(draw):
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    count = len(lengths)
    gaps = st.lists(st.integers(0, 6), min_size=count, max_size=count)
    return lengths, draw(gaps), draw(gaps), draw(st.lists(rewards, min_size=count, max_size=count))


@settings(deadline=None)
@given(turns=turns_and_feedback(), gamma=gammas, schedule=schedules())
def test_every_term_is_credited_to_an_action_token_and_none_is_lost(turns, gamma, schedule):
    """The sum of what the tokens are paid is the sum of what was given; inserted feedback changes nothing."""
    import torch

    lengths, feedback, other_feedback, env_rewards = turns
    phi = np.random.default_rng(len(lengths)).uniform(-5, 5, size=len(lengths) + 1).tolist()
    played = play(Script(env_rewards, phi), gamma, schedule)
    episode, other = (credited(lengths, gaps, played.shaped) for gaps in (feedback, other_feedback))
    assert sum(reward for _, reward in episode.turn_rewards) == pytest.approx(sum(played.shaped), abs=EXACT)
    batch, other_batch = (collate([e], 0, torch.device("cpu")) for e in (episode, other))
    assert torch.equal(batch.turn_rewards_BA, other_batch.turn_rewards_BA)
    assert not batch.turn_rewards_BA[~batch.mask_BA].any()
    assert batch.turn_rewards_BA.sum().item() == pytest.approx(sum(played.shaped), abs=1e-4)  # float32
    last = np.cumsum(lengths) - 1
    np.testing.assert_allclose(batch.turn_rewards_BA[0, last].numpy(), played.shaped, rtol=1e-6, atol=1e-6)


def test_a_reward_on_a_masked_token_is_a_reward_lost():
    """What some trainers do: the term stands on the token before the next message, which is feedback."""
    lengths, feedback, terms = [2, 3], [4, 0], [1.5, -0.5]
    ids = sum(lengths) + sum(feedback)
    on_position, mask = np.zeros(ids), np.array([True] * 2 + [False] * 4 + [True] * 3)
    on_position[lengths[0] + feedback[0] - 1], on_position[-1] = terms
    assert abs(on_position[mask].sum() - sum(terms)) == 1.5
    episode = credited(lengths, feedback, terms)
    assert sum(reward for _, reward in episode.turn_rewards) == sum(terms)
