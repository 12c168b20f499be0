"""Rows that share problems, rows that are given up, and going back to where drawing stood."""

import numpy as np
import pytest

from rlenvs.envs.protocols import Retry
from rlenvs.envs.text_vector_env import TextVectorEnv
from rlenvs.errors import UserError
from rlenvs.problems import ArithmeticSource, CountdownSource

PROTOCOLS = {"one answer": None, "retries": Retry(attempts=3)}


def make(rows=6, protocol=None, source=None, mode="Disabled"):
    return TextVectorEnv(source or ArithmeticSource(digits=3), rows, autoreset_mode=mode, protocol=protocol)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_rows_of_a_group_begin_with_the_problem_that_its_first_row_draws(protocol):
    envs, plain = make(protocol=protocol), make(protocol=protocol)
    for seed in (5, None, None):
        prompts, infos = envs.reset(seed=seed, options={"group_size": 3})
        drawn, _ = plain.reset(seed=seed)
        assert prompts == (drawn[0],) * 3 + (drawn[3],) * 3
        assert infos["problem_id"].tolist()[:3] == [infos["problem_id"][0]] * 3
        assert [m[0]["content"] for m in infos["messages"]] == list(prompts)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_some_groups_begin_anew_while_the_others_stay(protocol):
    envs = make(protocol=protocol)
    before, _ = envs.reset(seed=1, options={"group_size": 2})
    mask = np.array([False, False, True, True, False, False])
    after, infos = envs.reset(options={"group_size": 2, "reset_mask": mask})
    assert after[2] == after[3] != before[2]
    assert (after[0], after[5]) == (before[0], before[5])
    assert infos["_problem_id"].tolist() == mask.tolist()
    state = envs.state_dict()
    again = make(protocol=protocol)
    again.load_state_dict(state)
    assert again.reset(options={"group_size": 2})[0] == envs.reset(options={"group_size": 2})[0]


@pytest.mark.parametrize("size", [0, 4, 7, 2.5, True, "2"])
def test_groups_that_cannot_be_dealt_are_refused(size):
    with pytest.raises(UserError, match=r"options: 'group_size'"):
        make().reset(seed=0, options={"group_size": size})


def test_half_a_group_and_given_problems_are_refused():
    envs = make()
    envs.reset(seed=0)
    mask = np.array([False, True, True, False, False, False])
    with pytest.raises(UserError, match="needs whole groups of neighbouring rows"):
        envs.reset(options={"group_size": 2, "reset_mask": mask})
    with pytest.raises(UserError, match="leave out 'problems'"):
        envs.reset(options={"group_size": 2, "problems": [None] * 6})


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_abandoned_rows_idle_until_they_are_reset(protocol):
    envs = make(rows=2, protocol=protocol)
    envs.reset(seed=0)
    envs.abandon([1])
    _, rewards, terminated, truncated, infos = envs.step(["0", None])
    assert (rewards[1], terminated[1], truncated[1]) == (0.0, False, False)
    assert infos["_correct"].tolist() == [True, False]
    fresh = make(rows=2, protocol=protocol)
    fresh.load_state_dict(envs.state_dict())
    assert fresh.over[1]
    envs.abandon([1])
    assert envs.reset()[0] == fresh.reset()[0]
    assert not envs.over.any()


def test_abandoning_needs_someone_who_resets():
    envs = make(mode="SameStep")
    envs.reset(seed=0)
    with pytest.raises(UserError, match="abandon needs autoreset_mode 'Disabled', this environment has 'SameStep'"):
        envs.abandon([0])


@pytest.mark.parametrize("source", [ArithmeticSource(digits=2), CountdownSource()], ids=["columns", "generators"])
@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_going_back_gives_the_same_problems_again(source, protocol):
    for rows in (3, 16):  # few rows draw in plain Python, many in arrays
        envs = make(rows=rows, protocol=protocol, source=source)
        start = envs.rewind_point()
        first, _ = envs.reset(seed=4)
        back = envs.rewind_point()
        played = []
        for _ in range(2):
            played.append([envs.reset()[0], envs.step(["1"] * rows)[0], envs.reset()[0]])
            back()
            assert not envs.conversations.begun.any()
        assert played[0] == played[1]
        start()
        assert envs.reset(seed=4)[0] == first
