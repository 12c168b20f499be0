import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs import Message, Protocol, SingleAnswer, SuiteVectorEnv, TextEnv, TextVectorEnv, Turn
from rlenvs.errors import UserError
from rlenvs.graders import Grade, grade_batch
from rlenvs.problems import ArithmeticSource, Problem

SOURCE = ArithmeticSource(digits=1, operators="+-")
TASK = {"type": "math", "question": "6*7?", "gold": "42", "extract": "whole"}
PROBLEM = Problem(id="toy:1", prompt="6*7?", task=TASK, demonstration="42")


class UntilRight(Protocol):
    """As many answers as it takes."""

    def open(self, problem: Problem) -> list[Message]:
        return SingleAnswer().open(problem)

    def respond(self, problem: Problem, turn: int, grade: Grade) -> Turn:
        return Turn("" if grade.correct else f"wrong, try {turn + 1}", grade.correct)


def equal(a, b):
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.tolist() == b.tolist()
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def row_of(infos, row):
    """The info of one environment out of collated infos."""
    return {
        key: row_of(value, row) if isinstance(value, dict) else value[row]
        for key, value in infos.items()
        if not key.startswith("_") and infos[f"_{key}"][row]
    }


def answers(rng, num_envs):
    return [str(n) for n in rng.integers(-3, 12, size=num_envs)]


@pytest.mark.parametrize("protocol", [SingleAnswer(), UntilRight()], ids=["single", "several turns"])
@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_equals_the_synchronous_vector_environment_of_gymnasium(mode, protocol):
    limit, num_envs = 3, 4

    def make_single():
        return gym.wrappers.TimeLimit(TextEnv(SOURCE, protocol=protocol), limit)

    ours = TextVectorEnv(SOURCE, num_envs, limit, mode, protocol=protocol)
    theirs = SyncVectorEnv([make_single] * num_envs, autoreset_mode=mode)
    assert equal(ours.reset(seed=5), theirs.reset(seed=5))
    rng, ends = np.random.default_rng(0), np.zeros(2, int)
    for _ in range(60):
        actions = answers(rng, num_envs)
        step = ours.step(actions)
        assert equal(step, theirs.step(tuple(actions)))
        ends += step[2].sum(), step[3].sum()
    assert ends[0] > 10
    assert (ends[1] > 10) == isinstance(protocol, UntilRight)
    assert equal(ours.reset(seed=[1, 2, 3, 4]), theirs.reset(seed=[1, 2, 3, 4]))
    assert equal(ours.reset(), theirs.reset())


class OneAnswer(SingleAnswer):
    """The same rule under another name: its episodes are played one by one."""


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_episodes_of_one_answer_are_what_they_are_one_by_one(mode):
    fast = TextVectorEnv(SOURCE, 5, 1, mode, max_response_chars=3)
    plain = TextVectorEnv(SOURCE, 5, 1, mode, max_response_chars=3, protocol=OneAnswer())
    assert type(fast.conversations) is not type(plain.conversations)
    assert equal(fast.reset(seed=3), plain.reset(seed=3))
    rng = np.random.default_rng(0)
    for _ in range(25):
        actions = [["1", "-2", "", "7 ", "1234"][pick] for pick in rng.integers(0, 5, size=5)]
        assert equal(fast.step(actions), plain.step(actions))
        assert fast.state_dict() == plain.state_dict()
        plain.load_state_dict(fast.state_dict())
        fast.load_state_dict(plain.state_dict())
        if mode == "Disabled":
            mask = np.array([True, False, True, True, False])
            assert equal(fast.reset(options={"reset_mask": mask}), plain.reset(options={"reset_mask": mask}))


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_equals_single_environments_with_the_same_seeds(mode):
    envs, singles = TextVectorEnv(SOURCE, 3, autoreset_mode=mode), [TextEnv(SOURCE) for _ in range(3)]
    observations, infos = envs.reset(seed=7)
    expected = [single.reset(seed=7 + row) for row, single in enumerate(singles)]
    assert observations == tuple(observation for observation, _ in expected)
    rng = np.random.default_rng(1)
    for _ in range(20):
        actions = answers(rng, 3)
        observations, rewards, terminated, truncated, infos = envs.step(actions)
        results = [single.step(action) for single, action in zip(singles, actions, strict=True)]
        assert rewards.tolist() == [result[1] for result in results]
        assert (terminated.all(), truncated.any()) == (True, False)
        finals = infos["final_info"] if mode == "SameStep" else infos
        assert [row_of(finals, row) for row in range(3)] == [result[4] for result in results]
        if mode == "NextStep":
            observations, *_ = envs.step(["ignored"] * 3)
        if mode == "Disabled":
            assert observations == ("", "", "")
            observations, _ = envs.reset(options={"reset_mask": np.ones(3, bool)})
        assert observations == tuple(single.reset()[0] for single in singles)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_what_a_row_draws_does_not_depend_on_the_number_of_rows(num_envs, seed):
    few, many = TextVectorEnv(SOURCE, num_envs), TextVectorEnv(SOURCE, num_envs + 3)
    assert few.reset(seed=seed)[0] == many.reset(seed=seed)[0][:num_envs]
    for _ in range(3):
        assert few.step(["1"] * num_envs)[0] == many.step(["1"] * (num_envs + 3))[0][:num_envs]


