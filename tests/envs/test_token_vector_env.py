import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from rlenvs.envs import CharTokenizer, Protocol, SingleAnswer, TextEnv, TokenEnv, Turn
from rlenvs.envs.byte_tokenizer import ByteTokenizer
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.problems import ArithmeticSource, Problem, ProblemSource

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
PROTOCOLS = {"single": SingleAnswer(), "by object": OneAnswer(), "several turns": Tries()}


def equal(a, b):
    """Equality of everything that a vector environment returns, types of arrays and of their items included."""
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, np.ndarray):
        if not isinstance(b, np.ndarray) or a.dtype != b.dtype or a.shape != b.shape:
            return False
        return all(map(equal, a, b)) if a.dtype == object else bool((a == b).all())
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b and (type(a) is type(b) or isinstance(a, np.generic | dict))


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
            tokens[row] = rest[0] if rest else envs.eos_token_id if hasattr(envs, "eos_token_id") else envs.eos_id
    return tokens


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("mode", MODES[:2])
def test_equals_the_synchronous_vector_environment_of_gymnasium(mode, tokenizer, source, protocol):
    parts = {"context_tokens": 7, "max_response_tokens": LIMIT}
    ours = TokenVectorEnv(
        SOURCES[source], TOKENIZERS[tokenizer], 6, 9, mode, protocol=PROTOCOLS[protocol], max_response_chars=6, **parts
    )

    def make_single():
        turn = TextEnv(SOURCES[source], protocol=PROTOCOLS[protocol], max_response_chars=6)
        return gym.wrappers.TimeLimit(TokenEnv(turn, TOKENIZERS[tokenizer], **parts), 9)

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
