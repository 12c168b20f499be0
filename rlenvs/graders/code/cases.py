"""The tests of a code task, read from its record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlenvs.errors import GraderError
from rlenvs.graders.code.comparison import why_not_plain
from rlenvs.suggestions import did_you_mean

__all__ = ["CallCase", "ScriptCase", "read_calls", "read_scripts"]


@dataclass(frozen=True, slots=True)
class CallCase:
    """One call of a function, and what it has to give."""

    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any

    @property
    def input(self) -> list[Any] | dict[str, Any]:
        """What the process that calls the function is told."""
        return {"args": self.args, "kwargs": self.kwargs} if self.kwargs else self.args


@dataclass(frozen=True, slots=True)
class ScriptCase:
    """One run of a program: its standard input, and what it has to print."""

    stdin: str
    stdout: str


def read_calls(task: Mapping[str, Any], key: str) -> tuple[CallCase, ...]:
    """The tests of a function.

    Raises:
        GraderError: a test is no test of a function, or holds what is not plain data.
    """
    return tuple(_call(test, f"{key}[{index}]") for index, test in enumerate(_listed(task, key)))


def read_scripts(task: Mapping[str, Any], key: str) -> tuple[ScriptCase, ...]:
    """The tests of a program that reads and prints.

    Raises:
        GraderError: a test lacks `stdin` or `stdout`, or one of them is no text.
    """
    return tuple(_script(test, f"{key}[{index}]") for index, test in enumerate(_listed(task, key)))


def _listed(task: Mapping[str, Any], key: str) -> list[Any]:
    tests = task.get(key, [])
    if not isinstance(tests, list | tuple):
        raise GraderError(f"task {key}: must be a list of tests, got {tests!r:.80}")
    return list(tests)


def _fields(test: object, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Mapping[str, Any]:
    if not isinstance(test, Mapping):
        raise GraderError(f"task {where}: must be an object with {' and '.join(required)}, got {test!r:.80}")
    for name in required:
        if name not in test:
            raise GraderError(f"task {where}: {name!r} is missing{did_you_mean(name, list(map(str, test)))}")
    known = (*required, *optional)
    for name in test:
        if name not in known:
            raise GraderError(f"task {where}: unknown {name!r}{did_you_mean(str(name), known)}")
    return test


def _call(test: object, where: str) -> CallCase:
    fields = _fields(test, where, ("args", "expected"), ("kwargs",))
    args, kwargs, expected = fields["args"], fields.get("kwargs") or {}, fields["expected"]
    if not isinstance(args, list | tuple):
        raise GraderError(f"task {where}.args: must be the list of arguments, got {args!r:.80}")
    if not isinstance(kwargs, dict) or not all(isinstance(name, str) for name in kwargs):
        raise GraderError(f"task {where}.kwargs: must be an object with names of arguments, got {kwargs!r:.80}")
    for name, value in (("args", list(args)), ("kwargs", kwargs), ("expected", expected)):
        problem = why_not_plain(value)
        if problem:
            raise GraderError(f"task {where}.{name}: {problem}; only plain data can be compared")
    return CallCase(list(args), dict(kwargs), expected)


def _script(test: object, where: str) -> ScriptCase:
    fields = _fields(test, where, ("stdin", "stdout"))
    for name in ("stdin", "stdout"):
        if not isinstance(fields[name], str):
            raise GraderError(f"task {where}.{name}: must be a text, got {fields[name]!r:.80}")
    return ScriptCase(fields["stdin"], fields["stdout"])
