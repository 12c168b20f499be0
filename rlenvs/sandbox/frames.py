"""Messages on a stream: a length and so many bytes."""

import os
import struct
from collections import deque

LENGTH = struct.Struct(">I")
CHUNK = 1 << 16
REPORT = struct.Struct("=idq")
"""How an execution ended: the status of wait(2), seconds of processor time, KiB of memory."""

STARTED = b"+"
"""First byte on a channel, in no message: the process is locked, and what follows is the doing of the code."""

RETURNED, RAISED, OPAQUE, LOAD_FAILED = b"r", b"e", b"o", b"x"
"""First byte of what an execution says about one input, or, LOAD_FAILED, about the code as a whole."""


def framed(body: bytes) -> bytes:
    """Return a message with its length in front."""
    return LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream into messages, within bounds.

    Args:
        max_frame: most bytes of one message.
        max_total: most bytes of all messages together.
    """

    def __init__(self, max_frame: int, max_total: int) -> None:
        self.max_frame = max_frame
        self.left = max_total
        self.buffer = bytearray()
        self.frames: deque[bytes] = deque()

    def feed(self, data: bytes) -> bool:
        """Take what came; False where it goes beyond a bound, and nothing more should be read."""
        self.left -= len(data)
        self.buffer += data
        while len(self.buffer) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self.buffer)
            if size > self.max_frame:
                return False
            if len(self.buffer) < LENGTH.size + size:
                break
            self.frames.append(bytes(self.buffer[LENGTH.size : LENGTH.size + size]))
            del self.buffer[: LENGTH.size + size]
        return self.left >= 0


def read_frame(descriptor: int) -> bytes:
    """Read one message, waiting for it; b"" at the end of the stream."""
    head = read_exactly(descriptor, LENGTH.size)
    return read_exactly(descriptor, LENGTH.unpack(head)[0]) if head else b""


def read_exactly(descriptor: int, size: int) -> bytes:
    """Read so many bytes, waiting for them; b"" where the stream ends before."""
    first = os.read(descriptor, min(size, 1 << 20))
    if len(first) == size:  # most often; and what is not touched is not copied for a child
        return first
    received = bytearray(first)
    while first and len(received) < size:
        chunk = os.read(descriptor, min(size - len(received), 1 << 20))
        if not chunk:
            return b""
        received += chunk
    return bytes(received)


def write_frame(descriptor: int, body: bytes) -> None:
    """Write one message, waiting until it is taken."""
    rest = memoryview(framed(body))
    while rest:
        rest = rest[os.write(descriptor, rest) :]
