import copy
import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from rlenvs.envs import Message, Protocol, Retry, SingleAnswer, SuiteEnv, TextEnv, Turn
from rlenvs.errors import GraderError, UserError
from rlenvs.graders import Grade
from rlenvs.problems import ArithmeticSource, Problem, make_source

RESET_KEYS = {"problem_id", "task", "difficulty", "split", "messages", "progress"}
STEP_KEYS = RESET_KEYS | {"response", "correct", "score", "grade_status", "extracted", "reason"}
TASK = {"type": "math", "question": "6*7?", "gold": "42", "extract": "last_boxed"}
PROBLEM = Problem(id="toy:1", prompt="6*7?", task=TASK, demonstration="\\boxed{42}", difficulty=0.5)


class UntilRight(Protocol):
    """As many answers as it takes; the smallest protocol with more than one turn."""

    def open(self, problem: Problem) -> list[Message]:
        return SingleAnswer().open(problem)

    def respond(self, problem: Problem, turn: int, grade: Grade) -> Turn:
        return Turn("" if grade.correct else f"wrong, try {turn + 1}", grade.correct)


def test_one_answer_ends_the_episode():
    env = TextEnv(ArithmeticSource(extract="last_boxed"))
    prompt, info = env.reset(seed=1)
    assert set(info) == RESET_KEYS
    assert info["messages"] == [{"role": "user", "content": prompt}]
    assert (info["split"], info["progress"]) == ("train", 0.0)
    response = f"It is \\boxed{{{info['task']['gold']}}}."
    observation, reward, terminated, truncated, info = env.step(response)
    assert (observation, reward, terminated, truncated) == ("", 1.0, True, False)
    assert [type(value) for value in (reward, terminated, truncated)] == [float, bool, bool]
    assert set(info) == STEP_KEYS
    assert (info["correct"], info["score"], info["grade_status"], info["progress"]) == (True, 1.0, "ok", 1.0)
    assert info["response"] == response
    assert info["messages"][-1] == {"role": "assistant", "content": response}


def test_a_wrong_and_an_unreadable_answer_score_zero():
    env = SuiteEnv()
    for action, status, extracted in [("-1", "ok", "-1"), ("dunno", "invalid", "dunno"), ("", "invalid", "")]:
        env.reset(seed=1)
        _, reward, terminated, _, info = env.step(action)
        assert (reward, terminated, info["correct"], info["progress"]) == (0.0, True, False, 0.0)
        assert (info["grade_status"], info["extracted"]) == (status, extracted)


def test_a_given_problem_is_started_and_draws_nothing():
    env, other = SuiteEnv(), SuiteEnv()
    env.reset(seed=3)
    other.reset(seed=3)
    prompt, info = env.reset(options={"problem": PROBLEM})
    assert (prompt, info["problem_id"], info["difficulty"], info["split"]) == ("6*7?", "toy:1", 0.5, "")
    assert env.step("\\boxed{42}")[1] == 1.0
    assert env.reset()[0] == other.reset()[0]


def test_held_out_episodes_are_held_out():
    env = SuiteEnv(split="held_out", digits=1, held_out_fraction=0.3)
    held_out = {problem.prompt for problem in env.task.source.problems("held_out")}
    drawn = {env.reset(seed=0 if i == 0 else None)[0] for i in range(500)}
    assert drawn == held_out


def test_infos_are_the_callers_own():
    env = SuiteEnv()
    _, info = env.reset(seed=0)
    problem = env.episode.problem
    before = copy.deepcopy(problem)
    info["task"]["gold"] = "hacked"
    info["messages"].append("hacked")
    info["messages"][0]["content"] = "hacked"
    assert env.episode.problem == before
    _, _, _, _, after = env.step(before.demonstration)
    assert after["correct"]
    assert after["messages"][0]["content"] == before.prompt
    assert len(after["messages"]) == 2


def test_an_answer_beyond_the_limit_is_invalid_and_not_an_error():
    env = SuiteEnv(max_response_chars=3)
    for action, status in [("1" * 3, "ok"), ("1" * 4, "invalid")]:
        env.reset(seed=0)
        _, reward, terminated, _, info = env.step(action)
        assert (reward, terminated, info["grade_status"], info["response"]) == (0.0, True, status, action)
    assert info["reason"] == "the response is longer than 3 characters"


