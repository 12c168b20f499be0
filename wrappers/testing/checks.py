"""What the conformance checks share: how they run, compare and complain."""

import dataclasses
import inspect
import json
import math
import unittest
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from rlenvs.wrappers.plain import not_plain, to_plain


class Conformance:
    """A set of checks: methods that begin with `test_` and raise AssertionError with a sentence on what is wrong.

    A subclass whose name begins with `Test` is collected by pytest; with `unittest.TestCase` as a further base it is a
    test case, and its `run` that of a test case.

    Attributes:
        tolerance: how far two numbers that ought to be the same may differ, relative to the larger or to 1.
    """

    tolerance: float = 1e-9

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if unittest.TestCase in cls.__mro__:
            # Whichever base comes first: unittest calls `run` with a result.
            setattr(cls, "run", unittest.TestCase.run)  # noqa: B010 - another signature, on purpose

    @classmethod
    def run(cls) -> list[str]:
        """Run every check on a new instance and return their names.

        Raises:
            AssertionError: a check failed; the message names it.
        """
        names = [name for name, _ in inspect.getmembers(cls, inspect.isfunction) if name.startswith("test_")]
        for name in names:
            try:
                getattr(cls(), name)()
            except AssertionError as error:
                raise AssertionError(f"{cls.__name__}.{name}: {error}") from error
        return names

    def same(self, one: float, other: float) -> bool:
        """Whether two numbers are the same within the tolerance; NaN is the same as NaN."""
        return (math.isnan(one) and math.isnan(other)) or math.isclose(
            one, other, rel_tol=self.tolerance, abs_tol=self.tolerance
        )

    def expect_same(self, found: Sequence[float], expected: Sequence[float], what: str) -> None:
        """Expect two sequences of numbers to be the same.

        Raises:
            AssertionError: they are not; the message names the first place.
        """
        expect(len(found) == len(expected), f"{what}: {len(found)} values instead of {len(expected)}")
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            expect(self.same(one, other), f"{what}: value {place} is {one!r} instead of {other!r}")


def expect(condition: bool, message: str) -> None:
    """Raise AssertionError with `message` unless `condition` holds, also under `python -O`."""
    if not condition:
        raise AssertionError(message)


def photograph(value: Any) -> Any:
    """Return a deep copy of a dataclass of plain data and arrays that can be compared with `==`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: photograph(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: photograph(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [photograph(item) for item in value]
    return to_plain(value)


def parameters_of(instance: object) -> dict[str, Any]:
    """Return the constructor's parameters of an object from its attributes, as plain data; tuples become lists.

    Raises:
        AssertionError: a parameter is no public attribute, or not plain data.
    """
    found: dict[str, Any] = {}
    given = getattr(instance, "params", {})
    for name, parameter in inspect.signature(type(instance)).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        known = hasattr(instance, name) or (isinstance(given, Mapping) and name in given)
        expect(known, f"{type(instance).__name__} has no attribute {name!r}: keep each parameter under its own name")
        found[name] = listed(getattr(instance, name) if hasattr(instance, name) else given[name])
    problem = not_plain(found, "parameters")
    expect(problem is None, f"{type(instance).__name__}: {problem}; a configuration cannot hold that")
    return found


def listed(value: Any) -> Any:
    """Return `value` with tuples as lists, mappings and pydantic models as dicts, as YAML gives them back."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {key: listed(item) for key, item in value.items()}
    return [listed(item) for item in value] if isinstance(value, list | tuple) else value


def through_a_file(value: Any, what: str) -> Any:
    """Return plain data as a checkpoint gives it back.

    Raises:
        AssertionError: it is not plain.
    """
    problem = not_plain(value, what)
    expect(problem is None, f"{problem}; use None, bool, int, float, str, list and dict with str keys")
    return json.loads(json.dumps(value))
