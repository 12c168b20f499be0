"""A worker that forks nothing and says what it likes, and a source of things that it might like to say."""

import contextlib
import os
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

from rlenvs.sandbox.codec import MAX_INT_BITS, MAX_ITEMS, encode
from rlenvs.sandbox.engine import Engine
from rlenvs.sandbox.frames import LOAD_FAILED, OPAQUE, RAISED, REPORT, RETURNED, STARTED, framed
from rlenvs.sandbox.jobs import Job

KINDS = (RETURNED, RAISED, OPAQUE, LOAD_FAILED, b"q", b"a", b"v", b"", b"\x00", b"\xff")
STATUSES = (0, 0, 0, 0, 1 << 8, 97 << 8, 9, 11, 15, 24, 31)
MERSENNE = 2**61 - 1
"""Whole numbers have the same hash if they differ by a multiple of it."""


class Liar:
    """Stands in for a worker: whatever execution is asked for, these bytes come from it, and it has ended.

    Args:
        stream: what comes on the channel.
        output: what comes on stdout.
        status: how it ended, as wait(2) says it.
        first: what comes before the stream: that the code has its turn, or nothing.
    """

    uid = None
    sessions = 0
    is_gone = False

    def __init__(self, stream: bytes, output: bytes = b"", status: int = 0, first: bytes = STARTED) -> None:
        self.stream = first + stream
        self.output = output
        self.status = status

    def start(self, request: bytes, descriptors: Sequence[int]) -> None:
        """Say everything at once."""
        lease, channel, stdout, *_ = descriptors
        with contextlib.suppress(BlockingIOError):  # more than fits into a socket that nobody reads yet
            os.set_blocking(channel, False)
            rest = memoryview(self.stream)
            while rest:
                rest = rest[os.write(channel, rest) :]
        os.write(stdout, self.output)
        os.write(lease, REPORT.pack(self.status, 0.0, 1024))

    def kill(self) -> None:
        """Nothing is there to kill."""


def heard_from(liar: Any, job: Job) -> Any:
    """Return the result of a job that a liar was given."""
    given_up = []
    Engine([liar], lambda worker: worker, given_up.append).run([job])
    assert not given_up, "the worker was blamed for what an execution said"
    return job.result  # type: ignore[attr-defined]


