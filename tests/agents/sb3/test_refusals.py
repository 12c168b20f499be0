"""Stacks that would run and mean something else are refused, each with a line that says what to do instead."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from sb3_twins import CASES, GUIDE, SUMS, single
from stable_baselines3.common.env_util import make_vec_env as make_vec_env_of_sb3
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack, VecMonitor, VecNormalize

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.sb3.refusals import check_stack, wrapper_names
from rlenvs.agents.sb3.token_level import token_level_id
from rlenvs.agents.sb3.vec_env import VectorEnvAdapter, make_vec_env
from rlenvs.errors import ConfigError, UserError, WrapperOrderError
from rlenvs.registration import ENVIRONMENTS
from rlenvs.wrappers import ShapedReward, VectorShapedReward

PLAIN = {"reward_components": {"env": {"class": "EnvReward"}}}
GUIDED = {"reward_components": {"env": {"class": "EnvReward"}, "guide": GUIDE}}
MOVING = {**PLAIN, "reward_shaping": {"env": {"decay_schedule": "linear", "decay_steps": 10}}}
BY_TOKENS = {
    "reward_components": {"guide": {**GUIDE, "params": {**GUIDE["params"], "gamma_unit": "token"}}},
}


def dummy(wrap, count=1):
    return DummyVecEnv([lambda: wrap(gym.make(SUMS, digits=1))] * count)


class Doubled(gym.RewardWrapper):
    """Somebody's own."""

    def reward(self, reward):
        return 2 * reward


# --- the level ---------------------------------------------------------------------------------------------------

TURN_LEVEL = [row.id for row in ENVIRONMENTS if row.level == "turn"]


@pytest.mark.parametrize("env_id", TURN_LEVEL)
def test_each_id_of_the_turn_level_names_its_twin(env_id):
    twin = token_level_id(env_id)
    assert {row.id: row.level for row in ENVIRONMENTS}[twin] == "token"
    ours, theirs = (next(row for row in ENVIRONMENTS if row.id == name) for name in (env_id, twin))
    assert (ours.source, ours.protocol, ours.grader) == (theirs.source, theirs.protocol, theirs.grader)


@pytest.mark.parametrize(
    "call",
    [
        lambda: make_vec_env("rlenvs/Arithmetic-v0", 2),
        lambda: make_vec_env("rlenvs:rlenvs/Arithmetic-v0", 2),
        lambda: check_stack("rlenvs/Arithmetic-v0"),
        lambda: check_stack(gym.make("rlenvs/Arithmetic-v0")),
        lambda: check_stack(ShapedReward(gym.make("rlenvs/Arithmetic-v0"), PLAIN)),
        lambda: check_stack(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2)),
        lambda: VectorEnvAdapter(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2)),
        lambda: VectorEnvAdapter(VectorShapedReward(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=2), PLAIN)),
    ],
)
def test_the_turn_level_is_refused_by_the_name_of_the_token_level(call):
    message = "Arithmetic-v0 acts in whole messages, and Stable-Baselines3 in token ids: use rlenvs/ArithmeticTokens-v0"
    with pytest.raises(UserError, match=message):
        call()


def test_environments_without_a_name_are_told_what_to_do():
    with pytest.raises(UserError, match=r"in token ids \(Discrete\), this environment in UnicodeText: .*TokenEnv"):
        check_stack(gym.make("rlenvs/Arithmetic-v0").unwrapped.__class__())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: VectorEnvAdapter(gym.make(SUMS)), "adapts a vector environment, this is .*make_vec_env"),
        (lambda: VectorEnvAdapter(make_vec_env(SUMS, 1)), "VectorEnvAdapter is a VecEnv of Stable-Baselines3 already"),
        (lambda: make_vec_env("rlenvs/ArithmeticTokns-v0"), "environment 'rlenvs/ArithmeticTokns-v0': .*"),
        (lambda: make_vec_env(SUMS, 2, {"digts": 1}), "unknown parameter 'digts'; did you mean 'digits'"),
        (lambda: make_vec_env(SUMS, 0), "num_envs"),
        (lambda: make_vec_env(SUMS, 1, rewards={"reward_component": {}}), "reward_component"),
        (
            lambda: VectorEnvAdapter(SyncVectorEnv([lambda: gym.make(SUMS)], autoreset_mode=AutoresetMode.NEXT_STEP)),
            "autoreset mode NEXT_STEP",
        ),
    ],
)
def test_what_cannot_be_adapted_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call()


