"""Plain data as bytes: what crosses the border of a sandbox; all that comes out of it, and most of what goes in.

Only values of exactly these built-in types cross: None, bool, int, float, complex, str, bytes, list, tuple, dict, set
and frozenset. No class of the sender is ever named, looked up or called by the receiver, which makes this safe where
pickle is not. Floats keep every bit (NaN and infinities too), strings keep lone surrogates, tuples stay tuples.

Both directions are linear in the size of the data and use no recursion, whatever the data is.
"""

import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

MAX_BYTES = 1 << 20
MAX_DEPTH = 200
MAX_ITEMS = 1 << 18
"""Values in one message, containers and their items alike: an empty list of one byte takes 64 once it is decoded."""
MAX_INT_BITS = 1 << 20
MAX_SAME_HASH = 32
"""Keys of a dict or set that may share a hash. Many more would make building it quadratic, and are no accident."""

COUNT = struct.Struct(">I")
FLOAT = struct.Struct(">d")
COMPLEX = struct.Struct(">dd")
NONE, TRUE, FALSE, INT, REAL, IMAGINARY, TEXT, BYTES, LIST, TUPLE, SET, FROZENSET, DICT, HANDLE = range(14)
CONTAINERS: dict[type, int] = {list: LIST, tuple: TUPLE, set: SET, frozenset: FROZENSET, dict: DICT}
DICT_KINDS = (defaultdict, OrderedDict, Counter)
"""Dicts of the standard library that cross as dicts: they are equal to them."""


class CodecError(ValueError):
    """Bytes that `encode` does not make, or that go beyond a limit."""


class OpaqueValueError(CodecError):
    """A value that is not plain data, or is larger or deeper than allowed. The message names its type."""


def encode(
    value: Any,
    *,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    handle: Callable[[Any], int] | None = None,
) -> bytes:
    """Return a value as bytes.

    Args:
        value: plain data.
        max_bytes: most bytes of the answer.
        max_depth: most containers around a value.
        handle: gives the number under which a value that is not plain data crosses; without it such a value is refused.

    Raises:
        OpaqueValueError: the value, or one inside it, is not plain data or goes beyond a limit.

    Example:
        >>> decode(encode({"a": [1, (2.5, None)]}))
        {'a': [1, (2.5, None)]}
    """
    parts: list[bytes] = []
    size = 0
    levels: list[Iterator[Any]] = [iter((value,))]
    while levels:
        for item in levels[-1]:
            kind = type(item)
            if kind in CONTAINERS or kind in DICT_KINDS:
                if len(levels) > max_depth:
                    raise OpaqueValueError("nested too deeply")
                parts.append(bytes((CONTAINERS.get(kind, DICT),)) + COUNT.pack(len(item)))
                size += 5
                if size > max_bytes:  # a few lists that hold each other many times over never reach a value
                    raise OpaqueValueError(f"larger than {max_bytes} bytes")
                levels.append(iter(chain.from_iterable(item.items()) if CONTAINERS.get(kind, DICT) == DICT else item))
                break
            part = encode_single(item, max_bytes, handle)
            parts.append(part)
            size += len(part)
            if size > max_bytes:
                raise OpaqueValueError(f"larger than {max_bytes} bytes")
        else:
            levels.pop()
    if size > max_bytes:
        raise OpaqueValueError(f"larger than {max_bytes} bytes")
    return b"".join(parts)


