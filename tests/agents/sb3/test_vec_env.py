"""What the adapter adds to, and refuses of, the `VecEnv` interface."""

import warnings
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from sb3_twins import GAMMA, GUIDE, REWARDS, SUMS, dummy
from stable_baselines3.common.monitor import Monitor

from rlenvs.agents.sb3.vec_env import VectorEnvAdapter, make_vec_env
from rlenvs.envs.deferred import DeferredInfos
from rlenvs.errors import UserError, WrapperOrderError
from rlenvs.problems import ArithmeticSource
from rlenvs.wrappers import VectorComposedReward, VectorPotentialShaping, VectorScheduledReward, VectorShapedReward

EVERY_STEP = {"reward_components": {"env": {"class": "EnvReward"}, "step": {"class": "StepPenalty"}}}


def envs(num_envs=3, rewards=None, **more):
    made = make_vec_env(SUMS, num_envs, {"digits": 1}, rewards, seed=0, **more)
    made.reset()
    return made


def right_answer(adapter, row=0):
    """The tokens of the answer that a row waits for."""
    base = adapter.envs.unwrapped
    return [*base.tokenizer.encode(base.episodes[row].problem.demonstration), base.eos_id]


def answer_right(adapter):
    """Answer right in the one row; the infos and rewards of each step."""
    return [adapter.step(np.array([token])) for token in right_answer(adapter)]


def test_the_true_and_the_shaped_return_of_an_episode_by_hand():
    adapter = envs(1, {"reward_components": {"env": {"class": "EnvReward"}, "guide": GUIDE}})
    steps = answer_right(adapter)
    count = len(steps)
    progress = [place / (count - 1) for place in range(count)]  # of the demonstration; the end token adds nothing
    terms = [GAMMA * after - before for before, after in pairwise(progress)] + [-1.0]
    assert [float(step[1][0]) for step in steps] == pytest.approx([*terms[:-1], 1.0 + terms[-1]])
    entry = steps[-1][3][0]["episode"]
    assert (entry["r"], entry["l"]) == (1.0, count)
    assert entry["shaped"] == pytest.approx(1.0 + sum(terms))
    assert entry["t"] >= 0.0
    assert steps[-1][3][0]["is_success"] is True
    assert adapter.last_env_rewards.tolist() == [1.0]


def test_without_a_reward_layer_both_returns_are_one():
    entry = answer_right(envs(1))[-1][3][0]["episode"]
    assert entry["r"] == entry["shaped"] == 1.0


@pytest.mark.parametrize("rewards", [None, EVERY_STEP])
def test_nobody_writes_infos_that_nobody_reads(rewards):
    adapter = envs(16, rewards)
    rng = np.random.default_rng(0)
    ended = 0
    for _ in range(20):
        ended += adapter.step(rng.integers(1, 17, 16))[2].sum()
        assert isinstance(adapter.last_infos, DeferredInfos)
        assert adapter.last_infos.pending
    assert ended > 20
    row = int(np.flatnonzero(adapter.episode_starts)[0])
    assert "gold" in adapter.final_info(row)["task"]
    assert not adapter.last_infos.pending


def test_the_infos_of_rows_are_their_own():
    adapter = envs(3)
    infos = adapter.step(np.array([3, 3, 3]))[3]
    infos[0]["note"] = 1
    assert "note" not in infos[1]
    assert all("note" not in info for info in adapter.step(np.array([3, 3, 3]))[3])


def test_what_a_step_returned_stays_what_it_was():
    adapter = envs(4, REWARDS)
    rng = np.random.default_rng(1)
    steps = [adapter.step(rng.integers(1, 17, 4)) for _ in range(30)]
    again = envs(4, REWARDS)
    rng = np.random.default_rng(1)
    for step in steps:
        observations, rewards, dones, infos = again.step(rng.integers(1, 17, 4))
        np.testing.assert_array_equal(step[0], observations)
        np.testing.assert_array_equal(step[1], rewards)
        np.testing.assert_array_equal(step[2], dones)
        for mine, yours in zip(step[3], infos, strict=True):
            if "terminal_observation" in yours:
                np.testing.assert_array_equal(mine["terminal_observation"], yours["terminal_observation"])


