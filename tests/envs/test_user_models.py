"""Models that play the user, behind a real socket."""

import copy
import json
import pickle
import time

import gymnasium as gym
import pytest
from chat_endpoint import completion, serving
from gymnasium.envs.registration import EnvSpec

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.envs.protocols import Conversation, EndpointUser, make_protocol
from rlenvs.errors import ConfigError, ParameterError, UserModelError

TALK = {"opening": "Hi!", "turns": [], "system": "Be kind."}


@pytest.fixture
def endpoint(monkeypatch):
    with serving(monkeypatch) as server:
        server.answer = lambda body, number: completion(f"heard {body['messages'][-1]['content']}")
        yield server


def talking(endpoint, num_envs=None, max_prompt_chars=8192, max_replies=None, **user):
    parameters = {
        "conversations": [TALK],
        "held_out_fraction": 0.0,
        "user": {"base_url": endpoint.url, "model": "m", "backoff_s": 0.001, **user},
        "max_prompt_chars": max_prompt_chars,
        "max_replies": max_replies,
    }
    if num_envs is None:
        return gym.make("rlenvs/Conversation-v0", **parameters)
    return gym.make_vec("rlenvs/Conversation-v0", num_envs=num_envs, autoreset_mode="Disabled", **parameters)


def test_a_model_behind_http_plays_the_user(endpoint):
    env = talking(endpoint, persona="You are Ann. Say {stop} at the end.", temperature=0.5, request={"top_p": 0.9})
    env.reset(seed=0)
    assert env.step("Hello Ann.")[0] == "heard Hello Ann."
    endpoint.answer = lambda body, number: completion("Bye <stop>")
    observation, reward, terminated, truncated, info = env.step("More?")
    assert (observation, reward, terminated, truncated, info["progress"]) == ("", 0.0, True, False, 1.0)
    body = endpoint.bodies[-1]
    assert {key: body[key] for key in body if key != "messages"} == {
        "model": "m",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 1024,
    }
    assert [(message["role"], message["content"]) for message in body["messages"]] == [
        ("system", "You are Ann. Say <stop> at the end."),
        ("user", "Begin the conversation."),
        ("assistant", "Hi!"),
        ("user", "Hello Ann."),
        ("assistant", "heard Hello Ann."),
        ("user", "More?"),
    ]


def test_the_rows_of_a_vector_form_are_asked_for_at_the_same_time(endpoint):
    def slow(body, number):
        time.sleep(0.2)
        return completion(f"heard {body['messages'][-1]['content']}")

    endpoint.answer = slow
    envs = talking(endpoint, num_envs=8)
    envs.reset(seed=0)
    texts = [f"message {row}" for row in range(8)]
    assert envs.step(texts)[0] == tuple(f"heard {text}" for text in texts)
    assert endpoint.most == 8
    assert len(endpoint.bodies) == 8


def test_the_specification_comes_back_from_json_and_copies_go_on(endpoint):
    env = talking(endpoint)
    again = gym.make(EnvSpec.from_json(env.spec.to_json()))
    for one in (env, again):
        one.reset(seed=0)
    assert env.step("a")[:4] == again.step("a")[:4]
    for twin in (copy.deepcopy(env), pickle.loads(pickle.dumps(env))):  # noqa: S301 - made in this line
        assert twin.step("b")[0] == "heard b"
    protocol = env.unwrapped.task.protocol
    assert protocol == again.unwrapped.task.protocol == pickle.loads(pickle.dumps(protocol))  # noqa: S301 - made in this line
    assert "EndpointUser(base_url=" in repr(protocol)


def test_a_failure_is_typed_and_the_step_can_be_repeated(endpoint):
    env = talking(endpoint, retries=1)
    env.reset(seed=0)
    endpoint.answer = lambda body, number: (503, {}, b"busy")
    before = json.dumps(env.unwrapped.state_dict())
    with pytest.raises(UserModelError, match=r"answered 503: 'busy' \(2 requests\)"):
        env.step("a")
    assert json.dumps(env.unwrapped.state_dict()) == before
    endpoint.answer = lambda body, number: completion("fine")
    assert env.step("a")[0] == "fine"


