"""Plain data crosses unchanged, and nothing else crosses, whatever the bytes are."""

import contextlib
import math
import random
import struct
import time
from collections import Counter, OrderedDict, defaultdict, namedtuple
from enum import IntEnum
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.sandbox.codec import MAX_DEPTH, CodecError, OpaqueValueError, decode, encode

LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
    | st.binary(max_size=20) | st.text(st.characters(codec=None), max_size=20)
)  # fmt: skip
KEYS = st.recursive(LEAVES, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=6)
VALUES = st.recursive(
    LEAVES | KEYS,
    lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner, max_size=4)
    | st.sets(KEYS, max_size=4),
    max_leaves=20,
)  # fmt: skip


def shape(value: object) -> object:
    """Types all the way down: True == 1 == 1.0 must not hide a change."""
    if isinstance(value, dict):
        return "dict", [(shape(key), shape(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return type(value), sorted(repr(shape(item)) for item in value)
    if isinstance(value, list | tuple):
        return type(value), [shape(item) for item in value]
    return type(value), struct.pack(">d", value) if isinstance(value, float) else value


@given(VALUES)
def test_plain_data_comes_back_with_its_types(value: object) -> None:
    back = decode(encode(value))
    assert back == value
    assert shape(back) == shape(value)


def test_floats_keep_every_bit_and_texts_their_surrogates() -> None:
    nan = struct.unpack(">d", bytes.fromhex("7ff8000000000abc"))[0]
    assert struct.pack(">d", decode(encode(nan))).hex() == "7ff8000000000abc"
    assert math.copysign(1, decode(encode(-0.0))) == -1
    assert decode(encode(float("-inf"))) == float("-inf")
    assert decode(encode("\ud800 \U0001f600")) == "\ud800 \U0001f600"


class Liar(list):  # type: ignore[type-arg]
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    "value",
    [
        Liar(),
        Number.ONE,
        object(),
        len,
        int,
        iter([]),
        Fraction(1, 2),
        [1, {"a": Liar()}],
        namedtuple("P", "x")(1),
        bytearray(b"x"),
        1 << (1 << 21),
    ],
    ids=lambda value: type(value).__name__,
)
def test_anything_else_is_opaque(value: object) -> None:
    with pytest.raises(OpaqueValueError):
        encode(value)


def test_dicts_of_the_library_cross_as_dicts() -> None:
    for value in (defaultdict(int, a=1), OrderedDict(a=1), Counter("a")):
        assert type(decode(encode(value))) is dict
        assert decode(encode(value)) == {"a": 1}


def test_nesting_is_bounded_in_both_directions() -> None:
    value: list[object] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value]
    assert decode(encode(value)) == value
    with pytest.raises(OpaqueValueError, match="deep"):
        encode([value])
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(OpaqueValueError, match="deep"):
        encode(loop)
    one_list = encode([None])[:-1]
    with pytest.raises(CodecError, match="deep"):
        decode(one_list * 100_000 + encode(None))


def test_size_is_bounded_in_both_directions() -> None:
    assert len(encode("a" * 95, max_bytes=100)) == 100
    for value in ("a" * 96, b"a" * 96, ["a" * 40] * 3, list(range(50))):
        with pytest.raises(OpaqueValueError, match="larger than 100"):
            encode(value, max_bytes=100)
    with pytest.raises(CodecError, match="more than 10"):
        decode(encode("a" * 20), max_bytes=10)
    with pytest.raises(CodecError, match="too many"):
        decode(encode([None] * 20), max_items=20)


def test_a_length_that_lies_allocates_nothing() -> None:
    for tag in range(256):
        with pytest.raises(CodecError):
            decode(bytes([tag]) + b"\xff\xff\xff\xff" + b"x" * 8)


def test_keys_made_to_collide_are_refused_quickly() -> None:
    colliding = {(2**61 - 1) * k for k in range(1, 3000)}
    assert len({hash(each) for each in colliding}) == 1
    bytes_ = encode(sorted(colliding))
    as_set = bytes([encode(set())[0]]) + bytes_[1:]
    start = time.monotonic()
    with pytest.raises(CodecError, match="hash"):
        decode(as_set)
    assert time.monotonic() - start < 5


def test_equal_keys_and_unhashable_keys_are_refused() -> None:
    pair = encode([1, 2])
    as_dict = bytes([encode({})[0]])
    two = struct.pack(">I", 2)
    same = as_dict + two + encode(1) + encode("a") + encode(True) + encode("b")
    with pytest.raises(CodecError, match="twice"):
        decode(same)
    with pytest.raises(CodecError, match="unhashable"):
        decode(as_dict + struct.pack(">I", 1) + pair + encode(1))


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(CodecError):
        decode(data)


def test_mutated_messages_decode_or_are_refused() -> None:
    rng = random.Random(0)
    seeds = [
        encode(value) for value in ([1, {"a": (2.5, None)}], {1, 2, 3}, {(1, "x"): [b"", frozenset({1j})]}, -(10**40))
    ]
    refused = 0
    for _ in range(20_000):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 4)):
            action = rng.randrange(3)
            at = rng.randrange(len(data))
            if action == 0:
                data[at] = rng.randrange(256)
            elif action == 1:
                del data[at:]
                data += b"\0"
            else:
                data[at:at] = rng.choice(seeds)
        try:
            decode(bytes(data))
        except CodecError:
            refused += 1
    assert refused > 10_000


def test_handles_cross_only_where_both_sides_ask_for_them() -> None:
    thing = object()
    data = encode([1, thing], handle=lambda item: 7)
    assert decode(data, handle=lambda number: f"#{number}") == [1, "#7"]
    with pytest.raises(CodecError):
        decode(data)


def test_lists_that_hold_each_other_many_times_over_end_at_the_limit() -> None:
    value: list[object] = []
    for _ in range(60):
        value = [value, value]
    with pytest.raises(OpaqueValueError, match="larger than 1000 bytes"):
        encode(value, max_bytes=1000)
