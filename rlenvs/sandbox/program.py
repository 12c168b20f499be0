"""What is to be executed."""

import marshal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rlenvs.errors import ParameterError
from rlenvs.sandbox.codec import OpaqueValueError, decode, encode
from rlenvs.sandbox.limits import Limits, check_limits

MAX_INPUT_BYTES = 64 << 20
"""Of one input, and of all of a program together: anything larger is a mistake."""
MAX_CODE = MAX_INPUT_BYTES // 8
"""Characters of code. More is not executed, and is a crash."""
PLAIN = 2
"""Version of `marshal` that knows no references, so that a list that comes twice crosses as two. A child reads marshal
with one call, where our own codec makes it touch page after page. It is for this direction alone: no marshal is read
that comes from a child."""
TOO_LONG = f"the code has more than {MAX_CODE} characters"


@dataclass(frozen=True, slots=True)
class Program:
    r"""Code and its inputs.

    Args:
        code: Python source.
        inputs: with an entry point, one list of arguments for each call, or {"args": [...], "kwargs": {...}}; the code
            is executed once and the function is then called once for each input, in this order, on arguments of its
            own. Of a script, one text for stdin each; every input gets a new process.
        entry_point: name of the function; None runs the code as a script.
        limits: None takes the limits of the pool.

    Raises:
        ParameterError: an input or the code is not of this form.

    Example:
        >>> Program("def add(a, b):\n    return a + b", [[1, 2], {"args": [3], "kwargs": {"b": 4}}], "add").entry_point
        'add'
    """

    code: str
    inputs: Sequence[Any]
    entry_point: str | None = "solve"
    limits: Limits | None = None

    def __post_init__(self) -> None:
        check_text("code", self.code)
        if isinstance(self.inputs, str | bytes) or not isinstance(self.inputs, Sequence):
            raise ParameterError("inputs", f"must be a list, got {type(self.inputs).__name__}")
        if self.entry_point is not None and not (isinstance(self.entry_point, str) and self.entry_point.isidentifier()):
            raise ParameterError("entry_point", f"must be the name of a function, got {self.entry_point!r}")
        check_limits(self.limits)


def check_text(name: str, text: object) -> None:
    """Raise ParameterError unless this is a text. Its length is no mistake: a model may have written it."""
    if not isinstance(text, str):
        raise ParameterError(name, f"must be a text, got {type(text).__name__}")


def encoded_stdin(text: Any, position: int) -> bytes:
    """Return an input of a script as bytes.

    Raises:
        ParameterError: it is not a text.
    """
    if not isinstance(text, str):
        raise ParameterError(f"inputs[{position}]", f"of a script must be a text, got {type(text).__name__}")
    return text.encode("utf-8", "surrogatepass")


def encoded_call(given: Any, position: int) -> bytes:
    """Return the arguments of a call as bytes.

    Raises:
        ParameterError: they are not arguments, or not plain data.
    """
    if isinstance(given, dict):
        if not given.keys() <= {"args", "kwargs"} or not given:
            raise ParameterError(f"inputs[{position}]", f"must have the keys args and kwargs alone, got {list(given)}")
        args, kwargs = given.get("args", []), given.get("kwargs", {})
    else:
        args, kwargs = given, {}
    if not isinstance(args, list | tuple):
        raise ParameterError(f"inputs[{position}]", f"must be a list of arguments, got {type(args).__name__}")
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise ParameterError(f"inputs[{position}]", "must name its keyword arguments by text")
    try:
        checked = encode((tuple(args), dict(kwargs)), max_bytes=MAX_INPUT_BYTES)
    except OpaqueValueError as error:
        raise ParameterError(f"inputs[{position}]", f"must be plain data, but one value is {error}") from None
    try:
        return marshal.dumps((tuple(args), dict(kwargs)), PLAIN)
    except ValueError:  # a kind of dict that crosses as a dict
        return marshal.dumps(decode(checked, MAX_INPUT_BYTES, max_items=MAX_INPUT_BYTES), PLAIN)
