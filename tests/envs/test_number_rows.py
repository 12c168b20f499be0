"""Rows kept as numbers against rows kept as objects, one episode at a time."""

import itertools
import json

import numpy as np
import pytest
from collated_results import equal
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.envs import ByteTokenizer, CharTokenizer, SingleAnswer
from rlenvs.envs.episode_rows import SingleAnswerRows
from rlenvs.envs.number_rows import NumberRows
from rlenvs.envs.token_rows import Written, code_points
from rlenvs.envs.token_vector_env import TokenVectorEnv
from rlenvs.envs.verdicts import plain_points, surely_wrong
from rlenvs.errors import UserError
from rlenvs.graders import grade_batch
from rlenvs.problems import ArithmeticSource

CHARS = CharTokenizer("0123456789+-*= ")
PARTS = {"context_tokens": 9, "max_response_tokens": 4}
UNKNOWN = "\u25a1"


class OneAnswer(SingleAnswer):
    """The same rule under another name: its episodes are played one by one."""


def vectors(source, tokenizer, mode, num_envs=5, **parts):
    return [
        TokenVectorEnv(source, tokenizer, num_envs, 7, mode, protocol=protocol, **{**PARTS, **parts})
        for protocol in (SingleAnswer(), OneAnswer())
    ]


def drawn_tokens(envs, infos, rng):
    """Right tokens, mostly."""
    tokens = rng.integers(0, envs.vocab_size, size=envs.num_envs)
    for row, (episode, so_far) in enumerate(zip(envs.episodes, infos["response_so_far"], strict=True)):
        rest = envs.tokenizer.encode(episode.problem.demonstration)[len(so_far or "") :]
        if rng.random() < 0.7:
            tokens[row] = rest[0] if rest else envs.eos_id
    return tokens


@pytest.mark.parametrize("mode", ["SameStep", "NextStep", "Disabled"])
@pytest.mark.parametrize("tokenizer", [CHARS, ByteTokenizer()])
@pytest.mark.parametrize(
    "source",
    [
        ArithmeticSource(digits=2, operators="+-*"),
        ArithmeticSource(operands=4, digits=1, operators="+-", zero_pad=True, prompt_template="What is {expression}?"),
        ArithmeticSource(chain_length=2, digits=1, operators="-"),
    ],
)
def test_rows_of_numbers_are_rows_of_objects(source, tokenizer, mode):
    numbers, objects = vectors(source, tokenizer, mode)
    assert type(numbers.conversations) is NumberRows
    assert type(objects.conversations) is not NumberRows
    result = numbers.reset(seed=3)
    assert equal(result, objects.reset(seed=3))
    rng, infos, ends = np.random.default_rng(1), result[1], 0
    for _ in range(70):
        tokens = drawn_tokens(numbers, infos, rng)
        ours, theirs = numbers.step(tokens), objects.step(tokens)
        assert equal(ours, theirs)
        infos, ends = ours[4], ends + int((ours[2] | ours[3]).sum())
        if mode == "Disabled" and numbers.over.all():
            result = numbers.reset(), objects.reset()
            assert equal(*result)
            infos = result[0][1]
        infos = {"response_so_far": [text or "" for text in infos.get("response_so_far", [""] * 5)]}
    assert json.dumps(numbers.state_dict()) == json.dumps(objects.state_dict())
    assert ends > 12


@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_infos_that_are_read_late_say_what_they_said(mode):
    early, late = (vectors(ArithmeticSource(), CHARS, mode, num_envs=6)[0] for _ in range(2))
    rng = np.random.default_rng(0)
    results = [(early.reset(seed=1), late.reset(seed=1))]
    results[0][0][1].keys()
    for _ in range(200):
        tokens = rng.integers(1, CHARS.vocab_size, size=6)
        results.append((early.step(tokens), late.step(tokens)))
        results[-1][0][4].keys()
    assert all(equal(*pair) for pair in results)


