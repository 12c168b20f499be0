"""The reasoning-gym package as this project uses it: by name, lazily, and without the global random generators."""

import builtins
import dataclasses
import importlib
import json
import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from rlenvs.errors import ParameterError
from rlenvs.extras import require
from rlenvs.suggestions import did_you_mean

EVALUATES_ANSWERS = frozenset(
    {
        "binary_matrix",
        "countdown",
        "intermediate_integration",
        "n_queens",
        "polynomial_multiplication",
        "puzzle24",
        "simple_integration",
        "spiral_matrix",
        "string_insertion",
    }
)
"""Data sets whose own scorer runs the text of an answer as Python code, with `eval` or SymPy's `parse_expr`."""

WITHOUT_GOLD = {
    "boxnet": "reasoning-gym gives no answer to it",
    "rush_hour": "reasoning-gym gives no answer to it",
}
"""Data sets that no demonstration can be written for, and why."""

GOLD_IN_METADATA = {
    "graph_color": "possible_answer",
    "propositional_logic": "example_answer",
    "rubiks_cube": "example_correct_answer",
}
"""Data sets with many right answers that state one of them in their metadata alone. It is not always right (in
propositional_logic every 150th or so is not); one that the data set's own scorer refuses does not count."""

PRINTERS = {
    "bf": (
        ("reasoning_gym.code.contrib.bfit.Compiler.Optimizer", "print"),
        ("reasoning_gym.code.contrib.bfit.Compiler.FunctionCompiler", "print"),
    ),
    "codeio": (("reasoning_gym.code.codeio", "print"), ("reasoning_gym.code.codeio", "exec")),
    "rectangle_count": (("reasoning_gym.cognition.rectangle_count", "print"),),
}
"""Data sets that write to the standard output while they make a problem, and the names in their modules that do it."""

HASH_SEED_DEPENDENT = frozenset(
    {"codeio", "isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note", "word_ladder"}
)
"""Data sets that iterate over Python sets: the problem at an index depends on PYTHONHASHSEED of the process. Ids and
splits do not, because they are hashes of the problem itself."""

GLOBAL_RANDOM_USERS = {
    "list_functions": (("reasoning_gym.induction.list_functions.generators", "random"),),
    "pool_matrix": (("reasoning_gym.algorithmic.pool_matrix", "np"),),
}
"""Data sets that draw from the global generators, and the name of the module in theirs that they do it through."""

PROGRAMS_MAY_IMPORT = frozenset(
    {
        "abc", "array", "bisect", "cmath", "collections", "copy", "dataclasses", "decimal", "enum", "fractions",
        "functools", "heapq", "itertools", "json", "math", "numbers", "numpy", "operator", "re", "statistics", "string",
        "textwrap", "typing",
    }
)  # fmt: skip
"""What gives the same result every time, and leaves nothing behind."""
PROGRAMS_MAY_NOT = ("open", "input", "breakpoint", "exit", "quit", "help")

MISSING = object()
lock = threading.RLock()


