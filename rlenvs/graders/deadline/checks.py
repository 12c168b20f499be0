"""What workers can check, by name. Everything that a check needs is imported here, in the nursery, on first use."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Request = dict[str, Any]
Reply = dict[str, Any]


@dataclass(frozen=True)
class Check:
    """One kind of check.

    Its module defines `prepare()`, which imports what the check needs, warms it up, and returns `check(request) ->
    reply`. Whatever `check` raises is a fault of the check, never of the judged text.
    """

    module: str
    needs: str
    """The package that it imports."""
    extra: str
    """The extra of rlenvs that installs that package."""
    purpose: str
    """Who needs it, for the message."""
    probe: Request
    """A request that any healthy worker answers, with `expected` as the verdict."""
    expected: str


CHECKS = {
    "math": Check(
        "rlenvs.graders.deadline.math_equality",
        "math_verify",
        "reasoning",
        "grading of symbolic answers",
        {"gold": "\\sin^2 x", "answer": "1-\\cos^2 x"},
        "equal",
    ),
    "schema": Check(
        "rlenvs.graders.deadline.json_schema",
        "jsonschema",
        "text",
        "a json task with a schema",
        {"schema": {"type": "integer"}, "document": "1"},
        "valid",
    ),
    "reasoning_gym": Check(
        "rlenvs.problems.reasoning_check",
        "reasoning_gym",
        "reasoning",
        "scoring by a data set of reasoning-gym",
        {
            "dataset": "leg_counting",
            "config": "{}",
            "answer": "4",
            "entry": {"question": "How many legs has a cow?", "answer": "4", "metadata": {}},
        },
        "full",
    ),
}
"""By kind. A module is named, not imported: it is loaded in the nursery, so a check may live beside whoever uses it."""


def load(kind: str) -> Callable[[Request], Reply]:
    """Import a check and get it ready."""
    check: Callable[[Request], Reply] = importlib.import_module(CHECKS[kind].module).prepare()
    return check