def test_a_right_answer_beyond_the_limit_is_not_right():
    env = SuiteEnv(max_response_chars=10)
    _, info = env.reset(seed=0)
    assert env.step(info["task"]["gold"].rjust(11))[1] == 0.0


def test_a_prompt_beyond_the_limit_is_an_error_of_the_user():
    env = SuiteEnv(max_prompt_chars=3, digits=4)
    with pytest.raises(UserError, match=r"its prompt has \d+ characters, max_prompt_chars is 3; raise it"):
        env.reset(seed=0)


def test_feedback_beyond_the_limit_is_cut_because_a_policy_decides_how_long_it_is():
    env = TextEnv(ArithmeticSource(digits=1), protocol=Retry(), max_prompt_chars=20)
    env.reset(seed=0)
    observation, _, terminated, truncated, info = env.step("1" * 60)
    assert observation == "1" * 20 == info["messages"][-1]["content"]
    assert observation in env.observation_space
    assert not terminated
    assert not truncated
    assert env.step("14")[1:3] == (1.0, True)


@pytest.mark.parametrize("action", [None, 5, b"5", ["5"], np.array("5")])
def test_actions_are_texts(action):
    env = SuiteEnv()
    env.reset(seed=0)
    with pytest.raises(UserError, match="an action must be a str"):
        env.step(action)
    assert env.step("5")[2]


