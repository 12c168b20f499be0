"""Repetition within a message and diversity across a batch."""

import math
from collections import Counter

import numpy as np
import pytest
from hostile_texts import HOSTILE, UNENDED, ended, lines_run, responses
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers.components.repetition import DiversityReward, RepetitionPenalty, unique_ratio
from rlenvs.wrappers.components.text_units import words

FORMS = ("ngram", "unique_ratio")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("a b", 0.0),  # no trigram
        ("a b c d e", 0.0),
        ("a b c a b c", -0.25),  # abc bca cab abc: 3 of 4 distinct
        ("x x x x x", -2 / 3),  # 1 of 3
        ("!!!!!", -2 / 3),  # marks count too
        ("A b C a B c", -0.25),  # case does not hide it
        ("a\u200b b c a b\ufe0f c", -0.25),  # nor do invisible characters
    ],
)
def test_ngram_form_is_the_share_of_repeated_trigrams(text, expected):
    assert RepetitionPenalty()(ended(text)) == pytest.approx(expected)


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=20), st.integers(1, 4))
def test_ngram_form_equals_the_formula_of_open_r1(tokens, size):
    grams = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    expected = 0.0 if not grams else -0.7 * (1 - len(set(grams)) / len(grams))
    assert RepetitionPenalty(penalty=-0.7, ngram_size=size)(ended(" ".join(tokens))) == pytest.approx(expected)


@given(st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=20))
def test_unique_ratio_form_is_linear_below_the_threshold(tokens):
    ratio = len(set(tokens)) / len(tokens)
    expected = -3.0 * (0.5 - ratio) if ratio < 0.5 else 0.0
    assert RepetitionPenalty("unique_ratio", penalty=-3.0)(ended(", ".join(tokens))) == pytest.approx(expected)


def test_characters_find_one_word_without_end():
    endless = ended("a" * 500)
    assert RepetitionPenalty()(endless) == 0.0
    assert RepetitionPenalty(unit="chars")(endless) == pytest.approx(-(1 - 1 / 498))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=30), st.integers(1, 12))
def test_windowed_ratio_is_the_mean_over_all_windows(items, window):
    windows = [items[i : i + window] for i in range(max(1, len(items) - window + 1))]
    expected = np.mean([len(set(part)) / len(part) for part in windows])
    assert unique_ratio(items, window) == pytest.approx(expected)


def test_a_window_takes_the_length_out():
    block = " ".join(f"word{i}" for i in range(50))
    long_text = ended(f"{block} " * 20)
    assert RepetitionPenalty("unique_ratio", window=50)(long_text) == 0.0
    assert RepetitionPenalty("unique_ratio")(long_text) == pytest.approx(-0.45)


@pytest.mark.parametrize("form", FORMS)
@given(text=responses)
def test_range_of_the_penalty(form, text):
    component = RepetitionPenalty(form, penalty=-2.0)
    assert -2.0 * component.threshold <= component(ended(text)) <= 0.0


@given(responses)
def test_saying_it_all_again_is_never_better(text):
    component = RepetitionPenalty("unique_ratio")
    assert component(ended(f"{text} {text}")) <= component(ended(text))


@pytest.mark.parametrize("window", [None, 20])
def test_cost_is_linear(window):
    component = RepetitionPenalty(window=window)
    short, long = (lines_run(lambda n=n: component(ended("a b c d e " * n))) for n in (200, 2_000))
    assert long <= 11 * short


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"form": "bigram"}, "form must be one of"),
        ({"penalty": 1.0}, "penalty must be <= 0"),
        ({"penalty": float("inf")}, "penalty must be a finite"),
        ({"ngram_size": 0}, "ngram_size must be >= 1"),
        ({"threshold": 1.5}, "threshold must be between 0 and 1"),
        ({"unit": "letters"}, "unit must be one of"),
        ({"window": 0}, "window must be >= 1"),
    ],
)
def test_repetition_refuses(parameters, message):
    with pytest.raises(ParameterError, match=message):
        RepetitionPenalty(**parameters)


def cosine(first: Counter, second: Counter) -> float:
    dot = sum(first[key] * second[key] for key in first)
    return dot / math.sqrt(sum(n * n for n in first.values()) * sum(n * n for n in second.values()))