# --- the order of wrappers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: make_vec_env(SUMS, 2), lambda: dummy(lambda env: env)])
@pytest.mark.parametrize("wrapper", [ShapedReward, VectorShapedReward])
def test_rewards_around_a_vec_env_are_refused(make, wrapper):
    with pytest.raises(WrapperOrderError, match="is a VecEnv of Stable-Baselines3, and rewards go inside it"):
        wrapper(make(), PLAIN)


def sb3_stack(wrapper, kwargs):
    return make_vec_env_of_sb3(SUMS, 1, env_kwargs={"render_mode": None}, wrapper_class=wrapper, wrapper_kwargs=kwargs)


REFUSED = {
    "Monitor outside": (lambda: Monitor(ShapedReward(gym.make(SUMS), PLAIN)), "^Monitor is outside the reward layer"),
    "Monitor outside, vectorised": (
        lambda: dummy(lambda env: Monitor(ShapedReward(env, PLAIN))),
        "put Monitor inside: make_vec_env",
    ),
    "make_vec_env around a stack": (
        lambda: make_vec_env_of_sb3(lambda: ShapedReward(gym.make(SUMS), PLAIN)),
        "^Monitor is outside the reward layer",
    ),
    "VecMonitor": (
        lambda: vec_monitored(dummy(lambda env: ShapedReward(env, PLAIN))),
        "^VecMonitor is outside the reward layer",
    ),
    "VecMonitor around the adapter": (
        lambda: vec_monitored(make_vec_env(SUMS, 2, rewards=PLAIN)),
        "^VecMonitor is outside the reward layer",
    ),
    "VecNormalize around a potential": (
        lambda: VecNormalize(make_vec_env(SUMS, 2, rewards=GUIDED), norm_obs=False),
        r"^VecNormalize\(norm_reward=True\) is outside the potential 'guide'.*composer_settings",
    ),
    "VecNormalize further out": (
        lambda: VecFrameStack(VecNormalize(dummy(lambda env: ShapedReward(env, GUIDED)), norm_obs=False), 2),
        r"^VecNormalize\(norm_reward=True\) is outside the potential 'guide'",
    ),
    "Gymnasium's NormalizeReward": (
        lambda: gym.wrappers.NormalizeReward(ShapedReward(gym.make(SUMS), GUIDED)),
        "^NormalizeReward is outside the potential 'guide'",
    ),
    "a RewardWrapper of one's own": (
        lambda: dummy(lambda env: Doubled(ShapedReward(env, GUIDED))),
        "^Doubled is outside the potential 'guide'",
    ),
    "the vector form of one": (
        lambda: VectorEnvAdapter(
            gym.wrappers.vector.ClipReward(VectorShapedReward(gym.make_vec(SUMS, num_envs=2), GUIDED), -1, 1)
        ),
        "^ClipReward is outside the potential 'guide'",
    ),
    "VecNormalize on ids": (
        lambda: VecNormalize(make_vec_env(SUMS, 2), norm_reward=False),
        r"^VecNormalize\(norm_obs=True\) scales token ids",
    ),
}


def vec_monitored(envs):
    if isinstance(envs, VectorEnvAdapter):
        with pytest.warns(UserWarning, match="already wrapped"):
            return VecMonitor(envs)
    return VecMonitor(envs)


@pytest.mark.parametrize("case", REFUSED)
def test_an_order_that_would_be_ignored_is_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(WrapperOrderError, match=message):
        check_stack(make())