def test_keywords_put_infos_into_rows():
    keys = ("response", "correct", "progress", "reward_components")
    adapter = envs(2, EVERY_STEP, info_keywords=keys)
    tokens = right_answer(adapter)
    infos = adapter.step(np.array([tokens[0], 13]))[3]
    assert infos[0]["progress"] == pytest.approx(1 / (len(tokens) - 1))
    assert "response" not in infos[0]
    assert infos[0]["reward_components"]["step"]["raw"] == pytest.approx(-0.01)
    end = adapter.envs.unwrapped.eos_id
    over = adapter.step(np.array([end, end]))[3][1]
    assert over["response"] == over["episode"]["response"] != ""
    assert over["correct"] is False
    assert over["reward_components"] == over["episode"]["reward_components"]


def test_messages_that_end_within_an_episode_are_told_to_those_who_ask():
    adapter = make_vec_env(
        "rlenvs/MathRetryTokens-v0", 2, {"max_response_tokens": 4}, info_keywords=("response", "score")
    )
    adapter.seed(0)
    adapter.reset()
    end = adapter.envs.unwrapped.eos_id
    infos = adapter.step(np.array([end, end - 1 if end > 1 else end + 1]))[3]
    assert infos[0]["score"] == 0.0
    assert "episode" not in infos[0]
    assert infos[1].keys() == {"TimeLimit.truncated"}


def test_free_texts_have_no_success():
    adapter = make_vec_env("rlenvs/TextGenerationTokens-v0", 1, seed=0)
    adapter.reset()
    info = adapter.step(np.array([adapter.envs.unwrapped.eos_id]))[3][0]
    assert info["episode"]["l"] == 1
    assert "is_success" not in info


def test_a_limit_truncates_and_an_end_does_not():
    adapter = envs(2, max_episode_steps=2)
    end = adapter.envs.unwrapped.eos_id
    first = adapter.step(np.array([3, end]))
    assert first[2].tolist() == [False, True]
    assert first[3][1]["TimeLimit.truncated"] is False
    second = adapter.step(np.array([3, 3]))
    assert second[2].tolist() == [True, False]
    assert second[3][0]["TimeLimit.truncated"] is True
    assert second[3][0]["is_success"] is False
    # As with Gymnasium's TimeLimit and `DummyVecEnv`, an end on the last step is an end.
    third = adapter.step(np.array([3, end]))
    assert third[2].tolist() == [False, True]
    assert third[3][1]["TimeLimit.truncated"] is False


def test_one_call_sets_the_clock_of_all_rows():
    adapter = envs(3, {**EVERY_STEP, "reward_shaping": {"step": {"decay_schedule": "linear", "decay_steps": 10}}})
    assert adapter.env_method("set_global_step", 5) == [None] * 3
    assert (adapter.layer.clock.step, adapter.layer.clock.driven) == (5, True)
    assert adapter.step(np.array([3, 3, 3]))[1].tolist() == pytest.approx([-0.005] * 3)
    assert envs(2).env_method("set_global_step", 5) == [None] * 2  # no rewards, no clock: nothing to set


def test_a_stack_of_layers_is_reached_through_the_outermost():
    source = gym.make_vec(SUMS, num_envs=2, digits=1)
    inner = VectorComposedReward(source, {"step": {"class": "StepPenalty", "params": {"penalty": -1.0}}})
    outer = VectorPotentialShaping(VectorScheduledReward(inner, {"step": 0.5}), "progress", gamma=GAMMA)
    adapter = VectorEnvAdapter(outer)
    assert adapter.layer is outer
    adapter.seed(0)
    adapter.reset()
    wrong = adapter.envs.unwrapped.eos_id
    infos = adapter.step(np.array([wrong, wrong]))[3]
    assert [info["episode"]["shaped"] for info in infos] == [-0.5, -0.5]
    assert [info["episode"]["r"] for info in infos] == [0.0, 0.0]
    assert adapter.layer.last_batch.names == ("step", "potential")
    assert adapter.env_is_wrapped(VectorComposedReward) == [True, True]
    assert adapter.env_is_wrapped(VectorShapedReward) == [False, False]


def test_attributes_are_found_wherever_they_are():
    adapter = envs(2, EVERY_STEP)
    assert adapter.get_attr("max_response_tokens") == [adapter.envs.unwrapped.max_response_tokens] * 2
    assert adapter.get_attr("config", indices=1) == [adapter.layer.config]
    assert adapter.get_attr("action_space") == [adapter.action_space] * 2
    assert adapter.get_attr("observation_space") == [adapter.observation_space] * 2
    assert adapter.has_attr("action_masks")
    assert not adapter.has_attr("nothing")
    assert adapter.spec.id == SUMS
    assert adapter.env_is_wrapped(Monitor) == [True, True]


