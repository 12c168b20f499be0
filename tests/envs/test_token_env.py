import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from rlenvs.envs import CharTokenizer, Message, Protocol, SingleAnswer, SuiteEnv, TextEnv, TokenEnv, Turn
from rlenvs.errors import UserError
from rlenvs.graders import Grade
from rlenvs.problems import ArithmeticSource, Problem

TOKENIZER = CharTokenizer("0123456789+-*= wrong!")
PAD, EOS, UNKNOWN = 0, 1, 2
TASK = {"type": "math", "question": "9+9=", "gold": "18", "extract": "whole"}
PROBLEM = Problem(id="toy:1", prompt="9+9=", task=TASK, demonstration="18")


class TwoTries(Protocol):
    """A second answer after a wrong first one."""

    def open(self, problem: Problem) -> list[Message]:
        return SingleAnswer().open(problem)

    def respond(self, problem: Problem, turn: int, grade: Grade) -> Turn:
        over = grade.correct or turn == 2
        return Turn("" if over else "wrong!", over)


class WordTokenizer:
    """Shares no code with ours: tokens of several characters, and padding that is not 0."""

    pad_token_id, eos_token_id = 3, 0
    words = ("", "9+9=", "18", "", " 1", "8")

    def __len__(self):
        return len(self.words)

    def encode(self, text, add_special_tokens=True):
        assert not add_special_tokens
        return [self.words.index(text)]

    def decode(self, token_ids):
        return "".join(self.words[i] for i in token_ids)


def make(**changes):
    arguments = {"context_tokens": 8, "max_response_tokens": 4, **changes}
    return TokenEnv(SuiteEnv(), TOKENIZER, **arguments)


def begin(env):
    return env.reset(seed=0, options={"problem": PROBLEM})


def play(env, *tokens):
    for token in tokens:
        result = env.step(token)
    return result


def test_a_message_is_written_token_by_token_and_ended():
    env = make()
    observation, info = begin(env)
    one, eight = TOKENIZER.encode("18")
    assert observation.tolist() == [0, 0, 0, 0, *TOKENIZER.encode("9+9=")]
    assert (observation.dtype, info["response_so_far"], info["progress"]) == (np.int32, "", 0.0)
    observation, reward, terminated, truncated, info = env.step(one)
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert [type(value) for value in (reward, terminated, truncated)] == [float, bool, bool]
    assert (info["response_so_far"], info["progress"]) == ("1", 0.5)
    assert info["messages"] == [{"role": "user", "content": "9+9="}]
    observation, reward, terminated, truncated, info = env.step(eight)
    assert (reward, terminated, info["response_so_far"], info["progress"]) == (0.0, False, "18", 1.0)
    observation, reward, terminated, truncated, info = env.step(EOS)
    assert (reward, terminated, truncated, info["correct"], info["response"]) == (1.0, True, False, True, "18")
    assert info["progress"] == 1.0
    assert observation.tolist() == [0, *TOKENIZER.encode("9+9=18"), EOS]


def test_the_last_token_allowed_submits_the_message_as_it_stands():
    env = make(max_response_tokens=2)
    begin(env)
    _, reward, terminated, truncated, info = play(env, *TOKENIZER.encode("18"))
    assert (reward, terminated, truncated, info["response"]) == (1.0, True, False, "18")


def test_an_empty_message_is_graded():
    env = make()
    begin(env)
    _, reward, terminated, _, info = env.step(EOS)
    assert (reward, terminated, info["response"], info["grade_status"]) == (0.0, True, "", "invalid")


def test_progress_freezes_at_the_first_wrong_character_and_drops_on_an_extra_one():
    env = make(max_response_tokens=9)
    begin(env)
    assert [play(env, *TOKENIZER.encode(c))[4]["progress"] for c in "1988"] == [0.5] * 4
    begin(env)
    assert [play(env, *TOKENIZER.encode(c))[4]["progress"] for c in "180"] == [0.5, 1.0, 0.5]
    assert play(env, EOS)[4]["progress"] == 0.5


def test_padding_is_no_legal_action_and_writes_nothing():
    env = make()
    begin(env)
    masks = env.action_masks()
    assert (masks.dtype, masks.shape) == (np.bool_, (TOKENIZER.vocab_size,))
    assert not masks[PAD]
    assert masks[1:].all()
    masks[:] = False
    assert env.action_masks().any()
    _, _, terminated, _, info = play(env, PAD, *TOKENIZER.encode("18"))
    assert (terminated, info["response_so_far"]) == (False, "18")
    _, reward, terminated, _, info = env.step(PAD)
    assert (reward, terminated, info["response"]) == (1.0, True, "18")