def test_one_failing_row_leaves_all_rows_as_they_were(endpoint):
    envs = talking(endpoint, num_envs=2, retries=0)
    envs.reset(seed=0)
    before = json.dumps(envs.state_dict())
    endpoint.answer = lambda body, number: (
        (400, {}, b"no") if body["messages"][-1]["content"] == "bad" else completion("fine")
    )
    with pytest.raises(UserModelError, match="answered 400"):
        envs.step(["good", "bad"])
    assert json.dumps(envs.state_dict()) == before
    assert envs.step(["good", "good"])[0] == ("fine", "fine")


def test_a_step_takes_no_longer_than_its_deadline(endpoint):
    def never(body, number):
        time.sleep(2)
        return completion("late")

    endpoint.answer = never
    env = talking(endpoint, deadline_s=0.3)
    env.reset(seed=0)
    started = time.monotonic()
    with pytest.raises(UserModelError, match=r"gave not all messages within 0\.3 s"):
        env.step("a")
    assert time.monotonic() - started < 1.5
    slow = talking(endpoint, timeout_s=0.2, retries=0)
    slow.reset(seed=0)
    with pytest.raises(UserModelError, match=r"no answer within 0\.2 s"):
        slow.step("a")


@pytest.mark.parametrize("text", ["\x00", "7\ud800", "x" * 20_000, "</think>", "{gold} %s", "\x1b[2J"])
def test_what_the_policy_writes_only_reaches_the_model(endpoint, text):
    env = talking(endpoint, max_chars=100)
    env.reset(seed=0)
    endpoint.answer = lambda body, number: completion("go on")
    assert env.step(text)[0] == "go on"
    shown = endpoint.bodies[-1]["messages"][-1]["content"]
    assert len(shown) <= 100 + len("\n[...]\n")
    shown.encode()


def test_thoughts_are_not_said(endpoint):
    env = talking(endpoint)
    env.reset(seed=0)
    endpoint.answer = lambda body, number: completion("<think>They are kind. <stop>?</think>\nThank you.")
    assert env.step("a")[0] == "Thank you."
    endpoint.answer = lambda body, number: completion("", "length")
    with pytest.raises(UserModelError, match=r"used up max_tokens \(1024\)"):
        env.step("b")
    endpoint.answer = lambda body, number: completion("<think>so many thoug", "length")
    with pytest.raises(UserModelError, match=r"used up max_tokens \(1024\)"):
        env.step("b")


def test_a_long_message_of_the_user_is_cut_to_the_observation_space(endpoint):
    env = talking(endpoint, max_prompt_chars=50)
    env.reset(seed=0)
    endpoint.answer = lambda body, number: completion("word " * 100)
    observation = env.step("a")[0]
    assert observation in env.observation_space
    assert len(observation) == 50


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"base_url": "http://x", "modle": "m"}, "user has an unknown parameter 'modle'; did you mean 'model'"),
        ({"base_url": "http://x"}, "user must have 'model'"),
        ({"base_url": "x", "model": "m"}, "base_url must look like"),
        ({"base_url": "http://x", "model": 5}, "model must be a non-empty text"),
        ({"base_url": "http://x", "model": "m", "timeout_s": 0}, "timeout_s must be a number"),
        ({"base_url": "http://x", "model": "m", "deadline_s": float("nan")}, "deadline_s must be a number"),
        ({"base_url": "http://x", "model": "m", "max_concurrency": 0}, "max_concurrency must be an int"),
        ({"base_url": "http://x", "model": "m", "retries": -1}, "retries must be an int"),
        ({"base_url": "http://x", "model": "m", "request": {"model": "x"}}, "request must not set 'model'"),
    ],
)
def test_wrong_parameters_are_named(user, message):
    with pytest.raises(ParameterError, match=message):
        make_protocol("conversation", user=user)


def test_a_key_that_is_not_set_is_an_error_of_the_user(endpoint, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    env = talking(endpoint, api_key_env="NO_SUCH_KEY")
    env.reset(seed=0)
    with pytest.raises(ConfigError, match="'NO_SUCH_KEY' is not set"):
        env.step("a")


def test_a_last_message_to_grade_needs_a_script():
    with pytest.raises(ParameterError, match="graded needs a script"):
        Conversation(graded=True, user=lambda messages: "and?")


def test_a_model_can_be_made_by_hand(endpoint):
    user = EndpointUser(endpoint.url, "m", retries=0)
    assert user([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]) == "heard Yes?"
