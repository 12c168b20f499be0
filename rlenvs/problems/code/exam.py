"""The tests of a problem: chosen so that nothing passes that does not solve it."""

import json
import random
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from rlenvs.problems.code.family import FAMILIES, Family, Recipe, mutant_templates
from rlenvs.problems.code.running import Call, differs, loaded

MIN_TESTS, MAX_TESTS = 10, 30
SPARE = 8
"""Inputs that are drawn beyond those that are needed."""
MAX_INPUTS = 3_000
"""Inputs that are drawn before a family counts as broken."""
MAX_SHOWN_CHARS = 100
"""Length of an example in a statement."""
EXAMPLES = 3


class Case(NamedTuple):
    """An input with its answer."""

    args: list[Any]
    expected: Any


@dataclass(frozen=True, slots=True)
class Exam:
    """A problem with its tests."""

    family: Family
    parameters: dict[str, Any]
    recipe: Recipe
    visible: tuple[Case, ...]
    """The examples of the statement."""
    hidden: tuple[Case, ...]
    """What decides."""
    spare: tuple[Case, ...]
    """Further cases, used by neither."""


def texted(value: Any) -> str:
    """A key for a plain value; 1, 1.0 and True have different ones."""
    return repr(value)


def cases(recipe: Recipe, reference: Call, dice: random.Random) -> Iterator[Case]:
    """Different inputs with their answers: the edges, then drawn ones."""
    seen: set[str] = set()
    for number in range(MAX_INPUTS):
        args = recipe.edges[number] if number < len(recipe.edges) else recipe.inputs(dice)
        key = texted(args)
        if key not in seen:
            seen.add(key)
            yield Case(args, reference(args))


def shown_well(case: Case) -> bool:
    """True if the case is short enough to be an example."""
    return len(texted(case.args)) + len(texted(case.expected)) <= MAX_SHOWN_CHARS


def killers(pool: Sequence[Case], mutants: Sequence[Call]) -> set[int] | None:
    """Places of cases that fail every mutant between them; None if one of them passes all."""
    places: list[int] = []
    for mutant in mutants:
        if any(differs(mutant, *pool[place]) for place in places):
            continue
        killer = next((place for place, case in enumerate(pool) if differs(mutant, *case)), None)
        if killer is None:
            return None
        places.append(killer)
    return set(places)


def examples(pool: Sequence[Case], edges: int, kept: Container[int]) -> list[Case]:
    """Two short drawn cases with different answers and one edge, where there are such and they are not `kept`."""
    free = [(place, case) for place, case in enumerate(pool) if place not in kept]
    drawn = [case for place, case in free if place >= edges]
    short = [case for case in drawn if shown_well(case)] or sorted(drawn, key=lambda case: len(repr(case)))
    chosen = short[:1]
    chosen += [case for case in short[1:] if case.expected != chosen[0].expected][:1] or short[1:2]
    chosen += [case for place, case in free if place < edges and shown_well(case)][:1]
    return chosen[:EXAMPLES]


def passable(chosen: Sequence[Case]) -> bool:
    """True if a constant, or one of the arguments handed back, is right too often to tell."""
    if len({texted(case.expected) for case in chosen}) < 2:
        return True
    places = range(max(len(case.args) for case in chosen))
    return any(
        sum(place < len(case.args) and case.args[place] == case.expected for case in chosen) > len(chosen) // 2
        for place in places
    )


def choose(pool: Sequence[Case], needed: set[int], visible: Sequence[Case], count: int) -> list[Case] | None:
    """The needed cases and others, half of them at most with the same answer; None if the pool has too few."""
    places = set(needed)
    answers = Counter(texted(pool[place].expected) for place in places)
    echoes = 0
    for place, case in enumerate(pool):
        if len(places) >= count:
            break
        answer, echo = texted(case.expected), case.expected in case.args
        if place in places or case in visible or answers[answer] >= (count + 1) // 2 or (echo and echoes >= count // 3):
            continue
        places.add(place)
        answers[answer] += 1
        echoes += echo
    chosen = [pool[place] for place in sorted(places)]
    return None if len(chosen) < count or passable(chosen) else chosen


@lru_cache(maxsize=4096)
def exam_of(name: str, key: str, tests: int) -> Exam:
    """The problem of a family with parameters, as JSON, with so many hidden tests: always the same ones."""
    family, parameters = FAMILIES.by_name[name], json.loads(key)
    recipe = family.build(**parameters)
    reference = loaded(family, recipe.code, parameters)
    mutants = [loaded(family, template, parameters) for template in mutant_templates(recipe)]
    dice = random.Random(f"{name}:{key}")
    stream = cases(recipe, reference, dice)
    found: list[Case] = []
    wanted = len(recipe.edges) + tests + EXAMPLES + SPARE
    while True:
        for case in stream:
            found.append(case)
            if len(found) >= wanted:
                break
        else:
            passing = [place for place, call in enumerate(mutants) if not any(differs(call, *case) for case in found)]
            what = f"mutants {passing} pass all" if passing else "too many have the same answer"
            raise AssertionError(f"{name}({key}): {len(found)} inputs make no {tests} tests that tell: {what}")
        needed = killers(found, mutants)
        if needed is not None:
            visible = examples(found, len(recipe.edges), needed)
            hidden = choose(found, needed, visible, tests)
            if hidden is not None:
                used = [*visible, *hidden]
                spare = [case for case in found if case not in used]
                return Exam(family, parameters, recipe, tuple(visible), tuple(hidden), tuple(spare))
        wanted += tests


def exam_for(family: Family, parameters: Mapping[str, Any], tests: int) -> Exam:
    """The problem of a family with parameters."""
    return exam_of(family.name, json.dumps(parameters), tests)