class OwnNumpy:
    """NumPy with legacy random functions of its own, for a module that seeds and draws from the global ones."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def keep_silent(*_: object, **__: object) -> None:
    """Print nothing."""


def closed_exec(seed: int) -> Callable[[str, dict[str, Any], dict[str, Any]], None]:
    """What runs the programs that codeio makes its problems with: without files, clocks, input, output and global dice.

    They are programs of the package, never texts of a policy. A twelfth of them draw from the global generators, a few
    write files where they are run. One that imports something else than `PROGRAMS_MAY_IMPORT` fails, and codeio makes a
    problem about nothing, which `entry_of` leaves out.
    """
    own = {"random": random.Random(seed), "numpy": OwnNumpy(seed % 2**32)}

    def own_import(name: str, scope: Any = None, inner: Any = None, wanted: Any = (), level: int = 0) -> Any:
        top, _, rest = name.partition(".")
        if (top in own and (not wanted or not rest)) and not rest.startswith("random"):
            importlib.import_module(name)
            return own[top]
        if top not in PROGRAMS_MAY_IMPORT or rest.startswith("random"):
            raise ImportError(f"no {name} for programs of a data set")
        return __import__(name, scope, inner, wanted, level)

    known = {key: value for key, value in vars(builtins).items() if key not in PROGRAMS_MAY_NOT}

    def run(code: str, names: dict[str, Any], inner: dict[str, Any]) -> None:
        names["__builtins__"] = {**known, "print": keep_silent, "__import__": own_import}
        exec(code, names, inner)  # noqa: S102 - see above

    return run


@contextmanager
def by_itself(dataset: str, seed: int) -> Iterator[None]:
    """Keep a data set from the global generators and from the standard output, for as long as the block runs.

    Names in its own modules are replaced, never `sys.stdout` or a state that other threads use too.
    """
    users, printers = GLOBAL_RANDOM_USERS.get(dataset, ()), PRINTERS.get(dataset, ())
    if not users and not printers:
        yield
        return
    with lock:
        before: list[tuple[ModuleType, str, Any]] = []
        for module_name, attribute in [*users, *printers]:
            module = importlib.import_module(module_name)
            before.append((module, attribute, vars(module).get(attribute, MISSING)))
            own = {
                "np": OwnNumpy(seed % 2**32),
                "random": random.Random(seed),
                "print": keep_silent,
                "exec": closed_exec(seed),
            }
            setattr(module, attribute, own[attribute])
        try:
            with np.errstate(all="ignore"):
                yield
        finally:
            for module, attribute, value in before:
                if value is MISSING:
                    delattr(module, attribute)
                else:
                    setattr(module, attribute, value)


def check_dataset(name: object) -> str:
    """Return the name of a data set that exists.

    Raises:
        MissingExtraError: reasoning-gym is not installed.
        ParameterError: there is none of that name; says the nearest one.
    """
    require("reasoning_gym", "reasoning", "the source reasoning_gym")
    known = sorted(set(importlib.import_module("reasoning_gym.factory").DATASETS) - {"composite"})
    if name == "composite":
        raise ParameterError("dataset", "cannot be 'composite': give a list of data sets, and their weights, instead")
    if isinstance(name, str) and name in known:
        return name
    hint = did_you_mean(name, known) if isinstance(name, str) else ""
    raise ParameterError("dataset", f"must be one of the {len(known)} data sets of reasoning-gym, got {name!r}{hint}")


def make_dataset(name: str, config: Mapping[str, Any], seed: int, size: int) -> Any:
    """A data set of reasoning-gym.

    Raises:
        ParameterError: a parameter that it does not have, or that it refuses.
    """
    factory = importlib.import_module("reasoning_gym.factory")
    fields = [field.name for field in dataclasses.fields(factory.DATASETS[name][1])]
    for key in config:
        if key not in fields or key in ("seed", "size"):
            known = [field for field in fields if field not in ("seed", "size")]
            hint = did_you_mean(key, known)
            raise ParameterError("config", f"of {name}: unknown {key!r}{hint} (known: {', '.join(known)})")
    try:
        return factory.create_dataset(name, **config, seed=seed, size=size)
    except (AssertionError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ParameterError("config", f"of {name} with size={size} is refused by reasoning-gym: {error}") from error


def entry_of(dataset: Any, name: str, seed: int, index: int) -> dict[str, Any]:
    """The problem at an index: question, answer (None if there is none) and metadata, as plain JSON."""
    with by_itself(name, seed + index):
        entry = dataset[index]
    metadata = entry["metadata"]
    answer = entry["answer"]
    if name in GOLD_IN_METADATA:
        answer = metadata[GOLD_IN_METADATA[name]]
    if answer is not None and not isinstance(answer, str):
        answer = json.dumps(answer)
    if name == "codeio" and metadata["input_data"] == metadata["output_data"] == {}:
        answer = None  # its own code has failed, and it asks about nothing
    if name in GOLD_IN_METADATA and dataset.score_answer(answer, entry) != 1.0:
        answer = None
    return {"question": entry["question"], "answer": answer or None, "metadata": metadata}


def difficulty_of(metadata: Mapping[str, Any]) -> float:
    """How hard a problem is, by what it was made with: where its numbers lie in the ranges that they were drawn from.

    About half of the data sets say both, such as "num_terms": 4 beside "difficulty": {"num_terms": (2, 6)}. 0.0 is the
    lower end of all ranges, 1.0 the upper end of all; 0.0 also where nothing is known.

    Example:
        >>> difficulty_of({"difficulty": {"num_terms": (2, 6), "num_digits": (1, 4)}, "num_terms": 4, "num_digits": 4})
        0.75
    """
    ranges = metadata.get("difficulty")
    shares = []
    for key, bounds in ranges.items() if isinstance(ranges, Mapping) else ():
        value = metadata.get(key)
        if not isinstance(bounds, list | tuple) or len(bounds) != 2 or not all(map(is_number, (*bounds, value))):
            continue
        low, high = bounds
        if low < high:
            shares.append(min(1.0, max(0.0, (value - low) / (high - low))))
    return sum(shares) / len(shares) if shares else 0.0


def is_number(value: object) -> bool:
    """True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
