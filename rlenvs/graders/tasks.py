"""From a task record to a question: every key is checked once, and what was checked is remembered."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rlenvs.errors import GraderError
from rlenvs.graders.answers import Tolerance, compile_math, compile_number, compile_text
from rlenvs.graders.choices import compile_choice
from rlenvs.graders.countdown import compile_countdown, number_of
from rlenvs.graders.documents import compile_document
from rlenvs.graders.extraction import EXTRACTORS
from rlenvs.graders.question import CODE_TYPES, Policy, Question, flag_of, text_of
from rlenvs.suggestions import did_you_mean

DEFAULT_EXTRACT = {
    "math": "last_boxed",
    "gsm8k": "last_hash",
    "qa_exact": "whole",
    "countdown": "last_answer_tag",
    "mcq": "last_answer_line",
    "json": "whole",
} | dict.fromkeys(CODE_TYPES, "last_python_block")
TASK_TYPES = tuple(DEFAULT_EXTRACT)
DEADLINE_SECONDS = 1.0
"""What comparing one answer may take, where it needs Math-Verify or a schema."""
MAX_DEADLINE_SECONDS = 60.0


def one_of(task: Mapping[str, Any], key: str, value: object, known: Sequence[str]) -> str:
    """Return `value` if it is known; else raise a GraderError with the nearest known one."""
    if isinstance(value, str) and value in known:
        return value
    hint = did_you_mean(str(value), known)
    raise GraderError(f"task {key}: unknown {value!r}{hint} (known: {', '.join(known)})")


def policy_of(task: Mapping[str, Any], task_type: str) -> Policy:
    """Which part of a response counts."""
    extract = one_of(task, "extract", task.get("extract", DEFAULT_EXTRACT[task_type]), tuple(EXTRACTORS))
    markers = task.get("markers", ())
    if not isinstance(markers, list | tuple) or not all(isinstance(marker, str) and marker for marker in markers):
        raise GraderError(f"task markers: must be a list of non-empty texts, got {markers!r}")
    if extract == "last_marker" and not markers:
        raise GraderError("task markers: extract='last_marker' needs at least one, such as ['A:']")
    return Policy(extract, tuple(markers), bool(flag_of(task, "require_after_think")))


def tolerance_of(task: Mapping[str, Any]) -> Tolerance | None:
    """How close an answer has to be."""
    tolerance = task.get("tolerance")
    if tolerance is None:
        return None
    if not isinstance(tolerance, Mapping) or not tolerance or not set(tolerance) <= {"abs", "rel"}:
        raise GraderError(f"task tolerance: must be {{'abs': ..., 'rel': ...}} or one of them, got {tolerance!r:.80}")
    bounds = [number_of("tolerance", tolerance.get(key, 0)) for key in ("abs", "rel")]
    if min(bounds) < 0:
        raise GraderError(f"task tolerance: must be >= 0, got {tolerance!r:.80}")
    return Tolerance(*bounds)


def seconds_of(task: Mapping[str, Any]) -> float:
    """The deadline of one comparison."""
    seconds = task.get("time_limit_s", DEADLINE_SECONDS)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= MAX_DEADLINE_SECONDS:
        raise GraderError(f"task time_limit_s: must be in (0, {MAX_DEADLINE_SECONDS:g}], got {seconds!r:.80}")
    return float(seconds)


@lru_cache(maxsize=8192)
def compiled(
    task_type: str,
    policy: Policy,
    gold: str,
    require_evaluated: bool | None,
    tolerance: tuple[Fraction, Fraction] | None,
    seconds: float,
) -> Question:
    """The question of a task whose gold is a text; the same object for the same record."""
    bounds = Tolerance(*tolerance) if tolerance else None
    if task_type == "math":
        return compile_math(policy, gold, require_evaluated, bounds, seconds)
    if task_type == "gsm8k":
        return compile_number(policy, gold, bounds)
    return compile_text(policy, gold)


def compile_task(task: Mapping[str, Any]) -> Question:
    r"""Check a task record and make the question of it that grades responses.

    `grade` and `grade_batch` do this for every record they get, and take a question in the place of a record. A problem
    that is graded often can so be compiled once.

    Args:
        task: the task record; `rlenvs.graders` has its schema.

    Raises:
        GraderError: an unknown type or extraction, a missing or unreadable gold, a key of the wrong type.

    Example:
        >>> question = compile_task({"type": "math", "gold": "42"})
        >>> question.respond("\\boxed{42}").correct
        True
    """
    if not isinstance(task, Mapping):
        raise GraderError(f"task: must be a mapping with a type and a gold, got {task!r:.80}")
    task_type = one_of(task, "type", task.get("type"), TASK_TYPES)
    policy = policy_of(task, task_type)
    if task_type in CODE_TYPES:
        from rlenvs.graders.code.questions import compile_code

        return compile_code(task, policy)
    if task_type == "countdown":
        return compile_countdown(task, policy)
    if task_type == "mcq":
        return compile_choice(task, policy)
    if task_type == "json":
        return compile_document(task, policy, seconds_of(task))
    tolerance = tolerance_of(task)
    if tolerance is not None and task_type == "qa_exact":
        raise GraderError("task tolerance: a qa_exact task has none, its answer is a text")
    bounds = (tolerance.absolute, tolerance.relative) if tolerance is not None else None
    gold = text_of(task, "gold")
    return compiled(task_type, policy, gold, flag_of(task, "require_evaluated"), bounds, seconds_of(task))