def encode_single(item: Any, max_bytes: int, handle: Callable[[Any], int] | None) -> bytes:
    """Return a value that holds no others as bytes."""
    kind = type(item)
    if item is None or kind is bool:
        return bytes((NONE if item is None else TRUE if item else FALSE,))
    if kind is int:
        if item.bit_length() > MAX_INT_BITS:
            raise OpaqueValueError(f"an int of more than {MAX_INT_BITS} bits")
        body: bytes = item.to_bytes(item.bit_length() // 8 + 1, "big", signed=True)
        return bytes((INT,)) + COUNT.pack(len(body)) + body
    if kind is str or kind is bytes:
        if len(item) > max_bytes:  # before a copy is made of it
            raise OpaqueValueError(f"larger than {max_bytes} bytes")
        body = bytes(item) if kind is bytes else item.encode("utf-8", "surrogatepass")
        return bytes((BYTES if kind is bytes else TEXT,)) + COUNT.pack(len(body)) + body
    if kind is float:
        return bytes((REAL,)) + FLOAT.pack(item)
    if kind is complex:
        return bytes((IMAGINARY,)) + COMPLEX.pack(item.real, item.imag)
    if handle is None:
        raise OpaqueValueError(f"of type {kind.__name__}")
    return bytes((HANDLE,)) + COUNT.pack(handle(item))


def decode(
    data: bytes,
    max_bytes: int = MAX_BYTES,
    max_depth: int = MAX_DEPTH,
    *,
    max_items: int = MAX_ITEMS,
    handle: Callable[[int], Any] | None = None,
) -> Any:
    """Return the value that bytes stand for, whoever wrote them.

    Args:
        data: what `encode` made, or anything else.
        max_bytes: most bytes to look at.
        max_depth: most containers around a value.
        max_items: most values in all.
        handle: gives what stands for a value that is not plain data, by its number; without it there may be none.

    Raises:
        CodecError: the bytes do not stand for plain data within the limits.
    """
    if len(data) > max_bytes:
        raise CodecError(f"{len(data)} bytes are more than {max_bytes}")
    try:
        return Decoder(data, max_depth, max_items, handle).value()
    except (IndexError, struct.error):
        raise CodecError("the bytes end too early") from None
    except (UnicodeDecodeError, TypeError) as error:  # no UTF-8; a list as a key
        raise CodecError(str(error)) from None


class Decoder:
    """Reads one value from bytes. For the arguments see `decode`."""

    def __init__(self, data: bytes, max_depth: int, max_items: int, handle: Callable[[int], Any] | None) -> None:
        self.data = data
        self.at = 0
        self.max_depth = max_depth
        self.left = max_items
        self.handle = handle

    def value(self) -> Any:
        """Return the value that all of the bytes stand for."""
        levels: list[tuple[int, int, list[Any]]] = []
        while True:
            self.left -= 1
            if self.left < 0:
                raise CodecError("too many values")
            tag = self.data[self.at]
            self.at += 1
            if LIST <= tag <= DICT:
                count = self.count() * (2 if tag == DICT else 1)
                if count > len(self.data) - self.at:  # each item takes at least one byte
                    raise CodecError("the bytes end too early")
                if len(levels) >= self.max_depth:
                    raise CodecError("nested too deeply")
                if count:
                    levels.append((tag, count, []))
                    continue
                value = build(tag, [])
            else:
                value = self.single(tag)
            while levels:
                container, count, items = levels[-1]
                items.append(value)
                if len(items) < count:
                    break
                levels.pop()
                value = build(container, items)
            else:
                if self.at != len(self.data):
                    raise CodecError("bytes are left over")
                return value

    def single(self, tag: int) -> Any:
        """Return a value that holds no others."""
        if tag <= FALSE:
            return (None, True, False)[tag]
        if tag == INT:
            body = self.take(self.count())
            if len(body) > MAX_INT_BITS // 8 + 1:
                raise CodecError("an int of too many bits")
            return int.from_bytes(body, "big", signed=True)
        if tag == REAL:
            return FLOAT.unpack(self.take(FLOAT.size))[0]
        if tag == IMAGINARY:
            return complex(*COMPLEX.unpack(self.take(COMPLEX.size)))
        if tag == TEXT:
            return self.take(self.count()).decode("utf-8", "surrogatepass")
        if tag == BYTES:
            return self.take(self.count())
        if tag == HANDLE and self.handle is not None:
            return self.handle(self.count())
        raise CodecError(f"no value starts with byte {tag}")

    def count(self) -> int:
        """Read a number of bytes or items."""
        (count,) = COUNT.unpack_from(self.data, self.at)
        self.at += COUNT.size
        return int(count)

    def take(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        body = self.data[self.at : self.at + size]
        if len(body) != size:
            raise CodecError("the bytes end too early")
        self.at += size
        return body


def build(tag: int, items: list[Any]) -> Any:
    """Return a container of these items; of a dict the keys and values in turn."""
    if tag == LIST:
        return items
    if tag == TUPLE:
        return tuple(items)
    keys = items[::2] if tag == DICT else items
    if len(keys) > MAX_SAME_HASH and max(Counter(map(hash, keys)).values()) > MAX_SAME_HASH:
        raise CodecError("keys that share a hash")
    made: Any = set(keys)
    if tag == DICT:
        made = dict(zip(keys, items[1::2], strict=True))
    elif tag == FROZENSET:
        made = frozenset(keys)
    if len(made) != len(keys):
        raise CodecError("a key comes twice")
    return made