ACCEPTED = {
    "an id": lambda: SUMS,
    "bare": lambda: gym.make(SUMS),
    "bare under Monitor": lambda: Monitor(gym.make(SUMS)),
    "Monitor inside": lambda: ShapedReward(Monitor(gym.make(SUMS)), GUIDED),
    "as make_vec_env does it": lambda: sb3_stack(ShapedReward, {"config": GUIDED}),
    "the adapter": lambda: make_vec_env(SUMS, 2, rewards=GUIDED),
    "the vector form": lambda: VectorShapedReward(gym.make_vec(SUMS, num_envs=2), GUIDED),
    "one's own wrapper inside": lambda: dummy(lambda env: ShapedReward(Doubled(Monitor(env)), GUIDED)),
    "VecNormalize without a potential": lambda: VecNormalize(make_vec_env(SUMS, 2, rewards=PLAIN), norm_obs=False),
    "VecNormalize that does nothing": lambda: VecNormalize(
        make_vec_env(SUMS, 2, rewards=GUIDED), norm_obs=False, norm_reward=False
    ),
    "VecMonitor on the bare task": lambda: VecMonitor(dummy(lambda env: env)),
    "another environment": lambda: gym.make("CartPole-v1"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_orders_that_mean_what_they_say_pass(case):
    check_stack(ACCEPTED[case](), gamma=0.9)


# --- gamma and the clock -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda rewards: make_vec_env(SUMS, 2, rewards=rewards),
        lambda rewards: dummy(lambda env: ShapedReward(env, rewards)),
        lambda rewards: ShapedReward(gym.make(SUMS), rewards),
        lambda rewards: VecFrameStack(make_vec_env(SUMS, 2, rewards=rewards), 2),
    ],
)
def test_a_potential_must_have_the_gamma_of_the_algorithm(make):
    check_stack(make(GUIDED), gamma=0.9)
    check_stack(make(GUIDED))  # no algorithm, nothing to compare
    with pytest.raises(ConfigError, match=r"potential 'guide' has gamma 0.9, the algorithm 0.99: .*optimal policy"):
        check_stack(make(GUIDED), gamma=0.99)
    with pytest.raises(ConfigError, match="gamma_unit 'token', for learners whose steps are whole messages"):
        check_stack(make(BY_TOKENS), gamma=0.9)


def test_clocks_that_count_alone_are_refused_where_there_are_several():
    several = dummy(lambda env: ShapedReward(env, MOVING), 3)
    with pytest.raises(ConfigError, match="each of the 3 environments counts only its own steps: add RewardSchedule"):
        check_stack(several)
    check_stack(several, clock_driven=True)
    check_stack(dummy(lambda env: ShapedReward(env, MOVING)))
    check_stack(dummy(lambda env: ShapedReward(env, PLAIN), 3))
    check_stack(make_vec_env(SUMS, 3, rewards=MOVING))
    several.env_method("set_global_step", 0)
    check_stack(several)


def test_what_the_clocks_of_several_environments_would_have_counted():
    """The reason for the refusal: three environments, nine steps in all, and each clock says three."""
    several, adapter = dummy(lambda env: ShapedReward(env, MOVING), 3), make_vec_env(SUMS, 3, rewards=MOVING)
    for envs in (several, adapter):
        envs.reset()
        for _ in range(3):
            envs.step(np.array([3, 3, 3]))
    assert [clock.step for clock in several.get_attr("clock")] == [3, 3, 3]
    assert adapter.layer.clock.step == 9


def test_the_names_of_wrappers_read_from_the_outside_in():
    names = wrapper_names(single(SUMS, {}, PLAIN))
    assert names[:2] == ["ShapedReward", "Monitor"]
    vectorised = dummy(lambda env: Monitor(ShapedReward(env, PLAIN)))
    assert wrapper_names(vectorised)[:2] == ["Monitor", "ShapedReward"]


@pytest.mark.slow
@pytest.mark.ci
def test_environments_in_other_processes_are_examined_too():
    env_id, kwargs = CASES["sums"]
    remote = SubprocVecEnv([lambda: Monitor(ShapedReward(gym.make(env_id, **kwargs), GUIDED))])
    try:
        with pytest.raises(WrapperOrderError, match=r"^Monitor is outside the reward layer"):
            check_stack(remote)
    finally:
        remote.close()
    remote = SubprocVecEnv([lambda: single(env_id, kwargs, GUIDED)])
    try:
        check_stack(remote, gamma=0.9)
        with pytest.raises(ConfigError, match=r"has gamma 0.9, the algorithm 0.5"):
            check_stack(remote, gamma=0.5)
        with pytest.raises(WrapperOrderError, match="VecNormalize"):
            check_stack(VecNormalize(remote, norm_obs=False))
    finally:
        remote.close()
