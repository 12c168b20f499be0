"""What a family of code problems is made of, and the list of all families.

A family is a function that turns parameters into a `Recipe`: statement, reference solution, plausible bugs, inputs.
Reference solutions are Python text in which a parameter stands under its name in capitals (`K` for `k`). The text is
compiled once with these names left in, and run with their values; what a reader sees has the values filled in.
"""

import itertools
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

KINDS = ("function", "stdio", "asserts")
"""The task types of `rlenvs.graders` that families have."""
ENTRY = "solve"
"""Name of the function in templates of functions and programs."""
CLASS_ENTRY = "Solution"
"""Name of the class in templates of classes."""
CAPITALS = re.compile(r"\b[A-Z][A-Z_]*\b")
READS_INPUT = f"print({ENTRY}(sys.stdin.read()))"
"""The last line of a program that reads standard input."""

Draw = Callable[[random.Random], list[Any]]
Parameters = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One problem of a family, before it is put into a prompt."""

    takes: str = ""
    """The parameters in the signature, with types; for programs and classes "" (the statement says it)."""
    gives: str = ""
    """The type of the result."""
    says: Sequence[str]
    """The task in words, several wordings of the same; each says what happens at the edges."""
    code: str
    """Template of the reference: a function `solve`, or a class `Solution`. Programs have `solve(text) -> str`."""
    mutants: Sequence[tuple[str, str]]
    """Plausible bugs: a part that occurs once in the template, and what stands there instead."""
    edges: Sequence[list[Any]]
    """Inputs that are always tried: argument lists, [stdin], or [constructor arguments, calls]."""
    inputs: Draw
    """Draws one more input."""


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of problem with parameters."""

    name: str
    kind: str
    topic: str
    difficulty: float
    """How hard, from 0 to 1, before small differences between parameters."""
    entries: Sequence[str]
    """Names that the function or class may be given."""
    choices: Mapping[str, Sequence[Any]]
    """The values of each parameter."""
    build: Callable[..., Recipe]
    summary: str

    @property
    def size(self) -> int:
        """How many problems there are, wordings aside."""
        return math.prod(map(len, self.choices.values()))

    def draw(self, dice: random.Random) -> dict[str, Any]:
        """Draw parameters."""
        return {name: values[int(dice.random() * len(values))] for name, values in self.choices.items()}

    def every(self) -> "itertools.starmap[dict[str, Any]]":
        """All parameters there are."""
        names = tuple(self.choices)
        return itertools.starmap(
            lambda *values: dict(zip(names, values, strict=True)), itertools.product(*self.choices.values())
        )

    def key(self, parameters: Parameters) -> str:
        """Canonical text of a problem: the same for every wording, and for finding and repairing its solution."""
        return f"{self.name}:{json.dumps(parameters, sort_keys=True)}"


@dataclass(slots=True)
class Families:
    """The list of families, by name."""

    by_name: dict[str, Family] = field(default_factory=dict)

    def add(
        self,
        topic: str,
        difficulty: float,
        entries: Sequence[str] = (ENTRY,),
        *,
        kind: str = "function",
        **choices: Sequence[Any],
    ) -> Callable[[Callable[..., Recipe]], Callable[..., Recipe]]:
        """Add a family: its builder, named after the family, takes one value of each of `choices`."""

        def added(build: Callable[..., Recipe]) -> Callable[..., Recipe]:
            name = getattr(build, "__name__", "")
            assert name not in self.by_name, f"two families are called {name}"
            summary = (build.__doc__ or "").strip().splitlines()[0]
            self.by_name[name] = Family(name, kind, topic, difficulty, entries, choices, build, summary)
            return build

        return added


FAMILIES = Families()
"""Every family; complete once `rlenvs.problems.code.families` is imported."""
family = FAMILIES.add


def literal(value: Any) -> str:
    """A value as source text that can stand anywhere in an expression."""
    return f"({value})" if isinstance(value, int | float) and value < 0 else repr(value)


def filled(template: str, parameters: Parameters) -> str:
    """A template with the values of its parameters.

    Example:
        >>> filled("x % K == 0", {"k": 7})
        'x % 7 == 0'
    """
    values = {name.upper(): value for name, value in parameters.items()}
    text = CAPITALS.sub(lambda match: literal(values[match[0]]) if match[0] in values else match[0], template)
    return re.sub(r"return \((-\d+)\)$", r"return \1", text, flags=re.MULTILINE)


def program(family: Family, recipe: Recipe, template: str, parameters: Parameters, entry: str) -> str:
    """The source text of a solution as somebody would hand it in."""
    text = filled(template.strip(), parameters)
    if family.kind == "stdio":
        imports, body = ("import sys\n\n\n", text) if not text.startswith("import") else ("import sys\n", text)
        return f"{imports}{body}\n\n\n{READS_INPUT}"
    if family.kind == "asserts":
        return re.sub(rf"\b{CLASS_ENTRY}\b", entry, text)
    signed = re.sub(rf"def {ENTRY}\(.*\):", lambda _: f"def {ENTRY}({recipe.takes}) -> {recipe.gives}:", text, count=1)
    return re.sub(rf"\b{ENTRY}\b", entry, signed)


def mutant_templates(recipe: Recipe) -> list[str]:
    """The templates of the plausible bugs."""
    for old, _ in recipe.mutants:
        assert recipe.code.count(old) == 1, f"{old!r} must occur once in {recipe.code}"
    return [recipe.code.replace(old, new) for old, new in recipe.mutants]
