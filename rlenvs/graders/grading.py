"""From a task record and a response to a grade."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from rlenvs.errors import GraderError, UserError
from rlenvs.graders.extraction import EXTRACTORS, Extraction, extract_answer
from rlenvs.graders.numbers import parse_number
from rlenvs.suggestions import did_you_mean

GradeStatus = Literal["ok", "invalid", "timeout", "error"]

SHOWN_CHARS = 80
"""Characters of a text quoted in a message."""


@dataclass(frozen=True, slots=True)
class Grade:
    """The verdict on one response."""

    score: float
    """From 0.0 (wrong) to 1.0 (right)."""
    correct: bool
    """True if the answer is right."""
    status: GradeStatus
    """"ok": an answer was judged; "invalid": the response holds no readable answer; "timeout" and "error":
    the grader itself ran out of time or failed (never caused by these graders' own tasks)."""
    extracted: str | None
    """The text that was judged; None if there was none."""
    reason: str
    """One line that says why."""


BatchGrader = Callable[[Sequence[Mapping[str, Any]], Sequence[str]], list[Grade]]
"""What an environment needs of a grader: `grade_batch` or a function like it."""


@dataclass(frozen=True, slots=True)
class AnswerRule:
    """How the answers of one task type are read and compared."""

    default_extract: str
    read: Callable[[str], Fraction | str | None]
    """From extracted text to its value, None if it has none; right is what has the value of the gold."""
    expects: str
    """What `read` wants, for messages."""


def read_number(answer: str) -> Fraction | None:
    """A number, `%` meaning hundredths."""
    return parse_number(answer)


def read_word_problem_number(answer: str) -> Fraction | None:
    """A number, `%` being its unit."""
    return parse_number(answer, percent_is_unit=True)


def read_text(answer: str) -> str | None:
    """A text without differences of case, white space, Unicode composition and a final full stop."""
    folded = " ".join(unicodedata.normalize("NFC", answer).casefold().split())
    return folded.removesuffix(".").rstrip() or None


RULES = {
    "math": AnswerRule("last_boxed", read_number, "a number"),
    "gsm8k": AnswerRule("last_hash", read_word_problem_number, "a number"),
    "qa_exact": AnswerRule("whole", read_text, "a text"),
}
TASK_TYPES = tuple(RULES)


def one_of(task: Mapping[str, Any], key: str, value: object, known: Sequence[str]) -> str:
    """Return `value` if it is known; else raise a GraderError with the nearest known one."""
    if isinstance(value, str) and value in known:
        return value
    hint = did_you_mean(str(value), known)
    raise GraderError(f"task {key}: unknown {value!r}{hint} (known: {', '.join(known)})")


@lru_cache(maxsize=8192)
def gold_value(task_type: str, gold: str, extract: str, markers: tuple[str, ...]) -> Fraction | str:
    """The value of a gold answer.

    Raises:
        GraderError: it has none.
    """
    rule = RULES[task_type]
    value = rule.read(gold)
    if value is None and task_type == "gsm8k":
        # A whole solution: the task's own policy first, then the marker of the published data set.
        for policy in (extract, "last_hash"):
            answer = extract_answer(gold, policy, markers).answer
            value = rule.read(answer) if answer is not None else None
            if value is not None:
                break
    if value is None:
        raise GraderError(f"task gold: {gold[:SHOWN_CHARS]!r} is not {rule.expects}")
    return value


@dataclass(frozen=True, slots=True)
class Question:
    """A task record after its check: everything that judging a response needs."""

    rule: AnswerRule
    extract: str
    markers: tuple[str, ...]
    after_think: bool
    gold: Fraction | str


def read_task(task: Mapping[str, Any]) -> Question:
    """Check a task record.

    Raises:
        GraderError: an unknown type or extraction, a missing or unreadable gold, markers that are not texts.
    """
    task_type = one_of(task, "type", task.get("type"), TASK_TYPES)
    rule = RULES[task_type]
    extract = one_of(task, "extract", task.get("extract", rule.default_extract), tuple(EXTRACTORS))
    markers = task.get("markers", ())
    if not isinstance(markers, list | tuple) or not all(isinstance(marker, str) and marker for marker in markers):
        raise GraderError(f"task markers: must be a list of non-empty texts, got {markers!r}")
    if extract == "last_marker" and not markers:
        raise GraderError("task markers: extract='last_marker' needs at least one, such as ['A:']")
    gold = task.get("gold")
    if not isinstance(gold, str):
        raise GraderError(f"task gold: must be a text, got {gold!r}")
    markers = tuple(markers)
    after_think = bool(task.get("require_after_think", False))
    return Question(rule, extract, markers, after_think, gold_value(task_type, gold, extract, markers))


def judge(question: Question, extraction: Extraction) -> Grade:
    """Compare an extracted answer with the gold one."""
    answer, where = extraction
    if answer is None:
        return Grade(0.0, False, "invalid", None, where)
    value = question.rule.read(answer)
    if value is None:
        shown = answer if len(answer) <= SHOWN_CHARS else answer[:SHOWN_CHARS] + "..."
        return Grade(0.0, False, "invalid", answer, f"not {question.rule.expects}: {shown!r}")
    if value == question.gold:
        return Grade(1.0, True, "ok", answer, f"equal to the gold answer, {where}")
    return Grade(0.0, False, "ok", answer, f"differs from the gold answer, {where}")


def grade(task: Mapping[str, Any], response: str) -> Grade:
    r"""Grade one response.

    Args:
        task: the task record; `rlenvs.graders` has its schema.
        response: what the model wrote; any text of any length.

    Raises:
        GraderError: the record cannot be graded by.
        UserError: `response` is not a text.

    Example:
        >>> task = {"type": "math", "question": "6*7?", "gold": "42", "extract": "last_boxed"}
        >>> grade(task, "It is \\boxed{42}.").correct
        True
        >>> grade(task, "42").status
        'invalid'
    """
    if not isinstance(response, str):
        raise UserError(f"response must be a str, got {type(response).__name__}")
    question = read_task(task)
    extraction = extract_answer(response, question.extract, question.markers, after_think=question.after_think)
    return judge(question, extraction)


def grade_batch(tasks: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> list[Grade]:
    """Grade many responses, each by its own task; the same grades as `grade` one by one.

    Raises:
        GraderError: a record cannot be graded by.
        UserError: the lengths differ, or a response is not a text.
    """
    if len(tasks) != len(responses):
        raise UserError(f"grade_batch needs one response per task, got {len(tasks)} and {len(responses)}")
    return [grade(task, response) for task, response in zip(tasks, responses, strict=True)]
