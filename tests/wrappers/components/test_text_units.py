"""Words, marks and n-grams."""

import re
import sys
import unicodedata

import pytest
from hostile_texts import HOSTILE, any_text, lines_run, responses
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.wrappers.components.text_units import (
    MAX_COMBINING_RUN,
    PhraseTable,
    character_ranges,
    fold,
    ngrams,
    patterns,
    shorten_combining_runs,
    words,
    words_and_marks,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  ...  ", []),
        ("It's 5 o'clock", ["it's", "5", "o'clock"]),
        ("'quoted' rock\u2019n\u2019roll", ["quoted", "rock'n'roll"]),
        ("snake_case, kebab-case", ["snake", "case", "kebab", "case"]),
        ("STRASSE straße ﬁne", ["strasse", "strasse", "fine"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("我爱 Python3", ["我", "爱", "python3"]),
        ("un\u00adhappy un\u200bhappy a\ufe0f", ["unhappy", "unhappy", "a"]),
        ("\ud800 x\ud800y", ["x", "y"]),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def test_scripts_without_spaces_have_a_word_per_letter():
    assert words("ภาษาไทย") == ["ภ", "า", "ษ", "า", "ไ", "ท", "ย"]
    assert words("ที่นี่") == ["ที่", "นี่"]  # vowel signs and tone marks stay with their letter


@given(any_text)
def test_words_and_marks_hold_every_visible_character_once(text):
    assert "".join(words_and_marks(text)) == "".join(fold(text).split())


@given(responses)
def test_words_are_the_words_among_words_and_marks(text):
    units = words_and_marks(text)
    assert [unit for unit in units if patterns().word.fullmatch(unit)] == words(text)


@given(any_text.filter(str.isascii))
def test_the_short_way_for_ascii_gives_what_the_long_way_gives(text):
    folded = fold(text)
    assert folded == unicodedata.normalize("NFKC", text).casefold()
    assert words(text) == patterns().word.findall(folded)
    assert words_and_marks(text) == patterns().word_or_mark.findall(folded)


def test_the_patterns_know_all_marks_and_format_characters():
    characters = "".join(map(chr, range(sys.maxunicode + 1)))
    marks = {one for one in characters if unicodedata.category(one)[0] == "M"}
    formats = {one for one in characters if unicodedata.category(one) == "Cf"}
    assert set("".join(patterns().marks.findall(characters))) == marks
    assert formats <= set("".join(patterns().invisible.findall(characters)))
    assert not re.search(r"[^\W_]", "".join(marks))  # no character is both a letter and a mark


def test_every_character_that_normalisation_sorts_counts_into_a_run():
    run = patterns().combining_run
    for code in range(sys.maxunicode + 1):
        if unicodedata.combining(unicodedata.normalize("NFKD", chr(code))[0]):
            assert run.fullmatch(chr(code) * (MAX_COMBINING_RUN + 1)), hex(code)


@pytest.mark.parametrize("text", [HOSTILE["combining"], HOSTILE["half_width_voicing"]])
def test_a_run_of_marks_is_cut_because_sorting_it_takes_quadratic_time(text):
    assert len(shorten_combining_runs(text)) == 1 + MAX_COMBINING_RUN


def test_no_character_becomes_more_than_eight():
    characters = map(chr, range(sys.maxunicode + 1))
    longer = {one for one in characters if len(unicodedata.normalize("NFKC", one).casefold()) > 8}
    assert longer == {"\ufdfa"}
    assert len(fold("\ufdfa")) == 4


@given(st.integers(0, MAX_COMBINING_RUN))
def test_runs_that_writing_needs_stay(length):
    text = "a" + "\u0301" * length + "b"
    assert shorten_combining_runs(text) == text


@given(st.sets(st.integers(0x61, 0x7A), min_size=1))
def test_character_ranges_hold_what_they_were_made_of(codes):
    matcher = re.compile(f"[{character_ranges(sorted(codes))}]")
    assert {code for code in range(0x50, 0x90) if matcher.match(chr(code))} == codes


@given(st.lists(st.sampled_from("abc"), max_size=12), st.integers(1, 14))
def test_ngrams_are_the_slices(units, size):
    assert list(ngrams(units, size)) == [tuple(units[i : i + size]) for i in range(len(units) - size + 1)]


phrases = st.lists(st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(tuple), min_size=1, max_size=5)


@given(phrases, st.lists(st.sampled_from("abc"), max_size=20))
def test_phrases_are_counted_as_by_comparing_every_slice(table, units):
    expected = {
        phrase: count
        for phrase in set(table)
        if (count := sum(tuple(units[i : i + len(phrase)]) == phrase for i in range(len(units))))
    }
    assert PhraseTable(table).count(units) == expected


def test_looking_for_more_phrases_costs_no_more():
    units = [f"w{i % 97}" for i in range(2_000)]
    few, many = (PhraseTable([(f"w{i}", f"x{j}") for i in range(3) for j in range(n)]) for n in (1, 500))
    assert lines_run(lambda: few.count(units)) == lines_run(lambda: many.count(units))
