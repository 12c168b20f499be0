"""Where messages and episodes end."""

import pytest

from rlenvs.agents.llm.config import RolloutConfig
from rlenvs.agents.llm.rollout.limits import Limits
from rlenvs.agents.llm.rollout.turns import answers
from rlenvs.errors import DataError


@pytest.mark.parametrize(("tokens", "room"), [(0, 8), (92, 8), (93, 7), (99, 1), (100, 0), (120, -20)])
def test_the_room_of_a_message(tokens, room):
    assert Limits(8, 100).room(tokens) == room
    assert Limits(8).room(tokens) == 8


def test_limits_are_those_of_the_configuration():
    limits = Limits.of(RolloutConfig(max_new_tokens=5, context_tokens=50, max_turns=3))
    assert limits == Limits(5, 50, 3)
    assert [limits.cut(turns) for turns in (2, 3, 4)] == [False, True, True]
    assert not Limits(5).cut(10**6)


def test_a_prompt_must_leave_the_first_message_its_full_room():
    Limits(5, 50).check_prompt([1] * 45, "p")
    Limits(5).check_prompt([1] * 450, "p")
    with pytest.raises(
        DataError, match=r"problem 'p' has 46 tokens, it must have 1 to 45 .*context_tokens=50 less .*=5"
    ):
        Limits(5, 50).check_prompt([1] * 46, "p")
    with pytest.raises(DataError, match="problem 'p' has no tokens"):
        Limits(5).check_prompt([], "p")


def test_answers_are_the_messages_after_the_policys_own():
    def chat(*roles):
        return [{"role": role, "content": f"{role} {place}"} for place, role in enumerate(roles)]

    told = [{"role": "user", "content": "seen"}]
    assert (
        answers({"messages": [chat("user", "assistant", "tool", "user")]}, ["seen"], 0)
        == chat("a", "a", "tool", "user")[2:]
    )
    assert answers({"messages": [chat("user", "assistant")]}, ["seen"], 0) == told
    assert answers({"messages": [chat("user")]}, ["seen"], 0) == told
    assert answers({"messages": [None, chat("user")], "_messages": [False, True]}, ["seen", ""], 0) == told
    assert answers({}, ["seen"], 0) == told
