import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
from collated_results import equal
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs import CharTokenizer, Protocol, SingleAnswer, TextEnv, TokenEnv, Turn
from rlenvs.envs.byte_tokenizer import ByteTokenizer
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.errors import UserError
from rlenvs.graders import Grade
from rlenvs.problems import ArithmeticSource, Problem, ProblemSource
from rlenvs.wrappers import VectorShapedReward

ALPHABET = "0123456789+-*= wrongty\u00e9"
LIMIT = 5
MODES = ["SameStep", "NextStep", "Disabled"]


class Tries(Protocol):
    """Answers until one is right, four at most."""

    def respond(self, problem, turn, grade):
        if grade.correct:
            return Turn("", True)
        return Turn(f"wrong, try {turn + 1}", False, truncated=turn == 4)


class OneAnswer(SingleAnswer):
    """The same rule under another name: its episodes are played one by one."""


class OwnProgress(Tries):
    """A protocol whose progress is not that along the demonstration."""

    follows_demonstration = False

    def reply(self, episode, response, grade):
        return replace(super().reply(episode, response, grade), progress=episode.turns / 4, reward=0.25 * episode.turns)


class PairTokenizer:
    """Tokens that depend on their neighbours, padding that is not 0: nothing can be done for all rows at once."""

    pad_token_id, eos_token_id = 3, 0
    pieces = ("", "1", " 2", "", "4", "8", "caf\ufffd", "\u00e9", "wrong", "+")

    def __len__(self):
        return len(self.pieces)

    def encode(self, text, add_special_tokens=True):
        assert not add_special_tokens
        return [1 + ord(character) % 2 for character in text]

    def decode(self, token_ids):
        text = "".join(self.pieces[i] for i in token_ids)
        return text[1:] if text.startswith(" ") else text


class MixedSource(ProblemSource):
    """Problems whose tasks differ in keys and kinds of values, with characters of every kind, and empty texts."""

    def sample(self, rng, split):
        number = int(rng.integers(0, 6))
        task = {"type": "qa_exact", "question": "", "gold": "12"}
        extra = (
            {},
            {"markers": ["A:", "B:"]},
            {"level": number},
            {"level": 0.5},
            {"schema": {"a": 1}},
            {"tags": [[1]]},
        )
        texts = (
            ("", ""),
            ("1+1", "2"),
            ("caf\u00e9", "\u00e91"),
            ("\0a\0", "1\0"),
            ("\u25a1" * 9, "\u25a1"),
            ("\U0001f642", "\ud800"),
        )
        prompt, demonstration = texts[number]
        return Problem(id=str(number), prompt=prompt, task={**task, **extra[number]}, demonstration=demonstration)

    def problems(self, split, limit=None, seed=0):
        return []


TOKENIZERS = {
    "chars": CharTokenizer(ALPHABET),
    "chars and zero": CharTokenizer("0123\0" + "\u25a0"),
    "bytes": ByteTokenizer(),
    "pairs": PairTokenizer(),
}
SOURCES = {
    "sums": ArithmeticSource(digits=1, operators="+-"),
    "chains": ArithmeticSource(chain_length=2, extract="last_marker", markers=["A:"]),
    "mixed": MixedSource(),
}
PROTOCOLS = {
    "single": SingleAnswer(),
    "by object": OneAnswer(),
    "several turns": Tries(),
    "own progress": OwnProgress(),
}
PROBLEM = Problem(
    id="toy:1",
    prompt="9+9=",
    task={"type": "math", "question": "9+9=", "gold": "18", "extract": "whole"},
    demonstration="18",
)
PARTS = {"context_tokens": 7, "max_response_tokens": LIMIT}


def row_of(infos, row):
    """The info of one environment out of collated infos."""
    return {
        key: row_of(value, row) if isinstance(value, dict) else value[row]
        for key, value in infos.items()
        if not key.startswith("_") and infos[f"_{key}"][row]
    }


