"""Running the references and mutants of this package, which are its own text and nobody else's.

What a model writes never comes here: that runs in `rlenvs.sandbox`. Mutants that were made up by a machine may loop
for ever; `ticking` makes them count their rounds, so that they end.
"""

import ast
import marshal
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from types import CodeType
from typing import Any

from rlenvs.problems.code.family import CLASS_ENTRY, ENTRY, Family

MAX_TICKS = 20_000
"""Rounds and calls that a mutant may take for one input; references take some hundreds."""
TICK = "tick_"

Call = Callable[[list[Any]], Any]


class OutOfTicksError(BaseException):
    """A mutant went on for too long; no `except Exception` of a template stops it."""


@lru_cache(maxsize=4096)
def compiled(template: str) -> CodeType:
    """A template as code; compiled once for all values of its parameters."""
    return compile(template, "<template>", "exec")


@lru_cache(maxsize=4096)
def ticking(template: str) -> CodeType:
    """A template that calls `tick_` in each round of a loop and at each call of a function."""
    tree = ast.parse(template)
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.While | ast.FunctionDef):
            node.body.insert(0, ast.Expr(ast.Call(ast.Name(TICK, ast.Load()), [], [])))
    return compile(ast.fix_missing_locations(tree), "<mutant>", "exec")


def loaded(family: Family, template: str, parameters: Mapping[str, Any], *, bounded: bool = False) -> Call:
    """What answers an input by a template: result for arguments, output for an input, record of calls for a class."""
    space = {name.upper(): value for name, value in parameters.items()}
    left = [0]
    if bounded:

        def tick() -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OutOfTicksError

        space[TICK] = tick
    exec(ticking(template) if bounded else compiled(template), space)  # noqa: S102 - a template of this package
    if family.kind == "asserts":
        return with_ticks(lambda args: played(space[CLASS_ENTRY], args[0], args[1]), left)
    entry = space[ENTRY]
    return with_ticks(lambda args: entry(*args), left)


def with_ticks(call: Call, left: list[int]) -> Call:
    """A call on fresh copies of its arguments, which may take `MAX_TICKS`."""

    def fresh(args: list[Any]) -> Any:
        left[0] = MAX_TICKS
        return call(marshal.loads(marshal.dumps(args)))

    return fresh


def played(made: Callable[..., Any], arguments: Sequence[Any], calls: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """What the calls on one object give: ["value", result] or ["raises", name of the exception] for each."""
    thing = made(*arguments)
    record: list[list[Any]] = []
    for method, *args in calls:
        try:
            result = len(thing) if method == "__len__" else getattr(thing, method)(*args)
        except (LookupError, ValueError) as error:
            record.append(["raises", type(error).__name__])
        else:
            record.append(["value", marshal.loads(marshal.dumps(result))])
    return record


def differs(call: Call, args: list[Any], expected: Any) -> bool:
    """True if a mutant does not give the expected answer."""
    try:
        return bool(call(args) != expected)
    except (Exception, OutOfTicksError):  # noqa: BLE001 - whatever a bug does, it is not the answer
        return True