def test_masks_are_dealt_out_to_rows():
    adapter = envs(3)
    masks = adapter.env_method("action_masks", indices=[2, 0])
    assert [mask.tolist() for mask in masks] == [[False, *[True] * 16]] * 2
    assert adapter.action_masks().shape == (3, 17)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e: e.set_attr("global_step", 3), r'would set it on the outermost wrapper.*env_method\("set_global_step"'),
        (lambda e: e.set_attr("clock", 3), 'call env_method\\("set_global_step", step\\)'),
        (lambda e: e.set_attr("digits", 3), "give it to make_vec_env, or call a method with env_method"),
        (lambda e: e.env_method("state_dict", indices=[0]), "rows share one environment"),
        (lambda e: e.env_method("step", 3), "rows take steps together, call step\\(\\) itself"),
        (lambda e: e.final_info(0), "no episode ended in row 0 in the last step"),
        (lambda e: (e.set_options({"problm": 1}), e.reset()), "reset option 'problm': the environments take 'problem'"),
        (lambda e: e.load_state_dict({"kind": "TokenEnv", "version": 1}), "expected kind 'VectorEnvAdapter' version 1"),
        (lambda e: envs(3, EVERY_STEP).load_state_dict(e.state_dict()), "saved with a reward layer and this has none"),
        (lambda e: envs(4).load_state_dict(e.state_dict()), "it has 3 rows, this environment 4"),
    ],
)  # fmt: skip
def test_what_would_be_ignored_is_refused(call, message):
    with pytest.raises(UserError, match=message):
        call(envs(3))


def test_methods_that_do_not_exist_are_an_attribute_error():
    with pytest.raises(AttributeError, match="have no attribute 'set_coefficient'"):
        envs(2).env_method("set_coefficient", 3)


def test_problems_can_be_given_for_one_reset():
    problems = ArithmeticSource(digits=1).problems("held_out", 2)
    adapter, theirs = envs(2), dummy(SUMS, 2, {"digits": 1})
    for each in (adapter, theirs):
        each.set_options([{"problem": problem} for problem in problems])
    np.testing.assert_array_equal(adapter.reset(), theirs.reset())
    assert [info["problem_id"] for info in adapter.reset_infos] == [problem.id for problem in problems]
    adapter.seed(4), theirs.seed(4)
    np.testing.assert_array_equal(adapter.reset(), theirs.reset())
    assert {info["split"] for info in adapter.reset_infos} == {"train"}


def test_episodes_that_begin_on_their_own_say_how():
    adapter = envs(2, EVERY_STEP)
    end = adapter.envs.unwrapped.eos_id
    before = adapter.reset_infos
    adapter.step(np.array([end, 3]))
    after = adapter.reset_infos
    assert after[1] == before[1]
    assert after[0]["task"]["question"] == adapter.envs.unwrapped.episodes[0].problem.prompt
    assert after[0].keys() == before[0].keys()
    adapter.load_state_dict(adapter.state_dict())
    assert adapter.reset_infos == [{}, {}]


def test_a_reset_begins_the_sums_anew():
    adapter = envs(1)
    adapter.step(np.array([3]))
    assert not adapter.episode_starts.any()
    adapter.reset()
    assert adapter.episode_starts.all()
    steps = answer_right(adapter)
    assert steps[-1][3][0]["episode"]["l"] == len(steps)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED])
def test_other_autoreset_modes_are_refused(mode):
    source = gym.make_vec(SUMS, num_envs=2, autoreset_mode=mode)
    with pytest.raises(WrapperOrderError, match=rf"autoreset mode {mode.name}: .* autoreset_mode='SameStep'"):
        VectorEnvAdapter(source)


def test_rendering_prints_and_pictures_are_none(capsys):
    adapter = make_vec_env(SUMS, 2, {"digits": 1, "render_mode": "human"}, seed=0)
    assert adapter.render_mode == "human"
    adapter.reset()
    capsys.readouterr()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.render()
    assert capsys.readouterr().out.count("user:") == 2
    assert adapter.get_images() == [None, None]


def test_closing_releases_the_environment_and_the_rewards():
    adapter = envs(2, EVERY_STEP)
    adapter.close()
    assert adapter.envs.closed