def likely_tokens(envs, rng, infos):
    """Mostly what the demonstration asks for next, so that right answers, long and broken ones all come up."""
    tokens = rng.integers(0, envs.vocab_size, size=envs.num_envs)
    for row, (episode, so_far) in enumerate(zip(envs.episodes, infos["response_so_far"], strict=True)):
        rest = envs.tokenizer.encode(episode.problem.demonstration, add_special_tokens=False)[len(so_far or "") :]
        if rng.random() < 0.6:
            tokens[row] = rest[0] if rest else envs.eos_id
    return tokens


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("mode", MODES[:2])
def test_equals_the_synchronous_vector_environment_of_gymnasium(mode, tokenizer, source, protocol):
    ours = TokenVectorEnv(
        SOURCES[source], TOKENIZERS[tokenizer], 6, 9, mode, protocol=PROTOCOLS[protocol], max_response_chars=6, **PARTS
    )

    def make_single():
        turn = TextEnv(SOURCES[source], protocol=PROTOCOLS[protocol], max_response_chars=6)
        return gym.wrappers.TimeLimit(TokenEnv(turn, TOKENIZERS[tokenizer], **PARTS), 9)

    theirs = SyncVectorEnv([make_single] * 6, autoreset_mode=mode)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    result = ours.reset(seed=3)
    assert equal(result, theirs.reset(seed=3))
    rng, infos, ends = np.random.default_rng(0), result[1], np.zeros(2, int)
    for _ in range(80):
        tokens = likely_tokens(ours, rng, infos)
        step = ours.step(tokens)
        infos = step[4]
        assert equal(step, theirs.step(tokens))
        ends += step[2].sum(), step[3].sum()
    assert ends.sum() > 20
    assert equal(ours.reset(seed=[1, 2, 3, 4, 5, 6]), theirs.reset(seed=[1, 2, 3, 4, 5, 6]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_idle_rows_are_left_alone_until_they_are_reset(protocol):
    envs = TokenVectorEnv(
        SOURCES["sums"], TOKENIZERS["chars"], 4, None, "Disabled", protocol=PROTOCOLS[protocol], **PARTS
    )
    singles = [
        TokenEnv(TextEnv(SOURCES["sums"], protocol=PROTOCOLS[protocol]), TOKENIZERS["chars"], **PARTS) for _ in range(4)
    ]
    windows, infos = envs.reset(seed=11)
    for row, single in enumerate(singles):
        window, info = single.reset(seed=11 + row)
        assert equal((windows[row], row_of(infos, row)), (window, info))
    over, rng = np.zeros(4, bool), np.random.default_rng(2)
    for _ in range(60):
        tokens = rng.integers(0, envs.vocab_size, size=4)
        tokens[over] = -7  # nobody looks at it
        windows, rewards, terminated, truncated, infos = envs.step(tokens)
        for row, single in enumerate(singles):
            if over[row]:
                assert not windows[row].any()
                assert (rewards[row], terminated[row], truncated[row], row_of(infos, row)) == (0.0, False, False, {})
            else:
                expected = single.step(tokens[row])
                assert equal((windows[row], row_of(infos, row)), (expected[0], expected[4]))
                assert (rewards[row], terminated[row], truncated[row]) == expected[1:4]
        over |= terminated | truncated
        if over.sum() >= 3:
            windows, infos = envs.reset(options={"reset_mask": over})
            for row, single in enumerate(singles):
                if over[row]:
                    window, info = single.reset()
                    assert equal((windows[row], row_of(infos, row)), (window, info))
                else:
                    assert row_of(infos, row) == {}
            over[:] = False


@settings(deadline=None, max_examples=25)
@given(
    st.integers(1, 7),
    st.integers(0, 1000),
    st.sampled_from(MODES[:2]),
    st.sampled_from(sorted(TOKENIZERS)),
    st.integers(1, 9),
    st.integers(1, 6),
    st.data(),
)
def test_any_tokens_lead_to_what_single_environments_lead_to(num_envs, seed, mode, tokenizer, context, response, data):
    parts = {"context_tokens": context, "max_response_tokens": response}
    ours = TokenVectorEnv(SOURCES["mixed"], TOKENIZERS[tokenizer], num_envs, autoreset_mode=mode, **parts)
    theirs = SyncVectorEnv(
        [lambda: TokenEnv(TextEnv(SOURCES["mixed"]), TOKENIZERS[tokenizer], **parts)] * num_envs, autoreset_mode=mode
    )
    assert equal(ours.reset(seed=seed), theirs.reset(seed=seed))
    token = st.integers(0, min(ours.vocab_size, 300) - 1)
    for _ in range(data.draw(st.integers(1, 12))):
        tokens = np.array(data.draw(st.lists(token, min_size=num_envs, max_size=num_envs)))
        assert equal(ours.step(tokens), theirs.step(tokens))


@settings(deadline=None, max_examples=10)
@given(st.integers(1, 6), st.integers(0, 1000))
def test_what_a_row_draws_does_not_depend_on_the_number_of_rows(num_envs, seed):
    few, many = (TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], n, **PARTS) for n in (num_envs, num_envs + 30))
    assert (few.reset(seed=seed)[0] == many.reset(seed=seed)[0][:num_envs]).all()
    for _ in range(12):
        tokens = np.full(num_envs + 30, 5)
        assert (few.step(tokens[:num_envs])[0] == many.step(tokens)[0][:num_envs]).all()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("protocol", ["single", "several turns"])