def test_the_unknown_token_spoils_an_answer():
    env = make()
    begin(env)
    info = play(env, *TOKENIZER.encode("18"), UNKNOWN)[4]
    assert info["progress"] == 0.5
    assert env.step(EOS)[1] == 0.0


def test_the_window_keeps_the_newest_tokens():
    env = make(context_tokens=3)
    observation, _ = begin(env)
    assert TOKENIZER.decode(observation.tolist()) == "+9="
    assert TOKENIZER.decode(env.step(TOKENIZER.encode("1")[0])[0].tolist()) == "9=1"


def test_observations_are_new_arrays_that_the_environment_does_not_read():
    env = make()
    first, _ = begin(env)
    first[:] = 9
    second = env.step(4)[0]
    second[:] = 9
    third = env.step(4)[0]
    assert TOKENIZER.decode(third.tolist()) == "9+9=11"
    assert len({id(first), id(second), id(third)}) == 3
    assert third in env.observation_space


def test_another_turn_begins_another_message():
    env = TokenEnv(
        TextEnv(ArithmeticSource(), protocol=TwoTries()), TOKENIZER, context_tokens=20, max_response_tokens=5
    )
    begin(env)
    observation, reward, terminated, _, info = play(env, *TOKENIZER.encode("17"), EOS)
    assert (reward, terminated, info["response_so_far"]) == (0.0, False, "17")
    assert TOKENIZER.decode(observation.tolist()) == "9+9=17wrong!"
    _, _, _, _, info = env.step(TOKENIZER.encode("1")[0])
    assert (info["response_so_far"], info["progress"]) == ("1", 0.5)
    assert play(env, *TOKENIZER.encode("8"), EOS)[1:3] == (1.0, True)


def test_both_levels_grade_alike():
    env, turn = gym.make("rlenvs/ArithmeticTokens-v0").unwrapped, SuiteEnv()
    rng, rewards = np.random.default_rng(0), []
    for seed in range(150):
        _, info = env.reset(seed=seed)
        assert turn.reset(seed=seed)[0] == info["messages"][0]["content"]
        answer = str(max(0, int(info["task"]["gold"]) + rng.integers(-2, 3)))
        _, *verdict, info = play(env, *env.tokenizer.encode(answer), EOS)
        _, *expected, expected_info = turn.step(answer)
        assert verdict == expected
        assert info["response_tokens"] == len(answer) + 1
        del info["progress"], info["response_so_far"], info["response_tokens"], expected_info["progress"]
        assert info == expected_info
        rewards.append(verdict[0])
    assert 0.1 < np.mean(rewards) < 0.4


def test_a_wrapper_of_the_turn_level_changes_the_reward_of_the_last_token():
    wrapped = gym.wrappers.TransformReward(SuiteEnv(), lambda reward: reward + 0.25)
    env = TokenEnv(wrapped, TOKENIZER, context_tokens=8, max_response_tokens=4)
    begin(env)
    assert [env.step(token)[1] for token in [*TOKENIZER.encode("18"), EOS]] == [0.0, 0.0, 1.25]


def test_any_tokenizer_with_the_usual_names_serves():
    env = TokenEnv(SuiteEnv(), WordTokenizer(), context_tokens=4, max_response_tokens=3)
    observation, _ = begin(env)
    assert observation.tolist() == [3, 3, 3, 1]
    assert np.flatnonzero(~env.action_masks()).tolist() == [3]
    _, _, _, _, info = env.step(2)
    assert (info["response_so_far"], info["progress"]) == ("18", 1.0)
    assert env.step(0)[1] == 1.0


def test_bytes_that_are_no_character_yet_count_at_the_end():
    class ByteTokenizer:
        pad_token_id, eos_token_id = 0, 1

        def __len__(self):
            return 256

        def encode(self, text, add_special_tokens=True):
            return list(text.encode())

        def decode(self, token_ids):
            return bytes(token_ids).decode("utf-8", "replace")

    env = TokenEnv(SuiteEnv(), ByteTokenizer(), context_tokens=8, max_response_tokens=9)
    begin(env)
    info = play(env, *b"18", 0xC3)[4]
    assert (info["response_so_far"], info["progress"]) == ("18", 1.0)
    _, reward, _, _, info = env.step(1)
    assert (reward, info["response"], info["response_so_far"], info["progress"]) == (0.0, "18\ufffd", "18\ufffd", 0.5)


