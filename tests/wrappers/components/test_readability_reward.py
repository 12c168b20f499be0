"""Flesch and Kincaid, syllables and sentences."""

import pytest
from hostile_texts import HOSTILE, UNENDED, ended, lines_run, responses
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers import Score
from rlenvs.wrappers.components.readability import (
    ReadabilityReward,
    TextCounts,
    count_syllables,
    count_text,
    flesch_kincaid_grade,
    flesch_reading_ease,
)

# As dictionaries hyphenate them.
SYLLABLES = """
janet 2 ducks 1 sixteen 2 eggs 1 breakfast 2 bakes 1 muffins 2 friends 1 remainder 3 farmers 2 daily 2 dollars 2
fiber 2 decides 2 flipping 2 house 1 repairs 2 increased 2 profit 2 sprints 1 chickens 2 mixed 1 vegetables 4 healthy 2
gives 1 separate 3 afternoon 3 glasses 2 apartment 3 discount 2 price 1 together 3 gigabyte 3 minute 2 restart 2
update 2 hours 1 distance 2 traffic 2 hourly 2 overtime 3 worked 1 bought 1 necklaces 3 animals 3 pieces 2 received 2
twelve 1 government 3 responsible 4 environment 4 technology 4 available 4 development 4 information 4 education 4
necessary 4 knowledge 2 opportunity 5 temperature 4 literature 4 comfortable 4 chocolate 3 restaurant 3 vehicle 3
obvious 3 religion 3 decision 3 occasion 3 physician 3 immediate 4 appreciate 4 scientific 4 biology 4 psychology 4
encyclopedia 6 vacuum 2 building 2 guilty 2 juice 1 cruise 1 fruit 1 chaos 2 cooperate 4 mosaic 3 skiing 2 shoes 1
goes 1 bureau 2 beauty 2 plateau 2 queue 1 league 1 technique 2 island 2 muscle 2 castle 2 listened 2 happened 2
schedule 2 procedure 3 measure 2 surely 2 lonely 2 completely 3 extremely 3 definitely 4 approximately 5 the 1 people 2
being 2 something 2 every 2 didn't 2 don't 1 rhythm 2 hundred 2 wanted 2 jumped 1 theatre 3 idea 3 lion 2 quiet 2
sociology 5 koala 3 naive 2 aisle 1 oasis 3 california 4
""".split()  # noqa: SIM905 - a table


def test_most_words_have_the_syllables_of_the_dictionary():
    table = dict(zip(SYLLABLES[::2], map(int, SYLLABLES[1::2]), strict=True))
    wrong = {word for word, syllables in table.items() if count_syllables(word) != syllables}
    assert wrong == {"sociology", "koala", "naive", "aisle", "oasis", "california"}  # what rules over letters miss
    assert len(wrong) < 0.05 * len(table)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", TextCounts(0, 0, 0)),
        ("...!?", TextCounts(0, 0, 0)),
        ("3.5 + 4 = 7.5", TextCounts(0, 0, 0)),
        ("Yes", TextCounts(1, 1, 1)),
        ("It weighs 3.5 kg. Is it much?! No...", TextCounts(7, 3, 7)),
        ('He said "Stop." She did.', TextCounts(5, 2, 5)),
        ("A title\n\nthe text goes on\nand on", TextCounts(8, 2, 9)),
        ("Buy:\n- milk\n- bread\n1. now", TextCounts(4, 4, 4)),
    ],
)
def test_counts(text, expected):
    assert count_text(text) == expected


def test_formulas_on_a_text_counted_by_hand():
    # the quick brown fox jumps o-ver the la-zy dog / it runs a-way
    counts = count_text("The quick brown fox jumps over the lazy dog. It runs away!")
    assert counts == TextCounts(words=12, sentences=2, syllables=15)
    assert flesch_reading_ease(counts) == pytest.approx(206.835 - 1.015 * 6 - 84.6 * 1.25)
    assert flesch_kincaid_grade(counts) == pytest.approx(0.39 * 6 + 11.8 * 1.25 - 15.59)


PLAIN = "Plants need light to grow. They drink water with their roots. The sun gives them food. We need them to live."
HARD = (
    "Photosynthetic organisms incorporate electromagnetic radiation, subsequently synthesising carbohydrates "
    "through biochemical transformation of atmospheric carbon dioxide, thereby facilitating heterotrophic existence."
)


@pytest.mark.parametrize("metric", ["flesch_reading_ease", "flesch_kincaid_grade"])
def test_both_formulas_tell_plain_from_hard(metric):
    hard = {"flesch_reading_ease": (-200.0, 30.0), "flesch_kincaid_grade": (15.0, 60.0)}[metric]
    component = ReadabilityReward(metric, *hard)
    assert component(ended(HARD)) == Score(1.0)
    assert component(ended(PLAIN)) == Score(0.0)


@given(st.floats(-50, 150), st.floats(0, 40), st.floats(1, 60))
def test_reward_falls_linearly_outside_the_range(low, width, tolerance):
    ease = flesch_reading_ease(count_text(PLAIN))
    distance = max(low - ease, 0, ease - low - width)
    component = ReadabilityReward(min=low, max=low + width, tolerance=tolerance)
    assert component(ended(PLAIN)).value == pytest.approx(max(0, 1 - distance / tolerance), abs=1e-9)


def test_too_few_words_have_no_readability():
    assert ReadabilityReward(min_words=3)(ended("Two words.")) == Score(0.0, "invalid")
    assert ReadabilityReward(min_words=2)(ended("Two words.")).status == "ok"


@given(responses)
def test_range(text):
    for metric in ("flesch_reading_ease", "flesch_kincaid_grade"):
        assert 0 <= ReadabilityReward(metric, min_words=1)(ended(text)).value <= 1


@given(responses)
def test_counts_add_up(text):
    counts = count_text(text)
    assert counts.sentences <= counts.words <= counts.syllables


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_are_scored(name):
    assert 0 <= ReadabilityReward(min_words=1)(ended(HOSTILE[name])).value <= 1


def test_cost_is_linear():
    short, long = (lines_run(lambda n=n: count_text("Some words here, and there. " * n)) for n in (50, 500))
    assert long <= 11 * short


def test_unended_message():
    assert ReadabilityReward()(UNENDED) == Score(0.0)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "smog"}, "metric must be one of"),
        ({"min": 70, "max": 60}, "max leaves no range"),
        ({"min": 90}, "min leaves no range: min 90, max 80"),
        ({"max": float("nan")}, "max must be a finite"),
        ({"tolerance": 0}, "tolerance must be > 0"),
        ({"min_words": 0}, "min_words must be >= 1"),
    ],
)
def test_refused_parameters_are_named(parameters, message):
    with pytest.raises(ParameterError, match=message) as caught:
        ReadabilityReward(**parameters)
    assert caught.value.parameter in parameters