@pytest.mark.parametrize("tokenizer", ["chars", "pairs"])
def test_state_resumes_exactly_through_json(mode, protocol, tokenizer):
    envs, twin = (
        TokenVectorEnv(SOURCES["mixed"], TOKENIZERS[tokenizer], 5, 11, mode, protocol=PROTOCOLS[protocol], **PARTS)
        for _ in range(2)
    )
    envs.reset(seed=8)
    rng = np.random.default_rng(1)
    for _ in range(4):
        for _ in range(int(rng.integers(1, 9))):
            envs.step(rng.integers(0, envs.vocab_size, size=5))
        twin.load_state_dict(json.loads(json.dumps(envs.state_dict())))
        for _ in range(12):
            tokens = rng.integers(0, envs.vocab_size, size=5)
            assert equal(envs.step(tokens), twin.step(tokens))
        assert equal(envs.reset(), twin.reset())


def test_a_state_before_the_first_reset_resumes_too():
    envs, twin = (TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 2, **PARTS) for _ in range(2))
    twin.load_state_dict(json.loads(json.dumps(envs.state_dict())))
    with pytest.raises(ResetNeeded):
        twin.step(np.array([4, 4]))
    assert equal(envs.reset(seed=1), twin.reset(seed=1))


def test_a_foreign_state_is_refused():
    envs = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 2, **PARTS)
    envs.reset(seed=0)
    state = envs.state_dict()
    with pytest.raises(UserError, match="state: it has 2 rows, this environment 3"):
        TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 3, **PARTS).load_state_dict(state)
    with pytest.raises(UserError, match="state: its windows have 7 tokens, not 3"):
        TokenVectorEnv(
            SOURCES["sums"], TOKENIZERS["chars"], 2, context_tokens=3, max_response_tokens=2
        ).load_state_dict(state)
    with pytest.raises(UserError, match="state: expected kind 'TokenVectorEnv'"):
        envs.load_state_dict(TextEnv(SOURCES["sums"]).state_dict())


def test_what_it_returns_is_the_callers_own():
    envs, twin = (TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 3, **PARTS) for _ in range(2))
    for result in (envs.reset(seed=0), envs.step(np.array([4, 5, 6])), envs.step(np.array([1, 1, 1]))):
        scribble(result)
    twin.reset(seed=0), twin.step(np.array([4, 5, 6])), twin.step(np.array([1, 1, 1]))
    assert equal(envs.step(np.array([4, 1, 6])), twin.step(np.array([4, 1, 6])))


def scribble(value):
    """Overwrite all arrays of a result."""
    if isinstance(value, dict):
        for item in value.values():
            scribble(item)
    elif isinstance(value, tuple):
        for item in value:
            scribble(item)
    elif isinstance(value, np.ndarray):
        value[...] = None if value.dtype == object else 1


def test_windows_slide_for_as_long_as_a_message_goes_on():
    envs = TokenVectorEnv(
        SOURCES["sums"], TOKENIZERS["chars"], 2, context_tokens=6, max_response_tokens=1000, max_response_chars=10**6
    )
    single = TokenEnv(TextEnv(SOURCES["sums"]), TOKENIZERS["chars"], context_tokens=6, max_response_tokens=1000)
    envs.reset(seed=[0, 1]), single.reset(seed=0)
    rng = np.random.default_rng(0)
    for _ in range(400):
        tokens = rng.integers(3, envs.vocab_size, size=2)
        windows, _, _, _, infos = envs.step(tokens)
        expected = single.step(tokens[0])
        assert (windows[0] == expected[0]).all()
    assert infos["response_so_far"][0] == expected[4]["response_so_far"]
    assert len(infos["response_so_far"][0]) == 400


def test_one_call_of_the_grader_for_the_messages_that_end():
    calls = []

    def counting(tasks, responses):
        calls.append(list(responses))
        return [Grade(0.5, False, "ok", None, "half") for _ in responses]

    envs = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 3, grader=counting, **PARTS)
    envs.reset(seed=0)
    envs.step(np.array([3, 4, 5]))
    _, rewards, terminated, _, infos = envs.step(np.array([envs.eos_id, 4, envs.eos_id]))
    assert calls == [["0", "2"]]
    assert rewards.tolist() == [0.5, 0.0, 0.5]
    assert terminated.tolist() == [True, False, True]
    assert infos["final_info"]["_extracted"].tolist() == [True, False, True]
    assert infos["final_info"]["extracted"].tolist() == ["", None, ""]


def test_given_problems_and_masks():
    envs = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 3, None, "Disabled", **PARTS)
    before = envs.reset(seed=0)[0]
    options = {"reset_mask": np.array([False, True, False]), "problems": [None, PROBLEM, None]}
    windows, infos = envs.reset(options=options)
    assert TOKENIZERS["chars"].decode(windows[1].tolist()) == "9+9="
    assert (windows[[0, 2]] == before[[0, 2]]).all()
    assert infos["_problem_id"].tolist() == [False, True, False]
    for token in [*TOKENIZERS["chars"].encode("18"), envs.eos_id]:
        _, rewards, terminated, _, infos = envs.step(np.array([4, token, 4]))
    assert (rewards[1], terminated[1], infos["correct"][1], infos["progress"][1]) == (1.0, True, True, 1.0)


