"""Sequences to copy or reverse: what is asked, what is right, which problems share a split."""

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rlenvs  # noqa: F401 - registers the ids
from rlenvs.errors import UserError
from rlenvs.graders import grade
from rlenvs.problems import SequenceSource
from rlenvs.problems.problem import split_of
from rlenvs.problems.sequences import SYMBOLS

sources = st.builds(
    lambda symbols, lengths, order: SequenceSource("".join(sorted(symbols)), min(lengths), max(lengths), order),
    st.sets(st.sampled_from(SYMBOLS), min_size=3, max_size=10),
    st.tuples(st.integers(3, 8), st.integers(3, 8)),
    st.sampled_from(["same", "reversed", "both"]),
)


@given(source=sources, seed=st.integers(0, 2**31))
def test_the_sign_says_what_is_right(source, seed):
    problem = source.sample(np.random.default_rng(seed), "train")
    sequence, sign = problem.prompt[:-1], problem.prompt[-1]
    answer = {">": sequence, "<": sequence[::-1]}[sign]
    assert (sign == ">") <= (source.order != "reversed")
    assert (sign == "<") <= (source.order != "same")
    assert source.min_length <= len(sequence) <= source.max_length
    assert set(sequence) <= set(source.symbols)
    assert problem.demonstration == problem.task["gold"] == answer
    assert grade(problem.task, answer).correct
    for wrong in (answer[:-1], answer + source.symbols[0], answer[1:] + "?", ""):
        assert not grade(problem.task, wrong).correct
    assert problem.difficulty == len(sequence) / source.max_length / (1 if sign == "<" else 2)


@given(source=sources, seed=st.integers(0, 2**31), split=st.sampled_from(["train", "held_out"]))
def test_a_mirror_image_never_stands_in_the_other_split(source, seed, split):
    sequence = source.sample(np.random.default_rng(seed), split).prompt[:-1]
    assert split_of(min(sequence, sequence[::-1]), source.held_out_fraction) == split


def test_lengths_and_orders_are_uniform():
    source = SequenceSource(min_length=2, max_length=5, order="both", held_out_fraction=0.0)
    rng = np.random.default_rng(0)
    prompts = [source.sample(rng, "train").prompt for _ in range(4000)]
    lengths = np.bincount([len(prompt) - 1 for prompt in prompts])[2:]
    # Four cells of 1000 draws: chi-square with three degrees of freedom exceeds 16.3 once in a thousand.
    assert ((lengths - 1000) ** 2 / 1000).sum() < 16.3
    assert abs(sum(prompt.endswith("<") for prompt in prompts) - 2000) < 3.3 * np.sqrt(1000)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"symbols": "a"}, "symbols must be at least two different lower-case letters or digits, got 'a'"),
        ({"symbols": "aa"}, "symbols must be at least two"),
        ({"symbols": "aB"}, "symbols must be at least two"),
        ({"symbols": 3}, "symbols must be at least two"),
        ({"min_length": 0}, r"min_length must be an int in 1\.\.64, got 0"),
        ({"max_length": 65}, r"max_length must be an int in 1\.\.64, got 65"),
        ({"min_length": 5}, "min_length must be <= max_length=4, got 5"),
        ({"order": "reverse"}, "order must be one of same, reversed, both, got 'reverse'; did you mean 'reversed'"),
    ],
)
def test_mistakes_are_named(parameters, message):
    with pytest.raises(UserError, match=message):
        gym.make("rlenvs/Sequence-v0", **parameters)


@pytest.mark.parametrize("order", ["same", "reversed"])
def test_progress_at_token_level_is_the_share_of_right_symbols(order):
    env = gym.make("rlenvs/SequenceTokens-v0", order=order).unwrapped
    window, info = env.reset(seed=1)
    assert len(window) == 5 + 5
    assert env.action_space.n == 3 + 8 + 1
    tokens = env.tokenizer.encode(info["task"]["gold"])
    seen = [env.step(token)[4]["progress"] for token in tokens]
    assert seen == [0.25, 0.5, 0.75, 1.0]
    assert env.step(env.eos_id)[1:3] == (1.0, True)


def test_few_sequences_are_listed_whole_and_each_once():
    source = SequenceSource("abc", 1, 3, "both", held_out_fraction=0.3)
    splits = {split: source.problems(split) for split in ("train", "held_out")}
    prompts = [problem.prompt for problems in splits.values() for problem in problems]
    assert len(prompts) == len(set(prompts)) == source.size == 2 * (3 + 9 + 27)
    assert all(problem.split == split for split, problems in splits.items() for problem in problems)
    some = source.problems("train", limit=5, seed=1)
    assert len({problem.id for problem in some}) == 5
    assert set(map(str, some)) <= set(map(str, splits["train"]))
    assert source.problems("train", limit=10**6) == splits["train"]
    rng = np.random.default_rng(0)
    drawn = {source.sample(rng, "held_out").id for _ in range(2000)}
    assert drawn == {problem.id for problem in splits["held_out"]}
    with pytest.raises(UserError, match=r"the held_out split of SequenceSource.* is empty"):
        SequenceSource("ab", 1, 1, held_out_fraction=0.0).problems("held_out")
    with pytest.raises(UserError, match="SequenceSource has no end of problems: pass limit=N"):
        SequenceSource(max_length=9).problems("train")