class Rumours:
    """Messages: random, malformed in every place, or plain data that is nearly right.

    Args:
        seed: of all randomness.
        expected: what nothing that it makes is equal to.
    """

    def __init__(self, seed: int, expected: str) -> None:
        self.rng = random.Random(seed)
        self.expected = expected
        self.makers: list[Callable[[], bytes]] = [
            self.noise,
            self.framed_noise,
            self.plain,
            self.plain,
            self.damaged,
            self.damaged,
            self.nested,
            self.counted,
            self.number,
            self.words,
            self.same_hash,
            self.handles,
            self.lying_length,
            self.spoken,
        ]

    def stream(self, most: int = 6) -> tuple[bytes, int]:
        """Return some messages in a row, and how many."""
        count = self.rng.randint(1, most)
        if self.rng.random() < 0.2:  # by chance alone, streams without a fault would be rare
            return b"".join(self.plain() for _ in range(count)), count
        return b"".join(self.rng.choice(self.makers)() for _ in range(count)), count

    def noise(self) -> bytes:
        """Bytes."""
        return self.rng.randbytes(self.rng.randint(0, 40))

    def framed_noise(self) -> bytes:
        """Bytes with their length in front."""
        return framed(self.rng.choice(KINDS) + self.rng.randbytes(self.rng.choice((0, 1, 4, 5, 6, 9, 40, 300))))

    def value(self, depth: int = 0) -> Any:
        """Plain data, some of it nearly right."""
        rng, expected = self.rng, self.expected
        kind = rng.randrange(16 if depth < 4 else 10)
        items = range(rng.randint(0, 3))
        if kind < 10:
            return rng.choice(
                (
                    *(None, True, False, 0, 1, -1, 2**63, -(2**200), float("nan"), float("inf"), -0.0, 1e308, 5e-324),
                    *("", "x", "\ud800", "\udfff\ud800", "\x00", "é" * 10, b"", b"\xff\x00", complex("nan+infj")),
                    *(expected[:-1], expected.upper(), expected + "\x00", expected.encode(), [expected], (expected,)),
                    *({expected}, {expected: expected}, f" {expected}", list(expected)),
                )
            )
        if kind < 12:
            return [self.value(depth + 1) for _ in items]
        if kind < 14:
            return tuple(self.value(depth + 1) for _ in items)
        keys = [rng.choice((1, 1.0, True, "a", b"a", (), float("nan"), None, 2**70)) for _ in items]
        return set(keys) if kind == 14 else {key: self.value(depth + 1) for key in keys}

    def plain(self) -> bytes:
        """An answer as it should be."""
        return framed(RETURNED + encode(self.value()))

    def damaged(self) -> bytes:
        """An answer with some bytes changed, taken away or added, with its length in front right or wrong."""
        rng = self.rng
        body = bytearray(RETURNED + encode([self.value(), self.value()]))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(body))
            what = rng.randrange(4)
            if what == 0:
                body[at] ^= 1 << rng.randrange(8)
            elif what == 1:
                body[at : at + rng.randint(1, 4)] = b""
            elif what == 2:
                body[at:at] = rng.randbytes(rng.randint(1, 4))
            else:
                body[at] = rng.choice((0, 0x7F, 0x80, 0xFF))
            body = body or bytearray(b"r")
        return framed(bytes(body))

    def nested(self) -> bytes:
        """Containers in containers in containers."""
        tags = bytes((8, 9)) if self.rng.random() < 0.7 else bytes((10, 11, 12))
        depth = self.rng.choice((10, 199, 200, 201, 202, 3000))
        body = b"".join(bytes((self.rng.choice(tags),)) + struct.pack(">I", 1) for _ in range(depth))
        return framed(RETURNED + body + b"\x00" * self.rng.randint(0, 2))

    def counted(self) -> bytes:
        """A container that claims to hold more, or less, than it does."""
        count = self.rng.choice((0, 1, 2, 255, 2**16, MAX_ITEMS, 2**31 - 1, 2**31, 2**32 - 1))
        return framed(RETURNED + bytes((self.rng.randint(6, 12),)) + struct.pack(">I", count) + bytes(9))

    def number(self) -> bytes:
        """Whole numbers at the edge of what is allowed, and not written in the shortest way."""
        size = self.rng.choice((0, 1, 7, 100, MAX_INT_BITS // 8, MAX_INT_BITS // 8 + 1, MAX_INT_BITS // 8 + 2))
        return framed(RETURNED + b"\x03" + struct.pack(">I", size) + bytes((self.rng.randrange(256),)) * size)

    def words(self) -> bytes:
        """Texts that are no UTF-8, or are on the edge of it."""
        text = self.rng.choice(
            (
                b"\xff",
                b"\xed\xa0\x80",
                b"\xc0\x80",
                b"\xf4\x90\x80\x80",
                b"\xe2\x82",
                b"\x00",
                self.expected.encode() + b"\xff",
            )
        )
        return framed(RETURNED + b"\x06" + struct.pack(">I", len(text)) + text)

    def same_hash(self) -> bytes:
        """Keys that all have one hash."""
        keys = range(self.rng.choice((2, 31, 32, 33, 300)))
        items = b"".join(encode(key * MERSENNE) for key in keys)
        return framed(RETURNED + b"\x0a" + struct.pack(">I", len(keys)) + items)

    def handles(self) -> bytes:
        """Numbers that stand for objects, which no answer may hold."""
        return framed(RETURNED + b"\x08\x00\x00\x00\x01\x0d" + self.rng.randbytes(4))

    def lying_length(self) -> bytes:
        """A length that what follows does not have."""
        return struct.pack(">I", self.rng.choice((0, 1, 2**16, 2**20, 2**31, 2**32 - 1))) + self.plain()

    def spoken(self) -> bytes:
        """What an execution says in words."""
        text = self.rng.choice(("passed", "MemoryError: x", "x" * 10_000, "\x00", self.expected[:-1]))
        return framed(self.rng.choice(KINDS) + text.encode())
