"""The execution of the code in a duel: it holds the objects, and does with them what it is asked to do."""

import operator
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rlenvs.sandbox import frames
from rlenvs.sandbox.codec import decode
from rlenvs.sandbox.inside.calls import REQUEST_BYTES
from rlenvs.sandbox.inside.solution import as_module, compiled, described
from rlenvs.sandbox.inside.wire import COMBINING, COMPUTING, Wire, made_exception


class Callback:
    """A function of the tests, as the code sees it."""

    __slots__ = ("_number", "_wire")

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire = wire
        self._number = number

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Have the tests call it."""
        return self._wire.ask("call", self, args, kwargs)


def leave(manager: Any, name: str | None, text: str) -> Any:
    """Leave a `with` block, by an exception or without."""
    error = None if name is None else made_exception(name, text)
    trace: TracebackType | None = None
    return bool(type(manager).__exit__(manager, None if error is None else type(error), error, trace))


OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda function, args, kwargs: function(*args, **kwargs),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "len": len,
    "bool": bool,
    "iter": iter,
    "next": next,
    "in": lambda container, item: item in container,
    "get": operator.getitem,
    "set": operator.setitem,
    "delete": operator.delitem,
    "enter": lambda manager: type(manager).__enter__(manager),
    "exit": leave,
    "isinstance": lambda kind, item: isinstance(item, kind),
    "issubclass": lambda kind, item: issubclass(item, kind),
    "int": int,
    "float": float,
    "complex": complex,
    "index": operator.index,
    "str": str,
    "repr": repr,
    "bytes": bytes,
    "format": format,
    "round": round,
    "reversed": reversed,
    "dir": dir,
}
for each in (*COMBINING, *COMPUTING, "iadd", "isub", "imul"):
    OPERATIONS[each] = getattr(operator, each)


def serve(channel: int) -> int:
    """Execute the code, and do what is asked. Return the exit code."""
    request = decode(frames.read_frame(channel), REQUEST_BYTES)
    entry_point = request["entry_point"]
    try:
        namespace = as_module("solution")
        exec(compiled(request["code"]), namespace)  # noqa: S102 - what this process is for
        if entry_point not in namespace:
            raise NameError(f"there is no {entry_point}")
    except BaseException as error:  # noqa: BLE001 - also SystemExit: it is the code's
        frames.write_frame(channel, frames.LOAD_FAILED + described(error).encode("utf-8", "backslashreplace"))
        return 0
    wire = Wire(
        channel,
        0,
        serve=lambda operation, arguments: OPERATIONS[operation](*arguments),
        stand_in=lambda number: Callback(wire, number),
        number_of=lambda item: item._number if type(item) is Callback else None,
        may_cross=lambda item: True,
        limit=request["result_bytes"],
    )
    wire.number(namespace[entry_point])  # the first one, 0, is what the tests begin with
    wire.serve()
    return 0
