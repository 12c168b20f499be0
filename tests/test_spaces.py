import json
import pickle

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.errors import UserError
from rlenvs.spaces import SAMPLE_ALPHABET, UnicodeText


class EchoEnv(gym.Env[str, str]):
    """Answers every message with itself, backwards."""

    def __init__(self):
        self.observation_space = UnicodeText(12)
        self.action_space = UnicodeText(12)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return "né\n中", {}

    def step(self, action):
        return action[::-1], float(len(action)), False, False, {}


@settings(deadline=None)
@given(st.text(max_size=20), st.integers(0, 20))
def test_membership_is_type_and_length(text, limit):
    assert (text in UnicodeText(limit)) == (len(text) <= limit)


@pytest.mark.parametrize("other", [None, 3, b"bytes", ["a"], np.array("a")])
def test_other_types_are_not_members(other):
    assert other not in UnicodeText(10)


def test_samples_are_members_of_every_length_and_beyond_ascii():
    space = UnicodeText(6, seed=0)
    samples = [space.sample() for _ in range(2000)]
    assert all(text in space for text in samples)
    assert {len(text) for text in samples} == set(range(7))
    seen = set("".join(samples))
    assert seen == set(SAMPLE_ALPHABET)
    assert {"é", "中", "\n"} <= seen


def test_samples_depend_on_the_seed_alone():
    first, second = UnicodeText(30, seed=7), UnicodeText(30)
    second.seed(7)
    assert [first.sample() for _ in range(5)] == [second.sample() for _ in range(5)]


@pytest.mark.parametrize("arguments", [{"mask": np.ones(3)}, {"probability": np.ones(3)}])
def test_masks_are_refused(arguments):
    with pytest.raises(UserError, match="neither mask nor probability"):
        UnicodeText(3).sample(**arguments)


@pytest.mark.parametrize("length", [-1, 2.0, "3", True, None])
def test_a_wrong_length_is_named(length):
    with pytest.raises(UserError, match="max_length must be an int of at least 0, got"):
        UnicodeText(length)


def test_equality_hash_repr_and_pickle():
    space = UnicodeText(5)
    assert space == UnicodeText(5, seed=1)
    assert space != UnicodeText(6)
    assert space != gym.spaces.Text(5)
    assert hash(space) == hash(UnicodeText(5))
    assert repr(space) == "UnicodeText(5)"
    assert pickle.loads(pickle.dumps(space)) == space  # noqa: S301


@settings(deadline=None)
@given(st.lists(st.text(max_size=8), max_size=5))
def test_json_round_trip(texts):
    space = UnicodeText(8)
    assert space.from_jsonable(json.loads(json.dumps(space.to_jsonable(texts)))) == texts


def test_foreign_json_is_refused():
    with pytest.raises(UserError, match=r"not a text of UnicodeText\(2\): 'long'"):
        UnicodeText(2).from_jsonable(["ok", "long"])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_vector_environments_carry_the_texts(kind):
    if kind == "sync":
        envs = gym.vector.SyncVectorEnv([EchoEnv] * 2)
    else:
        envs = gym.vector.AsyncVectorEnv([EchoEnv] * 2, shared_memory=False)
    try:
        assert envs.reset(seed=0)[0] == ("né\n中", "né\n中")
        observations, rewards, *_ = envs.step(("añb", ""))
        assert observations == ("bña", "")
        assert rewards.tolist() == [3.0, 0.0]
        assert envs.action_space.contains(("x", "y"))
    finally:
        envs.close()
