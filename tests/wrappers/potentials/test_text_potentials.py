"""Length and keyword potentials against their formulas."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers import RewardState
from rlenvs.wrappers.potentials import KeywordCoveragePotential, TargetLengthPotential


def writing(text: str, **info: object) -> RewardState:
    return RewardState(info={"response_so_far": text, **info})


@given(length=st.integers(0, 60), target=st.integers(1, 30), scale=st.none() | st.floats(0.1, 50.0))
@pytest.mark.parametrize("unit", ["words", "chars", "tokens"])
def test_target_length_is_the_formula_in_every_unit(unit, length, target, scale):
    text = {"words": "w " * length, "chars": "x" * length, "tokens": "any"}[unit]
    info = {"response_tokens": length} if unit == "tokens" else {}
    found = TargetLengthPotential(target, unit, scale)(writing(text, **info))
    assert found == max(0.0, 1.0 - abs(length - target) / (scale or target))
    assert 0.0 <= found <= 1.0


def test_target_length_climbs_to_the_target_and_falls_behind_it():
    near = TargetLengthPotential(10, "chars")
    values = [near(writing("x" * n)) for n in range(25)]
    assert values[0] == 0.0
    assert values[10] == max(values) == 1.0
    assert values[:11] == sorted(values[:11])
    assert values[10:] == sorted(values[10:], reverse=True)


def test_target_length_in_tokens_needs_someone_who_counts():
    near = TargetLengthPotential(5, "tokens")
    assert near(RewardState()) == 0.0
    with pytest.raises(KeyError, match="response_tokens"):
        near(writing("some words"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": 0}, "target must be >= 1, got 0"),
        ({"target": float("nan")}, "target must be a whole number >= 1, got nan"),
        ({"target": 3, "unit": "lines"}, "unit must be"),
        ({"target": 3, "scale": 0.0}, "scale must be a finite number > 0"),
        ({"target": 3, "scale": float("inf")}, "scale must be"),
        ({"target": 3, "scale": float("nan")}, "scale must be"),
    ],
)
def test_target_length_refuses(arguments, message):
    with pytest.raises(ParameterError, match=message):
        TargetLengthPotential(**arguments)


@pytest.mark.parametrize(
    ("keywords", "options", "text", "share"),
    [
        (["first", "then"], {}, "", 0.0),
        (["first", "then"], {}, "First, add.", 0.5),
        (["first", "then"], {}, "first then", 1.0),
        (["first", "then"], {}, "strengthen first", 0.5),
        (["first", "then"], {"whole_words": False}, "strengthen first", 1.0),
        (["Sum", "sum"], {}, "the SUM", 1.0),
        (["Sum", "sum"], {"case_sensitive": True}, "the Sum", 0.5),
        (["c++", "so that"], {}, "in c++x so\nthat", 0.5),
        ([".*", "\\d"], {}, "anything 42", 0.0),
        (["straße"], {}, "STRASSE", 1.0),
        (["step_1"], {}, "step_12", 0.0),
    ],
)
def test_keyword_coverage_cases(keywords, options, text, share):
    assert KeywordCoveragePotential(keywords, **options)(writing(text)) == share


words = st.sampled_from(["add", "carry", "sum", "so", "check", "sums"])


@given(keywords=st.lists(words, min_size=1, max_size=4), written=st.lists(words, max_size=8))
def test_keyword_coverage_is_the_share_of_different_words_that_occur(keywords, written):
    wanted = set(keywords)
    expected = len(wanted & set(written)) / len(wanted)
    assert KeywordCoveragePotential(keywords)(writing(" ".join(written))) == pytest.approx(expected, abs=1e-12)


def test_keywords_of_earlier_messages_count():
    chat = [{"role": "assistant", "content": "first"}, {"role": "user", "content": "then"}]
    state = RewardState(messages=chat, info={"response_so_far": "so"})
    assert KeywordCoveragePotential(["first", "then", "so"])(state) == pytest.approx(2 / 3)


@pytest.mark.parametrize("keyword", ["a" * 20, "aab", "b"])
def test_a_megabyte_of_near_misses_takes_linear_time(keyword):
    potential, started = KeywordCoveragePotential([keyword]), time.process_time()
    assert potential(writing("a" * 1_000_000)) == 0.0
    assert time.process_time() - started < 20.0


@pytest.mark.parametrize("keywords", [[], "word", [""], ["ok", " "], [3]])
def test_keyword_coverage_refuses(keywords):
    with pytest.raises(ParameterError, match="keywords must be"):
        KeywordCoveragePotential(keywords)