def test_stepping_outside_an_episode_needs_a_reset():
    env = SuiteEnv()
    with pytest.raises(ResetNeeded, match="the episode has not started: call reset"):
        env.step("5")
    env.reset(seed=0)
    env.step("5")
    with pytest.raises(ResetNeeded, match="the episode is over: call reset"):
        env.step("5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "split must be 'train' or 'held_out', got 'test'"),
        ({"held_out_fraction": 0.0, "split": "held_out"}, "the held_out split of .* is empty"),
        ({"digit": 3}, "unknown parameter 'digit'; did you mean 'digits'"),
        ({"render_mode": "rgb_array"}, "render_mode must be None, 'ansi' or 'human'"),
        ({"max_response_chars": 0}, r"max_response_chars must be an int in 1\.\."),
        ({"max_prompt_chars": 1.5}, r"max_prompt_chars must be an int in 1\.\."),
    ],
)
def test_wrong_parameters_show_at_construction(arguments, message):
    with pytest.raises(UserError, match=message):
        SuiteEnv(**arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problems": []}, "options: unknown 'problems'"),
        ({"problem": "6*7?"}, "a problem must be a rlenvs.*got str"),
        ({5: 1, "a": 2}, "options: unknown 5"),
        ([5], r"options must be a dict with some of problem, got \[5\]"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(UserError, match=message):
        SuiteEnv().reset(options=options)


def test_several_turns_with_another_protocol():
    env = TextEnv(ArithmeticSource(), protocol=UntilRight())
    prompt, info = env.reset(seed=0)
    observation, reward, terminated, truncated, info = env.step("-1")
    assert (observation, reward, terminated, truncated) == ("wrong, try 2", 0.0, False, False)
    observation, reward, terminated, _, info = env.step(info["task"]["gold"])
    assert (observation, reward, terminated) == ("", 1.0, True)
    roles = [message["role"] for message in info["messages"]]
    assert roles == ["user", "assistant", "user", "assistant"]
    assert info["messages"][0]["content"] == prompt


def test_another_grader_judges_and_a_broken_one_is_an_error():
    half = TextEnv(ArithmeticSource(), grader=lambda tasks, texts: [Grade(0.5, False, "ok", t, "half") for t in texts])
    half.reset(seed=0)
    assert half.step("x")[1] == 0.5
    for broken in (lambda tasks, texts: [], lambda tasks, texts: [Grade(float("nan"), False, "ok", "", "")]):
        env = TextEnv(ArithmeticSource(), grader=broken)
        env.reset(seed=0)
        with pytest.raises(GraderError, match="one finite score per response"):
            env.step("x")


def test_rendering_shows_the_conversation(capsys):
    env = SuiteEnv(render_mode="ansi")
    with pytest.raises(ResetNeeded, match="nothing to render"):
        env.render()
    env.reset(options={"problem": PROBLEM})
    env.step("I think\n\\boxed{42}")
    assert env.render() == "user:\n    6*7?\nassistant (reward 1):\n    I think\n    \\boxed{42}"
    assert capsys.readouterr().out == ""
    human = SuiteEnv(render_mode="human")
    human.reset(options={"problem": PROBLEM})
    assert capsys.readouterr().out == "user:\n    6*7?\n\n"


def test_rendering_without_a_mode_warns():
    env = SuiteEnv()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode='ansi' or 'human'"):
        assert env.render() is None


@pytest.mark.parametrize("at", ["before", "start", "middle", "end"])
def test_state_resumes_exactly_through_json(at):
    env, twin = (TextEnv(ArithmeticSource(), protocol=UntilRight()) for _ in range(2))
    if at != "before":
        _, info = env.reset(seed=11)
        if at != "start":
            env.step("-1")
        if at == "end":
            env.step(info["task"]["gold"])
    twin.load_state_dict(json.loads(json.dumps(env.state_dict())))

    def go_on(some):
        trace = []
        if at in ("start", "middle"):
            trace.append(some.step("-2"))
        for _ in range(5):
            trace += [some.reset(), some.step("3")]
        return trace

    assert go_on(env) == go_on(twin)


def test_a_saved_state_does_not_change_later():
    env = TextEnv(ArithmeticSource(), protocol=UntilRight())
    env.reset(seed=0)
    state = env.state_dict()
    frozen = json.dumps(state)
    env.step("-1")
    env.reset()
    assert json.dumps(state) == frozen


def test_a_foreign_state_is_refused():
    env = SuiteEnv()
    state = env.state_dict()
    with pytest.raises(UserError, match="state: expected kind 'TextEnv' version 1, got 'TextVectorEnv' 1"):
        env.load_state_dict({**state, "kind": "TextVectorEnv"})
    with pytest.raises(UserError, match="state: expected a PCG64 generator, got 'MT19937'"):
        env.load_state_dict({**state, "generator": {"bit_generator": "MT19937"}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: None, "expected what state_dict.* returned, got None"),
        (lambda state: {**state, "generator": None}, "expected a PCG64 generator, got None"),
        (lambda state: {**state, "episode": {}}, r"an episode in it cannot be read \(KeyError: 'problem'\)"),
        (lambda state: {**state, "episode": 5}, "an episode in it cannot be read"),
        (
            lambda state: {**state, "episode": {**state["episode"], "memory": {}}},
            r"not of protocol Retry: .* \['best'\]",
        ),
    ],
)
def test_a_broken_state_is_refused_and_changes_nothing(change, message):
    env = TextEnv(ArithmeticSource(digits=1), protocol=Retry())
    other = TextEnv(ArithmeticSource(digits=1), protocol=Retry())
    other.reset(seed=5)
    env.reset(seed=0)
    before = env.state_dict()
    with pytest.raises(UserError, match=f"^state: .*{message}"):
        env.load_state_dict(change(other.state_dict()))
    assert env.state_dict() == before


class Both(Protocol):
    def respond(self, problem, turn, grade):
        return Turn("", True, truncated=True)


class Nothing(Protocol):
    def respond(self, problem, turn, grade):
        self.seen = turn


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Both(), "protocol Both: a Turn is terminated or truncated, never both"),
        (Nothing(), "protocol Nothing: it must return a Turn after each message, got None"),
    ],
)
def test_a_mistake_in_a_protocol_of_the_user_is_named(protocol, message):
    env = TextEnv(ArithmeticSource(digits=1), protocol=protocol)
    env.reset(seed=0)
    with pytest.raises(UserError, match=message):
        env.step("14")


def test_a_name_is_no_source_and_no_protocol():
    with pytest.raises(UserError, match=r"source must be a ProblemSource, got 'arithmetic'; make_source\(\) makes one"):
        TextEnv("arithmetic")
    with pytest.raises(UserError, match=r"protocol must be a Protocol, got 'retry'; make_protocol\(\) makes one"):
        TextEnv(ArithmeticSource(), protocol="retry")


def test_a_demonstration_teaches_a_curriculum_nothing():
    source = make_source({"source": "curriculum", "sources": [{"source": "arithmetic", "digits": 1}, "arithmetic"]})
    env = TextEnv(source, protocol=Retry())
    before = source.state_dict()
    assert len(env.demonstrations(limit=5)) == 5
    assert source.state_dict() == before


@pytest.mark.parametrize("parameters", [{}, {"operators": "+-*", "chain_length": 2, "answer_order": "reversed"}])
def test_gymnasium_finds_nothing_wrong(parameters):
    check_env(gym.make("rlenvs/Arithmetic-v0", **parameters).unwrapped)
