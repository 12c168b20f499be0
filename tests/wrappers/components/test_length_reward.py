"""Penalties on length: formulas, units, refusals."""

import pytest
from hostile_texts import HOSTILE, UNENDED, any_text, ended
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.errors import ParameterError
from rlenvs.wrappers.components.length import LengthPenalty, LengthRangePenalty, SoftOverlongPenalty

lengths = st.integers(0, 60)


@pytest.mark.parametrize(
    ("length", "penalty"), [(0, -1.0), (4, -1.0), (6, -0.5), (7, -0.25), (8, 0.0), (10, 0.0), (11, -0.25), (99, -1.0)]
)
def test_range_penalty_is_linear_outside_and_capped(length, penalty):
    component = LengthRangePenalty(8, 10, penalty_per_token=-0.25, max_penalty=-1.0, unit="chars")
    assert component(ended("x" * length)) == penalty


def test_range_without_an_upper_end_or_a_cap():
    component = LengthRangePenalty(min=3, penalty_per_token=-1.0, unit="words")
    assert [component(ended("w " * count)) for count in (0, 2, 3, 1_000)] == [-3.0, -1.0, 0.0, 0.0]


@given(length=lengths, limit=lengths)
def test_range_from_zero_is_the_length_penalty(length, limit):
    message = ended("x" * length)
    one_sided = LengthPenalty(limit, -0.5, "chars")
    assert LengthRangePenalty(0, limit, -0.5, unit="chars")(message) == one_sided(message)


@given(low=lengths, width=lengths, length=lengths)
def test_range_penalty_grows_with_the_distance(low, width, length):
    component = LengthRangePenalty(low, low + width, unit="chars")
    outwards = 1 if length >= low else -1
    here, further = (component(ended("x" * count)) for count in (length, length + outwards))
    assert further <= here <= 0
    assert (here == 0) == (low <= length <= low + width)


def dapo(length: int, max_length: int, cache_length: int) -> float:
    """Equation 13 of the DAPO paper, case by case."""
    if length <= max_length - cache_length:
        return 0.0
    if length <= max_length:
        return ((max_length - cache_length) - length) / cache_length
    return -1.0


@given(
    length=lengths, max_length=st.integers(1, 40), share=st.floats(0, 1), scale=st.sampled_from([0.0, 0.5, 1.0, 4.0])
)
def test_soft_overlong_is_equation_13_of_dapo(length, max_length, share, scale):
    cache_length = round(share * max_length)
    component = SoftOverlongPenalty(max_length, cache_length, scale, unit="chars")
    assert component(ended("x" * length)) == pytest.approx(scale * dapo(length, max_length, cache_length), abs=1e-12)


def test_soft_overlong_uses_the_tokens_that_the_agent_counted():
    component = SoftOverlongPenalty(max_length=20, cache_length=10)
    assert component(ended("short", response_tokens=15)) == -0.5


COMPONENTS = [LengthPenalty(3), LengthRangePenalty(2, 5), SoftOverlongPenalty(10, 5)]


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: type(component).__name__)
@given(text=any_text)
def test_penalties_are_never_rewards(component, text):
    assert component(ended(text)) <= 0


@pytest.mark.parametrize("component", COMPONENTS, ids=lambda component: type(component).__name__)
def test_unended_messages_and_hostile_ones(component):
    assert component(UNENDED) == 0.0
    for text in HOSTILE.values():
        assert component(ended(text)) <= 0


@pytest.mark.parametrize("component", [LengthPenalty, LengthRangePenalty])
def test_tokens_that_nobody_counted_are_a_failure(component):
    with pytest.raises(KeyError, match="response_tokens"):
        component(1, unit="tokens")(ended("x"))


@pytest.mark.parametrize(
    ("component", "parameters", "message"),
    [
        (LengthPenalty, {"max_length": -1}, "max_length must be >= 0, got -1"),
        (LengthPenalty, {"max_length": 1, "penalty_per_token": 0.5}, "penalty_per_token must be <= 0, got 0.5"),
        (LengthPenalty, {"max_length": 1, "penalty_per_token": float("nan")}, "penalty_per_token must be a finite"),
        (LengthPenalty, {"max_length": 1, "unit": "tokenz"}, "unit must be one of .*did you mean 'tokens'"),
        (LengthRangePenalty, {"min": -1}, "min must be >= 0"),
        (LengthRangePenalty, {"min": 5, "max": 4}, r"max must be >= min \(5\), got 4"),
        (LengthRangePenalty, {"min": 5, "max_penalty": 1.0}, "max_penalty must be <= 0"),
        (LengthRangePenalty, {"min": 5, "max_penalty": float("-inf")}, "max_penalty must be a finite"),
        (SoftOverlongPenalty, {"max_length": 0, "cache_length": 0}, "max_length must be >= 1"),
        (SoftOverlongPenalty, {"max_length": 4, "cache_length": 5}, "cache_length must be between 0 and 4, got 5"),
        (SoftOverlongPenalty, {"max_length": 4, "cache_length": 2, "scale": -1.0}, "scale must be >= 0"),
    ],
)
def test_refused_parameters_are_named(component, parameters, message):
    with pytest.raises(ParameterError, match=message) as caught:
        component(**parameters)
    assert caught.value.parameter in parameters
