"""Graders for the task types of sources, beyond those of `rlenvs.graders`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlenvs.errors import UserError
from rlenvs.graders import BatchGrader, Grade, grade_batch

FREE_TEXT_TYPES = ("free_text", "conversation")


def grade_free_text(tasks: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> list[Grade]:
    """Texts without a right answer: what they are worth, the reward layer says. A blank one is invalid.

    Example:
        >>> [grade.status for grade in grade_free_text([{}, {}], ["Once upon a time", " "])]
        ['ok', 'invalid']
    """
    judged = Grade(0.0, False, "ok", None, "no answer is known to be right: the reward layer judges this text")
    blank = Grade(0.0, False, "invalid", None, "the response is empty")
    return [judged if response.strip() else blank for response in responses]


def grade_reasoning(tasks: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> list[Grade]:
    """Answers to problems of reasoning-gym; imported when they are first needed."""
    from rlenvs.problems.reasoning_grader import grade_reasoning as grade

    return grade(tasks, responses)


GRADERS: dict[str, Callable[[Sequence[Mapping[str, Any]], Sequence[str]], list[Grade]]] = {
    "reasoning_gym": grade_reasoning,
    **dict.fromkeys(FREE_TEXT_TYPES, grade_free_text),
}
"""What judges a batch of tasks of one type; every other type is left to `rlenvs.graders.grade_batch`."""


def grade_tasks(tasks: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> list[Grade]:
    """Grade tasks of any type, those of each type in one call.

    Raises:
        GraderError: a record cannot be graded by.
        UserError: the lengths differ, or a response is not a text.
    """
    if len(tasks) != len(responses):
        raise UserError(f"grade_tasks needs one response per task, got {len(tasks)} and {len(responses)}")
    rows_of: dict[BatchGrader, list[int]] = {}
    for row, (task, response) in enumerate(zip(tasks, responses, strict=True)):
        if not isinstance(response, str):
            raise UserError(f"response must be a str, got {type(response).__name__}")
        task_type = task.get("type")
        grader = GRADERS.get(task_type, grade_batch) if isinstance(task_type, str) else grade_batch
        rows_of.setdefault(grader, []).append(row)
    grades: dict[int, Grade] = {}
    for grader, rows in rows_of.items():
        judged = grader([tasks[row] for row in rows], [responses[row] for row in rows])
        grades.update(zip(rows, judged, strict=True))
    return [grades[row] for row in range(len(tasks))]
