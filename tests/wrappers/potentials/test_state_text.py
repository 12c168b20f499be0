"""What potentials read of a state, at every level and against real environments."""

import gymnasium as gym
import pytest

import rlenvs  # noqa: F401
from rlenvs.envs import TokenEnv
from rlenvs.envs.char_tokenizer import CharTokenizer
from rlenvs.wrappers import RewardState
from rlenvs.wrappers.potentials.state_text import assistant_text, context_text, newest_response, text_block

ASK, TRY, AGAIN = (
    {"role": "user", "content": "2+2="},
    {"role": "assistant", "content": "5"},
    {"role": "user", "content": "Try again."},
)


@pytest.mark.parametrize(
    ("state", "newest", "assistant", "context"),
    [
        (RewardState(), "", "", ""),
        (RewardState(prompt="p"), "", "", "p"),
        (RewardState(messages=[ASK]), "", "", "2+2="),
        (RewardState(messages=[ASK, TRY]), "5", "5", "2+2="),
        (RewardState(messages=[ASK, TRY, AGAIN]), "5", "5", "2+2=\nTry again."),
        (RewardState(messages=[ASK, TRY, AGAIN], info={"response_so_far": ""}), "", "5\n", "2+2=\nTry again."),
        (RewardState(messages=[ASK, TRY, AGAIN], info={"response_so_far": "4"}), "4", "5\n4", "2+2=\nTry again."),
        # Token level, the step that ended the message: it is in the chat already.
        (RewardState(messages=[ASK, TRY], info={"response_so_far": "5", "response": "5"}), "5", "5", "2+2="),
        (RewardState(info={"response": "alone"}), "alone", "alone", ""),
        (RewardState(messages=[ASK], info={"response": "not in the chat"}), "", "", "2+2="),
        (RewardState(messages=[{"role": "assistant", "content": None}, {}]), "", "", ""),
    ],
)
def test_cases(state, newest, assistant, context):
    assert newest_response(state) == newest
    assert assistant_text(state) == assistant
    assert context_text(state) == context
    assert [text_block(state, block) for block in ("response", "assistant", "context")] == [newest, assistant, context]


def test_real_states_at_turn_level():
    env = gym.make("rlenvs/Arithmetic-v0")
    prompt, info = env.reset(seed=0)
    assert newest_response(RewardState(prompt, info["messages"], prompt, info)) == ""
    assert context_text(RewardState(prompt, info["messages"], prompt, info)) == prompt
    observation, _, _, _, info = env.step("17")
    assert newest_response(RewardState(prompt, info["messages"], observation, info)) == "17"


def test_real_states_at_token_level():
    env = gym.make("rlenvs/ArithmeticTokens-v0").unwrapped
    assert isinstance(env, TokenEnv)
    assert isinstance(env.tokenizer, CharTokenizer)
    observation, info = env.reset(seed=0)
    assert newest_response(RewardState("", info["messages"], observation, info)) == ""
    written = ""
    for token in [*env.tokenizer.encode("12"), env.eos_id]:
        observation, _, terminated, _, info = env.step(token)
        written += "" if token == env.eos_id else env.tokenizer.decode([token])
        state = RewardState("", info["messages"], observation, info)
        assert newest_response(state) == written
        assert assistant_text(state) == written
    assert terminated