def test_tasks_of_several_kinds_may_come_in_any_order():
    envs = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 2, **PARTS)
    one_by_one = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 2, protocol=OneAnswer(), **PARTS)
    other = replace(PROBLEM, task={**PROBLEM.task, "system": "Be brief.", "level": 3})
    rng = np.random.default_rng(0)
    for problems in ([None, None], [PROBLEM, other], [None, PROBLEM], [other, None]):
        assert equal(
            envs.reset(seed=5, options={"problems": problems}), one_by_one.reset(seed=5, options={"problems": problems})
        )
        for _ in range(8):
            tokens = rng.integers(0, envs.vocab_size, size=2)
            assert equal(envs.step(tokens), one_by_one.step(tokens))
        assert json.dumps(envs.state_dict()) == json.dumps(one_by_one.state_dict())


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([1, 2], "actions must be 3 token ids"),
        ([[1, 2, 3]], "actions must be 3 token ids"),
        ([1.0, 2.0, 3.0], "actions must be 3 token ids"),
        ([True, False, True], "actions must be 3 token ids"),
        (["1", "2", "3"], "actions must be 3 token ids"),
        ([1, -1, 2], r"an action must be a token id in 0\.\.25, got -1 in row 1"),
        ([1, 2, 26], r"an action must be a token id in 0\.\.25, got 26 in row 2"),
    ],
)
def test_actions_are_token_ids(actions, message):
    envs = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 3, **PARTS)
    with pytest.raises(ResetNeeded, match="call reset"):
        envs.step(np.array([1, 2, 3]))
    envs.reset(seed=0)
    with pytest.raises(UserError, match=message):
        envs.step(actions)


def test_masks_allow_everything_but_padding():
    envs = TokenVectorEnv(SOURCES["sums"], PairTokenizer(), 2, **PARTS)
    masks = envs.action_masks()
    assert (masks.dtype, masks.shape) == (np.bool_, (2, envs.vocab_size))
    assert np.argwhere(~masks).tolist() == [[0, 3], [1, 3]]
    masks[:] = False
    assert envs.action_masks().any()


def test_gymnasium_makes_it_with_every_parameter():
    envs = gym.make_vec(
        "rlenvs/ArithmeticTokens-v0",
        num_envs=3,
        autoreset_mode="Disabled",
        digits=1,
        context_tokens=5,
        max_response_tokens=3,
        max_episode_steps=9,
        split="held_out",
        render_mode="ansi",
    )
    assert isinstance(envs.unwrapped, TokenVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    windows, infos = envs.reset(seed=0)
    assert windows in envs.observation_space
    assert infos["split"].tolist() == ["held_out"] * 3
    assert envs.render()[0] == f"user:\n    {infos['messages'][0][0]['content']}"
    envs.step(envs.action_space.sample())
    envs.close()


def test_human_rendering_prints_every_conversation(capsys):
    envs = TokenVectorEnv(SOURCES["sums"], TOKENIZERS["chars"], 2, render_mode="human", **PARTS)
    envs.reset(seed=0)
    assert capsys.readouterr().out.count("user:") == 2


def test_wrappers_of_gymnasium_count_every_episode():
    envs = gym.wrappers.vector.RecordEpisodeStatistics(gym.make_vec("rlenvs/ArithmeticTokens-v0", num_envs=4))
    envs.reset(seed=0)
    for _ in range(12):
        envs.step(np.full(4, 4))
    assert list(envs.length_queue) == [4] * 12


def test_reward_layers_see_what_they_see_of_single_environments():
    config = {
        "reward_components": {
            "right": {"class": "CorrectnessReward"},
            "short": {"class": "LengthPenalty", "params": {"max_length": 1, "unit": "chars"}},
            "guide": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": 0.9}},
        }
    }
    own = gym.make_vec("rlenvs/ArithmeticTokens-v0", num_envs=5)
    sync = gym.make_vec(
        "rlenvs/ArithmeticTokens-v0",
        num_envs=5,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": "SameStep"},
    )
    shaped = [VectorShapedReward(envs, config) for envs in (own, sync)]
    shaped[0].reset(seed=4), shaped[1].reset(seed=4)
    rng = np.random.default_rng(0)
    for _ in range(30):
        tokens = rng.integers(1, 13, size=5)
        ours, theirs = (envs.step(tokens) for envs in shaped)
        assert equal(ours[:4], theirs[:4])
        assert equal(ours[4]["reward_components"], theirs[4]["reward_components"])