def test_states_and_given_problems_end_in_numbers_again():
    source = ArithmeticSource(digits=1)
    numbers, objects = vectors(source, CHARS, "SameStep", num_envs=3)
    given = [None, source.problems("held_out")[0], None]
    for envs in (numbers, objects):
        envs.reset(seed=2, options={"problems": given})
    rng = np.random.default_rng(0)
    for place in range(40):
        if place == 20:
            for envs in (numbers, objects):
                envs.load_state_dict(json.loads(json.dumps(envs.state_dict())))
        tokens = rng.integers(0, CHARS.vocab_size, size=3)
        assert equal(numbers.step(tokens), objects.step(tokens))
        assert equal(numbers.render(), objects.render())
    assert isinstance(numbers.conversations, NumberRows)
    assert not numbers.conversations.given.any()


@pytest.mark.parametrize(
    "source",
    [
        ArithmeticSource(answer_order="reversed"),
        ArithmeticSource(extract="last_marker", markers=["A:"]),
        ArithmeticSource(digits=9, operands=8, operators="*"),
    ],
)
def test_what_does_not_suit_numbers_is_left_to_objects(source):
    envs = vectors(source, CharTokenizer(source.alphabet), "SameStep")[0]
    assert type(envs.conversations) is SingleAnswerRows


def test_a_grader_of_ones_own_judges_every_answer():
    asked = []

    def strict(tasks, responses):
        asked.extend(responses)
        return grade_batch(tasks, responses)

    envs = TokenVectorEnv(ArithmeticSource(), CHARS, 2, grader=strict, **PARTS)
    envs.reset(seed=0)
    envs.step(np.array([CHARS.eos_token_id] * 2))
    assert asked == ["", ""]


def test_prompts_and_answers_beyond_the_limits():
    with pytest.raises(UserError, match="max_prompt_chars is 5"):
        TokenVectorEnv(ArithmeticSource(zero_pad=True), CHARS, 2, max_prompt_chars=5, **PARTS).reset(seed=0)
    pair = vectors(ArithmeticSource(), CHARS, "SameStep", num_envs=2, max_response_chars=2)
    for envs in pair:
        envs.reset(seed=0)
    for _ in range(8):
        assert equal(*[envs.step(np.array([5, 6])) for envs in pair])


ALPHABET = "0125+-*=" + UNKNOWN


def test_what_is_surely_wrong_is_wrong():
    """All texts of up to three characters, against every integer that could be read out of them."""
    tasks, texts = [], []
    for text in map("".join, itertools.chain(*(itertools.product(ALPHABET, repeat=size) for size in (1, 2, 3)))):
        digits = "".join(filter(str.isdigit, text)) or "0"
        left, right = int(digits[0]), int(digits[-1])
        golds = {0, 1, 2, 5, int(digits), left + right, left * right, left - right, right}
        for gold in golds | {-value for value in golds}:
            tasks.append({"type": "math", "question": "", "gold": str(gold), "extract": "whole"})
            texts.append(text)
    written = Written.of(texts)
    golds = code_points([task["gold"] for task in tasks], 4)
    wrong = surely_wrong(written.points, golds)
    plain = plain_points(written.points, written.sizes)
    same = np.array([text == task["gold"] for text, task in zip(texts, tasks, strict=True)])
    asked = np.flatnonzero(wrong | plain)
    grades = grade_batch([tasks[place] for place in asked], [texts[place] for place in asked])
    assert [grade.correct for grade in grades] == same[asked].tolist()
    assert (wrong & ~plain).mean() > 0.5


@settings(deadline=None, max_examples=60)
@given(st.text(ALPHABET + "34 ./,x", min_size=1, max_size=8), st.integers(-(10**6), 10**6))
def test_what_is_surely_wrong_is_wrong_in_longer_texts(text, gold):
    task = {"type": "math", "question": "", "gold": str(gold), "extract": "whole"}
    if surely_wrong(Written.of([text]).points, code_points([str(gold)], 8))[0]:
        assert not grade_batch([task], [text])[0].correct
