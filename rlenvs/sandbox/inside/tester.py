"""The execution of the tests in a duel. What they hold of the candidate are stand-ins.

A stand-in is equal to itself and to nothing else, and it neither calculates nor compares with plain data: an object
that claims to be equal to whatever it meets, or takes the expected value out of `abs(result - expected)`, gets nowhere.
"""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

from rlenvs.sandbox import frames
from rlenvs.sandbox.codec import decode, encode
from rlenvs.sandbox.inside.calls import REQUEST_BYTES
from rlenvs.sandbox.inside.solution import as_module, compiled, described
from rlenvs.sandbox.inside.wire import COMBINING, COMPUTING, THEIRS, Wire, exception_name

T = TypeVar("T")
VERDICT = b"v"
TESTS = "<tests>"


class StandIn:
    """An object of the candidate, as the tests see it."""

    __slots__ = ("_StandIn__number", "_StandIn__wire")

    def __init__(self, wire: Wire, number: int) -> None:
        object.__setattr__(self, "_StandIn__wire", wire)
        object.__setattr__(self, "_StandIn__number", number)

    def __eq__(self, other: object) -> bool:
        return type(other) is StandIn and other.__number == self.__number

    def __hash__(self) -> int:
        return hash(self.__number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Have the candidate call it."""
        return self.__wire.ask("call", self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        return self.__wire.ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__wire.ask("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self.__wire.ask("delattr", self, name)

    def __iter__(self) -> Iterator[Any]:
        iterator = self.__wire.ask("iter", self)
        if type(iterator) is not StandIn:
            raise TypeError("iter() returned what is no iterator")
        while True:
            try:
                yield self.__wire.ask("next", iterator)
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self.__wire.ask("next", self)

    def __reversed__(self) -> Any:
        return self.__wire.ask("reversed", self)

    def __contains__(self, item: Any) -> bool:
        return exactly(bool, self.__wire.ask("in", self, item))

    def __getitem__(self, key: Any) -> Any:
        return self.__wire.ask("get", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.__wire.ask("set", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self.__wire.ask("delete", self, key)

    def __enter__(self) -> Any:
        return self.__wire.ask("enter", self)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        name, text = (None, "") if error is None else exception_name(error)
        return exactly(bool, self.__wire.ask("exit", self, name, text))

    def __instancecheck__(self, item: Any) -> bool:
        return type(item) is StandIn and exactly(bool, self.__wire.ask("isinstance", self, item))

    def __subclasscheck__(self, item: Any) -> bool:
        return type(item) is StandIn and exactly(bool, self.__wire.ask("issubclass", self, item))

    def __round__(self, digits: int | None = None) -> Any:
        return self.__wire.ask("round", self, digits)

    def __format__(self, style: str) -> str:
        return exactly(str, self.__wire.ask("format", self, style))


def exactly(kind: type[T], value: Any) -> T:
    """Return a value that must be of this very type."""
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    answer: T = value
    return answer


def converts(operation: str, kind: type) -> Callable[[StandIn], Any]:
    """Return a method whose answer must be of one type."""
    return lambda self: exactly(kind, self._StandIn__wire.ask(operation, self))


def computes(operation: str) -> Callable[[StandIn], Any]:
    """Return a method of one operand."""
    return lambda self: self._StandIn__wire.ask(operation, self)


def combines(operation: str) -> Callable[[StandIn, Any], Any]:
    """Return a method of two operands, both of them the candidate's."""
    return lambda self, other: (
        self._StandIn__wire.ask(operation, self, other) if type(other) is StandIn else NotImplemented
    )


CONVERSIONS: tuple[tuple[str, type], ...] = (
    ("len", int), ("bool", bool), ("int", int), ("float", float), ("complex", complex), ("index", int), ("str", str),
    ("repr", str), ("bytes", bytes),
)  # fmt: skip
for each, kind in CONVERSIONS:
    setattr(StandIn, f"__{each}__", converts(each, kind))
for each in COMPUTING:
    setattr(StandIn, f"__{each}__", computes(each))
for each in COMBINING:
    setattr(StandIn, f"__{each.strip('_')}__", combines(each))


def serve(channel: int) -> int:
    """Execute the tests, and say what came of them. Return the exit code."""
    request = decode(frames.read_frame(channel), REQUEST_BYTES)
    wire = Wire(
        channel,
        THEIRS,
        serve=call_back,
        stand_in=lambda number: StandIn(wire, number),
        number_of=lambda item: item._StandIn__number if type(item) is StandIn else None,
        may_cross=callable,
        limit=request["result_bytes"],
    )
    candidate = StandIn(wire, 0)
    check = None
    try:
        namespace = as_module("tests")
        exec(compiled(request["setup_code"], TESTS), namespace)  # noqa: S102 - what this process is for
        namespace[request["entry_point"]] = candidate
        exec(compiled(request["test_code"], TESTS), namespace)  # noqa: S102
        check = namespace["check"]
        check(candidate)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the tests did not pass
        verdict = ["unready" if check is None else "failed", described(error, TESTS)]
    else:
        verdict = ["passed", ""]
    frames.write_frame(channel, VERDICT + encode(verdict))
    return 0


def call_back(operation: str, arguments: list[Any]) -> Any:
    """Call a function that the tests handed over. Nothing else of theirs is within reach."""
    function, args, kwargs = arguments
    if operation != "call" or type(function) is StandIn:
        raise TypeError("functions of the tests can be called, and nothing else")
    return function(*args, **kwargs)
