"""What a worker does to score an answer by a data set of reasoning-gym; see `rlenvs.graders.deadline.checks`."""

import functools
import json
from collections.abc import Callable
from typing import Any

from rlenvs.extras import require
from rlenvs.graders.deadline.checks import CHECKS
from rlenvs.problems.reasoning_library import make_dataset

HOLDS_TUPLES = ("arc_agi", "rearc")
"""Data sets whose scorer compares with tuples in the metadata, which JSON turns into lists."""


def as_tuples(value: Any) -> Any:
    """Nested lists as nested tuples."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, list) else value


@functools.lru_cache(maxsize=64)
def dataset_of(name: str, config: str) -> Any:
    """A data set to score by; its problems are not used."""
    return make_dataset(name, json.loads(config), 0, 1)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Score an answer: the verdict is "full", "part" or "none", beside the score.

    A scorer that fails does so because of the answer: it is known to work for the reference answer.
    """
    name, entry = request["dataset"], request["entry"]
    dataset = dataset_of(name, request["config"])
    if name in HOLDS_TUPLES:
        entry = {**entry, "metadata": {key: as_tuples(value) for key, value in entry["metadata"].items()}}
    try:
        score = float(dataset.score_answer(request["answer"], entry))
    except Exception as error:  # noqa: BLE001 - whatever a third-party scorer does with a hostile text
        return {"verdict": "none", "score": 0.0, "failure_of_text": f"{type(error).__name__}: {error!s:.100}"}
    score = min(1.0, max(0.0, score)) if score == score else 0.0
    return {"verdict": "full" if score == 1.0 else "part" if score else "none", "score": score}


def prepare() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Import reasoning-gym and score once."""
    kind = CHECKS["reasoning_gym"]
    require(kind.needs, kind.extra, kind.purpose)
    check(kind.probe)
    return check
