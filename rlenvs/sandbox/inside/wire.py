"""Calls between two executions: a tester and a candidate, with the grader in between.

Plain data crosses as itself. Anything else stays where it is, and its number crosses; the other side holds a stand-in.
Each side answers requests while it waits for an answer, so calls nest in both directions.
"""

import builtins
import os
from collections.abc import Callable
from typing import Any

from rlenvs.sandbox import frames
from rlenvs.sandbox.codec import OpaqueValueError, decode, encode

REQUEST, ANSWER = b"q", b"a"
THEIRS = 1 << 31
"""Numbers from here on stand for objects of the tester, smaller ones for objects of the candidate."""
COMPUTING = ("neg", "pos", "abs", "invert")
COMBINING = (
    *("lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift"),
)
"""Functions of the module `operator` with one operand, and with two."""
EXCEPTIONS: dict[str, type[BaseException]] = {
    name: kind
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, BaseExceptionGroup)
}
"""What crosses by name. Of any other exception its nearest ancestor in this list does."""


class Wire:
    """One side of the connection.

    Args:
        channel: descriptor.
        first: number of this side's first object.
        serve: answers a request: its operation and arguments.
        stand_in: makes what stands for an object of the other side.
        number_of: the number behind a stand-in, or None for any other object.
        may_cross: whether an object of this side may be given a number.
        limit: most bytes of one message.
    """

    def __init__(
        self,
        channel: int,
        first: int,
        *,
        serve: Callable[[str, list[Any]], Any],
        stand_in: Callable[[int], Any],
        number_of: Callable[[Any], int | None],
        may_cross: Callable[[Any], bool],
        limit: int,
    ) -> None:
        self.channel = channel
        self.first = first
        self.serve_request = serve
        self.stand_in = stand_in
        self.number_of = number_of
        self.may_cross = may_cross
        self.limit = limit
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}

    def number(self, item: Any) -> int:
        """Return the number under which an object crosses."""
        number = self.number_of(item)
        if number is None:
            if not self.may_cross(item):
                raise OpaqueValueError(f"of type {type(item).__name__}, which cannot be handed over")
            number = self.numbers.get(id(item))
        if number is None:
            number = self.numbers[id(item)] = self.first + len(self.objects)
            self.objects.append(item)  # kept: its id stays its own
        return number

    def found(self, number: int) -> Any:
        """Return what a number stands for."""
        if self.first <= number < self.first + len(self.objects):
            return self.objects[number - self.first]
        return self.stand_in(number)

    def ask(self, operation: str, *arguments: Any) -> Any:
        """Have the other side do something; return what comes of it, or raise what it raises."""
        try:
            body = encode([operation, *arguments], max_bytes=self.limit, handle=self.number)
        except OpaqueValueError as error:
            raise TypeError(f"an argument is {error}") from None
        frames.write_frame(self.channel, REQUEST + body)
        while True:
            frame = frames.read_frame(self.channel)
            if not frame:
                os._exit(0)  # the other side is gone, and with it the question
            content = decode(frame[1:], self.limit, handle=self.found)
            if frame[:1] == REQUEST:
                self.answer(content)
                continue
            kind, *rest = content
            if kind == "returned":
                return rest[0]
            raise made_exception(*rest)

    def serve(self) -> None:
        """Answer requests until the other side is gone."""
        while frame := frames.read_frame(self.channel):
            self.answer(decode(frame[1:], self.limit, handle=self.found))

    def answer(self, content: Any) -> None:
        """Do what is asked, and say what came of it."""
        operation, *arguments = content
        try:
            value = self.serve_request(operation, arguments)
            body = encode(["returned", value], max_bytes=self.limit, handle=self.number)
        except BaseException as error:  # noqa: BLE001 - crosses, whatever it is
            body = encode(["raised", *exception_name(error)])
        frames.write_frame(self.channel, ANSWER + body)


def exception_name(error: BaseException) -> tuple[str, str]:
    """Return under which name an exception crosses, and its text."""
    name = next((each.__name__ for each in type(error).__mro__ if EXCEPTIONS.get(each.__name__) is each), "Exception")
    try:
        text = f"{error}"[:500]
    except BaseException:  # noqa: BLE001 - the code's own __str__ may raise anything
        text = ""
    return name, text


def made_exception(name: str, text: str) -> BaseException:
    """Return the exception that a name stands for."""
    kind = EXCEPTIONS.get(name, RuntimeError)
    try:
        return kind(text)
    except TypeError:  # one that wants more than a text
        return kind.__new__(kind)
