"""Did-you-mean."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.suggestions import did_you_mean, nearest

WORDS = ["learning_rate", "clip", "gamma", "LengthPenalty", "Correctness"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("learning_rte", "learning_rate"),
        ("Lenght", "LengthPenalty"),
        ("correctness", "Correctness"),
        ("gama", "gamma"),
        ("clpi", "clip"),
        ("temperature", None),
        ("", None),
    ],
)
def test_nearest(word: str, expected: str | None) -> None:
    assert nearest(word, WORDS) == expected
    assert did_you_mean(word, WORDS) == ("" if expected is None else f"; did you mean {expected!r}?")


@settings(deadline=None)
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=6), st.data())
def test_a_known_word_is_nearest_to_itself_up_to_case(words: list[str], data: st.DataObject) -> None:
    word = data.draw(st.sampled_from(words))
    found = nearest(word, words)
    assert found is not None
    assert found.casefold() == word.casefold()


@settings(deadline=None)
@given(st.sampled_from(WORDS), st.data())
def test_one_dropped_letter_is_recognised(word: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(word) - 1))
    assert nearest(word[:position] + word[position + 1 :], WORDS) == word