vocabularies = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=8).map(" ".join)


@given(st.lists(vocabularies, min_size=2, max_size=8))
def test_similarity_equals_the_mean_over_all_pairs(texts):
    counts = [Counter(text.split()) for text in texts]
    expected = [
        1 - np.mean([cosine(own, other) for j, other in enumerate(counts) if j != i]) for i, own in enumerate(counts)
    ]
    assert DiversityReward(ngram_size=1).batch(list(map(ended, texts))) == pytest.approx(expected, abs=1e-9)


@given(st.lists(vocabularies, min_size=2, max_size=8))
def test_distinct_equals_set_differences(texts):
    sets = [set(text.split()) for text in texts]
    expected = [
        len(own - set().union(*(other for j, other in enumerate(sets) if j != i))) / len(own)
        for i, own in enumerate(sets)
    ]
    assert DiversityReward("distinct", ngram_size=1).batch(list(map(ended, texts))) == pytest.approx(expected)


@pytest.mark.parametrize("metric", ["similarity", "distinct"])
@given(texts=st.lists(responses, max_size=6), order=st.randoms(use_true_random=False))
def test_diversity_is_in_range_and_follows_its_message(metric, texts, order):
    component = DiversityReward(metric)
    values = component.batch(list(map(ended, texts)))
    assert all(0 <= value <= 1 for value in values)
    assert all(value == 0 for text, value in zip(texts, values, strict=True) if not words(text))
    places = list(range(len(texts)))
    order.shuffle(places)
    again = component.batch([ended(texts[place]) for place in places])
    assert again == pytest.approx([values[place] for place in places], abs=1e-9)


@pytest.mark.parametrize("metric", ["similarity", "distinct"])
def test_copies_have_no_diversity_and_strangers_all_of_it(metric):
    component = DiversityReward(metric)
    assert component.batch([ended("one two three")] * 3) == pytest.approx([0, 0, 0], abs=1e-12)
    assert component.batch([ended("one two"), ended("three four")]) == [1.0, 1.0]
    assert component.batch([ended("yes"), ended("yes"), ended("no")])[2] == 1.0  # shorter than a bigram


def test_a_message_alone_has_a_defined_value():
    assert DiversityReward()(ended("alone")) == 0.0
    component = DiversityReward(alone_value=0.5)
    assert component(ended("alone")) == 0.5
    assert component.batch([]) == []
    # Neither silence nor an unfinished message is something to be compared with, or to be paid for.
    assert component.batch([ended("alone"), ended(" ... "), UNENDED]) == [0.5, 0.0, 0.0]


def test_groups_of_one_prompt_are_compared_among_themselves():
    batch = [ended("x y", prompt=prompt) for prompt in ("p", "p", "q", "r")]
    assert DiversityReward(within="batch").batch(batch) == pytest.approx([0] * 4, abs=1e-12)
    assert DiversityReward(within="prompt", alone_value=1.0).batch(batch) == pytest.approx([0, 0, 1, 1], abs=1e-12)


@pytest.mark.parametrize("metric", ["similarity", "distinct"])
def test_diversity_costs_what_the_text_costs_not_the_pairs(metric):
    component = DiversityReward(metric)

    def cost(messages: int) -> int:
        batch = [ended(f"some text of message {i} " * 5) for i in range(messages)]
        return lines_run(lambda: component.batch(batch))

    assert cost(400) <= 11 * cost(40)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "cosine"}, "metric must be one of"),
        ({"within": "group"}, "within must be one of"),
        ({"ngram_size": 0}, "ngram_size must be >= 1"),
        ({"alone_value": float("nan")}, "alone_value must be a finite"),
    ],
)
def test_diversity_refuses(parameters, message):
    with pytest.raises(ParameterError, match=message):
        DiversityReward(**parameters)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_scored(name):
    message = ended(HOSTILE[name])
    for component in (RepetitionPenalty(), RepetitionPenalty("unique_ratio", window=100)):
        assert -1 <= component(message) <= 0
    assert all(0 <= value <= 1 for value in DiversityReward().batch([message, ended("other words")]))
    assert RepetitionPenalty()(UNENDED) == 0.0