def test_one_call_of_the_grader_per_step_and_none_for_idle_rows():
    calls = []

    def counting(tasks, responses):
        calls.append(list(responses))
        return grade_batch(tasks, responses)

    envs = TextVectorEnv(SOURCE, 3, autoreset_mode="Disabled", grader=counting)
    envs.reset(seed=0)
    envs.step(["1", "2", "3"])
    envs.step(["", "", ""])
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    envs.step(["", "5", ""])
    assert calls == [["1", "2", "3"], ["5"]]


def test_disabled_rows_idle_until_they_are_reset():
    envs = TextVectorEnv(SOURCE, 3, autoreset_mode="Disabled", protocol=UntilRight())
    prompts, infos = envs.reset(seed=3)
    golds = infos["task"]["gold"]
    envs.step([golds[0], "no", golds[2]])
    observations, rewards, terminated, truncated, infos = envs.step(["", "no", "anything"])
    assert observations == ("", "wrong, try 3", "")
    assert rewards.tolist() == [0.0] * 3
    assert not terminated.any()
    assert not truncated.any()
    assert infos["_response"].tolist() == [False, True, False]
    mask = np.array([True, False, False])
    observations, infos = envs.reset(options={"reset_mask": mask})
    assert infos["_problem_id"].tolist() == mask.tolist()
    assert observations[0] not in ("", prompts[0])
    assert observations[1:] == ("wrong, try 3", "")
    observations, rewards, terminated, _, _ = envs.step(["no", golds[1], ""])
    assert observations == ("wrong, try 2", "", "")
    assert rewards.tolist() == [0.0, 1.0, 0.0]
    assert terminated.tolist() == [False, True, False]


def test_a_step_of_idle_rows_alone_does_nothing():
    envs = TextVectorEnv(SOURCE, 2, autoreset_mode="Disabled")
    envs.reset(seed=0)
    envs.step(["1", "2"])
    observations, rewards, terminated, truncated, infos = envs.step([None, 3])
    assert (observations, infos) == (("", ""), {})
    assert not rewards.any()
    assert not (terminated | truncated).any()


def test_given_problems_start_and_draw_nothing():
    envs, other = TextVectorEnv(SOURCE, 3), TextVectorEnv(SOURCE, 3)
    envs.reset(seed=0)
    first = other.reset(seed=0)[0]
    observations, infos = envs.reset(options={"problems": [PROBLEM, None, PROBLEM]})
    assert observations[0] == observations[2] == "6*7?"
    assert infos["problem_id"].tolist()[::2] == ["toy:1", "toy:1"]
    drawn = other.reset()[0]
    assert observations[1] == drawn[1] != first[1]
    # Rows 0 and 2 drew nothing: their next problems are the ones that row 0 and 2 of the other drew.
    assert envs.reset()[0][::2] == drawn[::2]


def test_a_mask_and_problems_go_together():
    envs = TextVectorEnv(SOURCE, 2, autoreset_mode="Disabled")
    before = envs.reset(seed=0)[0]
    options = {"reset_mask": np.array([False, True]), "problems": [None, PROBLEM]}
    assert envs.reset(options=options)[0] == (before[0], "6*7?")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem": PROBLEM}, "options: unknown 'problem'"),
        ({"problems": [PROBLEM]}, r"'problems' must have one entry per environment \(2\)"),
        ({"problems": "ab"}, "'problems' must have one entry"),
        ({"problems": ["a", "b"]}, "a problem must be a rlenvs.problems.Problem, got str"),
        ({"reset_mask": np.ones(3, bool)}, r"'reset_mask' must be a bool array of shape \(2,\)"),
        ({"reset_mask": np.ones(2)}, "got dtype float64"),
        ({"reset_mask": np.zeros(2, bool)}, "with a True in it"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UserError, match=message):
        TextVectorEnv(SOURCE, 2).reset(options=options)


