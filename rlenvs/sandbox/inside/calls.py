"""Executions that call a function once for each input."""

import linecache
import socket
import sys
from marshal import dumps, loads
from typing import Any

from rlenvs.sandbox import frames
from rlenvs.sandbox.codec import OpaqueValueError, encode
from rlenvs.sandbox.inside.solution import as_module, compiled, described, flush

REQUEST_BYTES = 1 << 31
WARM_UPS = 20
"""Runs after which the interpreter has adapted its bytecode (PEP 659); each child would do it again, page by page."""


def serve(channel: int) -> int:
    """Execute the code, call its function, and send what came of each call. Return the exit code."""
    code, entry_point, inputs, result_bytes = loads(frames.read_frame(channel))
    try:
        namespace = as_module("solution")
        exec(compiled(code), namespace)  # noqa: S102 - what this process is for
        function = namespace.get(entry_point)
    except BaseException as error:  # noqa: BLE001 - also SystemExit: it is the code's
        flush()
        frames.write_frame(channel, frames.LOAD_FAILED + described(error).encode("utf-8", "backslashreplace"))
        return 0
    if function is None:
        flush()
        frames.write_frame(channel, frames.LOAD_FAILED + f"there is no {entry_point}".encode())
        return 0
    for given in inputs:
        frames.write_frame(channel, called(function, given, result_bytes))
    flush()
    return 0


def called(function: Any, given: bytes, result_bytes: int) -> bytes:
    """Return what to say about one call."""
    args, kwargs = loads(given)
    try:
        value = function(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - also SystemExit: it is the code's
        return frames.RAISED + described(error).encode("utf-8", "backslashreplace")
    try:
        return frames.RETURNED + encode(value, max_bytes=result_bytes)
    except OpaqueValueError as error:
        return frames.OPAQUE + str(error).encode("utf-8", "backslashreplace")
    except BaseException as error:  # noqa: BLE001 - a list that a thread of the code changes meanwhile
        return frames.OPAQUE + described(error).encode("utf-8", "backslashreplace")


def warm_up() -> None:
    """Serve a small program in this process, and leave no trace of it but the adapted bytecode."""
    request = dumps(("def solve(x):\n    return x\n", "solve", [dumps(((1,), {}))], 1024))
    for _ in range(WARM_UPS):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            frames.write_frame(ours.fileno(), request)
            serve(theirs.fileno())
    del sys.modules["solution"]
    linecache.cache.clear()
