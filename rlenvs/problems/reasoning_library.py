"""The reasoning-gym package as this project uses it: by name, lazily, and without the global random generators."""

import dataclasses
import importlib
import io
import json
import math
import random
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stdout
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

PRINTS_DOTS = frozenset({"bf"})
"""Data sets that write to the standard output while they make a problem."""

HASH_SEED_DEPENDENT = frozenset(
    {"isomorphic_strings", "knight_swap", "polynomial_multiplication", "ransom_note", "word_ladder"}
)
"""Data sets that iterate over Python sets: the problem at an index depends on PYTHONHASHSEED of the process. Ids and
splits do not, because they are hashes of the problem itself."""

GLOBAL_RANDOM_USERS = {
    "list_functions": (("reasoning_gym.induction.list_functions.generators", "random"),),
    "pool_matrix": (("reasoning_gym.algorithmic.pool_matrix", "np"),),
}
"""Data sets that draw from the global generators, and the name of the module in theirs that they do it through."""

lock = threading.RLock()


class OwnNumpy:
    """NumPy with legacy random functions of its own, for a module that seeds and draws from the global ones."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.RandomState(seed)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


@contextmanager
def own_random(dataset: str, seed: int) -> Iterator[None]:
    """Give a data set that draws from the global generators some of its own, for as long as the block runs."""
    users = GLOBAL_RANDOM_USERS.get(dataset, ())
    if not users:
        yield
        return
    with lock:
        before: list[tuple[ModuleType, str, Any]] = []
        for module_name, attribute in users:
            module = importlib.import_module(module_name)
            before.append((module, attribute, getattr(module, attribute)))
            seeded: Any = OwnNumpy(seed % 2**32) if attribute == "np" else random.Random(seed)
            setattr(module, attribute, seeded)
        try:
            yield
        finally:
            for module, attribute, value in before:
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
    with own_random(name, seed + index), redirect_stdout(io.StringIO()) if name in PRINTS_DOTS else nullcontext():
        entry = dataset[index]
    metadata = entry["metadata"]
    answer = entry["answer"]
    if name in GOLD_IN_METADATA:
        answer = metadata[GOLD_IN_METADATA[name]]
    if answer is not None and not isinstance(answer, str):
        answer = json.dumps(answer)
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
            shares.append(min(1.0, max(0.0, (value - low) / (high - low))))  # type: ignore[operator]
    return sum(shares) / len(shares) if shares else 0.0


def is_number(value: object) -> bool:
    """True for a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