def test_a_list_of_seeds_must_fit():
    with pytest.raises(UserError, match="seed: a list must have one entry per environment"):
        TextVectorEnv(SOURCE, 2).reset(seed=[1])


@pytest.mark.parametrize("actions", ["ab", ["a"], ["a", "b", "c"]])
def test_the_number_of_actions_must_fit(actions):
    envs = TextVectorEnv(SOURCE, 2)
    envs.reset(seed=0)
    with pytest.raises(UserError, match="actions must be a sequence of 2 texts"):
        envs.step(actions)


def test_live_rows_need_texts_and_every_row_a_reset():
    envs = TextVectorEnv(SOURCE, 2)
    with pytest.raises(ResetNeeded, match="call reset"):
        envs.step(["1", "2"])
    envs.reset(seed=0)
    with pytest.raises(UserError, match="an action must be a str"):
        envs.step(["1", None])


def test_answers_beyond_the_limit_are_invalid():
    envs = TextVectorEnv(SOURCE, 2, max_response_chars=2)
    _, infos = envs.reset(seed=0)
    golds = infos["task"]["gold"]
    _, rewards, terminated, _, infos = envs.step([golds[0], golds[1] + "  "])
    assert rewards.tolist() == [1.0, 0.0]
    assert infos["final_info"]["grade_status"].tolist() == ["ok", "invalid"]
    assert terminated.all()


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
def test_state_resumes_exactly_through_json(mode):
    envs, twin = (TextVectorEnv(SOURCE, 3, 4, mode, protocol=UntilRight()) for _ in range(2))
    envs.reset(seed=2)
    rng = np.random.default_rng(0)
    for _ in range(5):
        envs.step(answers(rng, 3))
    twin.load_state_dict(json.loads(json.dumps(envs.state_dict())))
    for _ in range(20):
        actions = answers(rng, 3)
        assert equal(envs.step(actions), twin.step(actions))
    assert equal(envs.reset(), twin.reset())


def test_a_foreign_state_is_refused():
    envs = TextVectorEnv(SOURCE, 2)
    envs.reset(seed=0)
    with pytest.raises(UserError, match="state: it has 2 rows, this environment 3"):
        TextVectorEnv(SOURCE, 3).load_state_dict(envs.state_dict())
    with pytest.raises(UserError, match="state: expected kind 'TextVectorEnv'"):
        envs.load_state_dict(TextEnv(SOURCE).state_dict())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_envs": 0}, r"num_envs must be an int in 1\.\."),
        ({"autoreset_mode": "Never"}, "autoreset_mode must be one of 'NextStep', 'SameStep', 'Disabled', got 'Never'"),
        ({"max_episode_steps": 0}, "max_episode_steps must be an int"),
        ({"render_mode": "rgb_array"}, "render_mode must be None, 'ansi' or 'human'"),
        ({"digts": 3}, "unknown parameter 'digts'; did you mean 'digits'"),
    ],
)
def test_wrong_parameters_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        SuiteVectorEnv(**arguments)


def test_gymnasium_makes_it_with_every_parameter():
    envs = gym.make_vec(
        "rlenvs/Arithmetic-v0", num_envs=2, autoreset_mode="Disabled", digits=3, split="held_out", render_mode="ansi"
    )
    assert envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert TextVectorEnv.metadata.get("autoreset_mode") is None
    observations, infos = envs.reset(seed=0)
    assert observations in envs.observation_space
    assert envs.action_space.sample() in envs.action_space
    assert infos["split"].tolist() == ["held_out"] * 2
    assert envs.render() == tuple(f"user:\n    {prompt}" for prompt in observations)
    envs.close()


def test_human_rendering_prints_every_conversation(capsys):
    envs = TextVectorEnv(SOURCE, 2, render_mode="human")
    first, second = envs.reset(seed=0)[0]
    assert capsys.readouterr().out == f"user:\n    {first}\n\nuser:\n    {second}\n\n"


def test_wrappers_of_gymnasium_count_every_episode():
    envs = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("rlenvs/Arithmetic-v0", num_envs=4))
    _, infos = envs.reset(seed=0)
    for _ in range(5):
        _, _, _, _, infos = envs.step(infos["task"]["gold"].tolist())
    assert list(envs.return_queue) == [1.0] * 20