def test_decoding_touches_a_few_tokens_per_step_however_long_the_message():
    sizes, encoded = [], []

    class Counting(CharTokenizer):
        def decode(self, token_ids, skip_special_tokens=False):
            sizes.append(len(token_ids))
            return super().decode(token_ids, skip_special_tokens)

        def encode(self, text, add_special_tokens=False):
            encoded.append(text)
            return super().encode(text, add_special_tokens)

    env = TokenEnv(SuiteEnv(), Counting("0123456789+="), context_tokens=8, max_response_tokens=500)
    begin(env)
    info = play(env, *[4] * 500)[4]
    assert info["response"] == "1" * 500
    assert max(sizes) <= 2
    assert len(sizes) <= 2 * 500
    assert encoded == ["9+9="]


def test_state_resumes_in_the_middle_of_a_message():
    env, twin = make(), make()
    env.reset(seed=4)
    env.step(4)
    twin.load_state_dict(json.loads(json.dumps(env.state_dict())))
    for token in (5, EOS):
        a, b = env.step(token), twin.step(token)
        assert a[0].tolist() == b[0].tolist()
        assert a[1:] == b[1:]
    assert env.reset()[1] == twin.reset()[1]
    with pytest.raises(UserError, match="state: its window has 8 tokens, not 3"):
        make(context_tokens=3).load_state_dict(env.state_dict())


def test_stepping_outside_an_episode_needs_a_reset():
    env = make()
    with pytest.raises(ResetNeeded, match="has not started"):
        env.step(4)
    begin(env)
    env.step(EOS)
    with pytest.raises(ResetNeeded, match="is over"):
        env.step(4)


@pytest.mark.parametrize("action", [-1, TOKENIZER.vocab_size, 4.0, "4", None, True, [4]])
def test_actions_are_token_ids(action):
    env = make()
    begin(env)
    with pytest.raises(UserError, match="an action must be a token id"):
        env.step(action)


@pytest.mark.parametrize("action", [np.int64(4), np.array(4), 4])
def test_numpy_integers_are_token_ids(action):
    env = make()
    begin(env)
    assert env.step(action)[4]["response_so_far"] == "1"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context_tokens": 0}, r"context_tokens must be an int in 1\.\."),
        ({"max_response_tokens": 0}, r"max_response_tokens must be an int in 1\.\."),
    ],
)
def test_wrong_parameters_are_named(arguments, message):
    with pytest.raises(UserError, match=message):
        make(**arguments)


def test_environments_and_tokenizers_that_cannot_serve_are_refused():
    with pytest.raises(UserError, match="needs a turn-level TextEnv, got CartPoleEnv"):
        TokenEnv(gym.make("CartPole-v1"), TOKENIZER, context_tokens=8, max_response_tokens=4)
    tokenizer = CharTokenizer("01")
    tokenizer.eos_token_id = 0
    with pytest.raises(UserError, match="a padding and an end token that differ, got 0 and 0"):
        TokenEnv(SuiteEnv(), tokenizer, context_tokens=8, max_response_tokens=4)


def test_rendering_is_that_of_the_turn_level():
    env = gym.make("rlenvs/ArithmeticTokens-v0", render_mode="ansi").unwrapped
    begin(env)
    assert env.render() == "user:\n    9+9="
    env.close()


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"operands": 3, "operators": "+-*", "chain_length": 2, "extract": "last_boxed"},
        {"answer_order": "reversed", "operators": "-", "prompt_template": "What is {expression}?"},
    ],
)
def test_the_registered_environment_can_be_solved_with_its_defaults(parameters):
    env = gym.make("rlenvs/ArithmeticTokens-v0", **parameters).unwrapped
    for seed in range(40):
        observation, _ = env.reset(seed=seed)
        problem = env.base.episode.problem
        assert env.tokenizer.decode(observation.tolist()) == problem.prompt
        assert play(env, *env.tokenizer.encode(problem.demonstration), EOS)[1] == 1.0
    assert UNKNOWN not in env.tokenizer.encode(problem.prompt + problem.demonstration)
    check_env(env)


def test_stable_baselines3_finds_nothing_wrong():
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.env_checker import check_env as check_env_of_sb3

    check_env_of_sb3(gym.make("rlenvs/ArithmeticTokens-v0").unwrapped)


def test_maskable_ppo_finds_the_masks():
    pytest.importorskip("sb3_contrib")
    from sb3_contrib.common.maskable.utils import get_action_masks
    from stable_baselines3.common.vec_env import DummyVecEnv

    envs = DummyVecEnv([lambda: gym.make("rlenvs/ArithmeticTokens-v0")] * 2)
    masks = get_action_masks(envs)
    assert masks.shape == (2, envs.action_space.n)
    assert (masks.sum(axis=1) == envs.action_space.n - 1).all()


def test_something_that_is_no_tokenizer_is_refused() -> None:
    with pytest.raises(UserError, match="tokenizer: must be a name, a folder or a tokenizer, got 5"):
        gym.make("rlenvs/ArithmeticTokens-v0", tokenizer=5)
