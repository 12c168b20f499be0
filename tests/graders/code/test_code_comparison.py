"""What equals a gold, and what does not."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.graders.code.comparison import MAX_DEPTH, Closeness, same_output, same_value, why_not_plain
from rlenvs.sandbox.codec import decode, encode

NAN, INF = math.nan, math.inf
CLOSE = Closeness(1e-6, 0.0)

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
plain = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=12)  # fmt: skip


@given(plain)
def test_everything_equals_itself_after_a_round_trip(value: Any) -> None:
    assert same_value(decode(encode(value)), value)
    assert same_value(decode(encode(value)), value, CLOSE)


@given(plain, plain)
def test_equality_is_that_of_a_canonical_form(one: Any, other: Any) -> None:
    assert same_value(one, other) is (canonical(one) == canonical(other))


def canonical(value: Any) -> Any:
    """A second way to compare: a text for each value, types spelled out."""
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{key!r}:{canonical(item)}" for key, item in value.items())) + "}"
    if isinstance(value, float):
        return f"float {value + 0.0!r}"
    return f"{type(value).__name__} {value!r}"


@pytest.mark.parametrize(
    ("value", "gold"),
    [
        ((1, 2), [1, 2]),
        ([(1, 2)], [[1, 2]]),
        ([], ()),
        (-0.0, 0.0),
        (NAN, NAN),
        ([NAN], [NAN]),
        (INF, INF),
        ({"b": 1, "a": [2]}, {"a": [2], "b": 1}),
        ({1: "x"}, {1: "x"}),
        ({(1, 2): 0}, {(1, 2): 0}),
        ({1, 2}, frozenset({2, 1})),
        ({NAN}, {float("nan")}),
        ("\ud800", "\ud800"),
    ],
)  # fmt: skip
def test_equal(value: Any, gold: Any) -> None:
    assert same_value(value, gold)


@pytest.mark.parametrize(
    ("value", "gold"),
    [
        (True, 1), (1, True), (0, False), (None, 0), (None, False), ("", None), ("6", 6), (6, "6"),
        (1.0, 1), (1, 1.0), (NAN, 1.0), (1.0, NAN), (NAN, None), (INF, -INF), (10**400, INF), (INF, 10**400),
        ([1], [True]), ([1, 2], [1]), ([1], [1, 2]), ([1], 1), ("ab", ["a", "b"]), ({1, 3}, [1, 3]), ([1, 3], {1, 3}),
        ({1: 0}, {"1": 0}), ({True: 0}, {1: 0}), ({"a": 1}, {"a": 1, "b": 2}), ({"a": 1, "b": 2}, {"a": 1}),
        ({"a": 1}, ["a"]), ({1}, {True}), ({1, 2}, {1}), (b"a", "a"), (1 + 0j, 1), ([[1]], [1]),
    ],
)  # fmt: skip
def test_different_exact_and_with_a_tolerance_where_it_is_no_question_of_numbers(value: Any, gold: Any) -> None:
    assert not same_value(value, gold)
    if not isinstance(value, int | float) or isinstance(value, bool) or isinstance(gold, bool):
        assert not same_value(value, gold, CLOSE)


@pytest.mark.parametrize(
    ("value", "gold", "close"),
    [
        (1.0 + 1e-7, 1.0, True), (1.0 + 1e-5, 1.0, False), (5, 5.0, True), (5.0, 5, True), (6, 5, False),
        (NAN, 1.0, False), (1.0, NAN, False), (NAN, NAN, True), (INF, 1e308, False), (INF, INF, True), (-INF, INF, False),
        (1e-9, 0.0, False), (0, 0.0, True), (True, 1.0, False), (1.0, True, False), ("1.0", 1.0, False), (None, 0.0, False),
        (10**400, 1.0, False), (1.0, 10**400, False), (10**400, INF, False), (1 + 0j, 1.0, False), (10**6 + 1, 10**6, False),
        ([1.0000001, {"a": (2.0000001,)}], [1, {"a": [2]}], True),
    ],
)  # fmt: skip
def test_tolerance(value: Any, gold: Any, close: bool) -> None:
    assert same_value(value, gold, CLOSE) is close


def test_absolute_tolerance_reaches_zero() -> None:
    assert same_value(1e-9, 0.0, Closeness(0.0, 1e-8))
    assert not same_value(1e-7, 0.0, Closeness(0.0, 1e-8))


def test_depth_of_the_value_costs_nothing() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert not same_value(deep, [])
    assert not same_value(deep, [[]])
    assert not same_value(deep, [[1, 2]])
    while deep:
        deep = deep[0]  # taken apart level by level: freeing it in one go would recurse


class AlwaysEqual:
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class Sly(list[Any]):
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None


@pytest.mark.parametrize("gold", [None, True, 0, 1.5, "x", [1], [], {}, {"a": 1}, {1}])
def test_nothing_but_exact_builtins_equals(gold: Any) -> None:
    assert not same_value(AlwaysEqual(), gold)
    assert not same_value(Sly([1]), gold)
    assert not same_value(AlwaysEqual(), gold, CLOSE)


@pytest.mark.parametrize(
    ("output", "gold", "same"),
    [
        ("8 5\n", "8 5", True), ("8 5  \r\n\n", "8 5\n", True), ("8\t5", "8 5", True), ("  8 5", "8 5", True),
        ("8\n5", "8 5", False), ("85", "8 5", False), ("", "8 5", False), ("8 5\n8 5", "8 5", False), ("\n8 5", "8 5", False),
        ("a\n\nb", "a\nb", False), ("a\n\nb", "a\n\nb", True), ("8.0 5", "8 5", False), ("", "", True), ("\n\n", "", True), ("x", "", False),
        ("YES", "Yes", False),
    ],
)  # fmt: skip
def test_output(output: str, gold: str, same: bool) -> None:
    assert same_output(output, gold) is same


@pytest.mark.parametrize(
    ("output", "gold", "same"),
    [
        ("0.30000004", "0.3", True), ("0.3001", "0.3", False), ("nan", "0.3", False), ("nan", "nan", True), ("NaN", "nan", False),
        ("1_0", "10", False), ("inf", "1e308", False), ("1e1", "10", True), ("x", "10", False), ("\uff11\uff10", "10", False),
        ("9" * 5000, "10", False),
    ],
)  # fmt: skip
def test_output_with_a_tolerance(output: str, gold: str, same: bool) -> None:
    assert same_output(output, gold, CLOSE) is same


def nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "holds an object"),
        ([Sly()], "holds a Sly"),
        ({"a": {1: range(3)}}, "holds a range"),
        ({(object(),): 1}, "holds an object"),
        (nested(MAX_DEPTH + 1), f"is nested more than {MAX_DEPTH} deep"),
        ([1 << (1 << 21)], "holds an int of more than"),
    ],
)
def test_what_is_not_plain_says_why(value: Any, problem: str) -> None:
    assert problem in str(why_not_plain(value))


def test_what_is_plain() -> None:
    assert why_not_plain([nested(MAX_DEPTH - 2), {"a": (1.5, None, b"", {1}, frozenset())}]) is None
    loop: list[Any] = []
    loop.append(loop)
    assert why_not_plain(loop) == f"is nested more than {MAX_DEPTH} deep"


@pytest.mark.parametrize("closeness", [Closeness(0.0, 0.0), Closeness(0.0, 1e-6), Closeness(1e-25, 0.5)])
def test_long_integers_are_not_rounded_before_they_are_compared(closeness: Closeness) -> None:
    """Beyond 2**53 a float cannot tell one integer from the next."""
    assert not same_output("12345678901234567891", "12345678901234567890", closeness)
    assert not same_value(2**53 + 1, float(2**53), closeness)
    assert not same_value(float(2**53), 2**53 + 1, closeness)
    assert same_value(2**53, float(2**53), closeness)
    assert same_output("+12345678901234567890", "12345678901234567890", closeness)


def test_integers_within_a_tolerance() -> None:
    assert same_output("1001", "1000", Closeness(0.0, 1.0))
    assert same_output("1" + "0" * 390, "1" + "0" * 385 + "00001", Closeness(1e-9, 0.0))
    assert not same_output("1" + "0" * 390, "2" + "0" * 390, Closeness(0.1, 0.0))
    assert same_value(10**400, 10**400, Closeness(1e-9, 0.0))
    assert not same_value(float("inf"), 10**400, Closeness(1.0, 1.0))
    assert not same_value(1e308, 10**400, Closeness(0.1, 0.0))
