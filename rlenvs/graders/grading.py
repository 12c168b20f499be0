"""From task records and responses to grades."""

import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rlenvs.errors import UserError
from rlenvs.graders.deadline import Exceeded, shared_pool
from rlenvs.graders.question import Grade, Pending, PendingCode, Question
from rlenvs.graders.tasks import compile_task

BatchGrader = Callable[[Sequence[Mapping[str, Any]], Sequence[str]], list[Grade]]
"""What an environment needs of a grader: `grade_batch` or a function like it."""

Task = Mapping[str, Any] | Question
REMEMBERED_REPLIES = 4096
PLAIN_KEYS = 4
"""Keys of a record with type, question, gold and extract, and so with no other policy."""

plain_integer = re.compile(r"\s*(-?[1-9][0-9]{0,30}|0)\s*", re.ASCII).fullmatch

known_replies: dict[tuple[str, float, str], Any] = {}
known_replies_lock = threading.Lock()


def renew_lock_in_child() -> None:
    """After a fork: another thread, which the child does not have, may have held it."""
    global known_replies_lock
    known_replies_lock = threading.Lock()


os.register_at_fork(after_in_child=renew_lock_in_child)


def question_of(task: Task) -> Question:
    """A question, made of a record if need be."""
    return task if isinstance(task, Question) else compile_task(task)


def respond(task: Task, response: str) -> Grade | Pending | PendingCode:
    """Judge one response, as far as that takes no time.

    Most answers are plain integers, to records without special policies. They are judged here with two matches and a
    comparison, and get the grade that the question of the record gives them.
    """
    if not isinstance(response, str):
        raise UserError(f"response must be a str, got {type(response).__name__}")
    if (
        isinstance(task, dict)
        and len(task) == PLAIN_KEYS
        and task.get("extract") == "whole"
        and task.get("type") == "math"
        and "question" in task
    ):
        answer = plain_integer(response)
        gold = task.get("gold")
        expected = plain_integer(gold) if isinstance(gold, str) and answer is not None else None
        if answer is not None and expected is not None:
            text = answer[1]
            if text == expected[1]:
                return Grade(1.0, True, "ok", text, "equal to the gold answer, from the response")
            return Grade(0.0, False, "ok", text, "differs from the gold answer, from the response")
    return question_of(task).respond(response)


def settle(pending: Sequence[Pending]) -> list[Grade]:
    """Run checks that need a deadline, equal ones once, as many at a time as there are workers."""
    keys = [(item.kind, item.seconds, json.dumps(item.request, sort_keys=True)) for item in pending]
    with known_replies_lock:
        replies = {key: known_replies[key] for key in keys if key in known_replies}
    missing = {key: item for key, item in zip(keys, pending, strict=True) if key not in replies}
    for kind in {key[0] for key in missing}:
        batch = [(key, item) for key, item in missing.items() if key[0] == kind]
        results = shared_pool(kind).check_all([(item.request, item.seconds) for _, item in batch])
        replies.update({key: result for (key, _), result in zip(batch, results, strict=True)})
    with known_replies_lock:
        if len(known_replies) > REMEMBERED_REPLIES:
            known_replies.clear()
        # What ran into a limit may not do so on a machine that is less busy.
        known_replies.update({key: replies[key] for key in missing if not isinstance(replies[key], Exceeded)})
    return [item.finish(replies[key]) for key, item in zip(keys, pending, strict=True)]


def settle_all(outcomes: Sequence[Grade | Pending | PendingCode]) -> list[Grade]:
    """Bring all outcomes to their grades: checks under their deadline, programs in the sandbox."""
    grades: list[Grade | None] = [outcome if isinstance(outcome, Grade) else None for outcome in outcomes]
    checks = [(index, outcome) for index, outcome in enumerate(outcomes) if isinstance(outcome, Pending)]
    programs = [(index, outcome) for index, outcome in enumerate(outcomes) if isinstance(outcome, PendingCode)]
    if checks:
        for (index, _), verdict in zip(checks, settle([item for _, item in checks]), strict=True):
            grades[index] = verdict
    if programs:
        from rlenvs.graders.code.verdicts import settle_code

        for (index, _), verdict in zip(programs, settle_code([item for _, item in programs]), strict=True):
            grades[index] = verdict
    return [verdict for verdict in grades if verdict is not None]


def grade(task: Task, response: str) -> Grade:
    r"""Grade one response.

    Args:
        task: the task record (`rlenvs.graders` has its schema), or what `compile_task` made of it.
        response: what the model wrote; any text of any length.

    Raises:
        GraderError: the record cannot be graded by, or the checker of formulas is broken.
        MissingExtraError: the answer can only be compared by a package that is not installed.
        UserError: `response` is not a text.

    Example:
        >>> task = {"type": "math", "question": "6*7?", "gold": "42", "extract": "last_boxed"}
        >>> grade(task, "It is \\boxed{42}.").correct
        True
        >>> grade(task, "42").status
        'invalid'
    """
    outcome = respond(task, response)
    return outcome if isinstance(outcome, Grade) else settle_all([outcome])[0]


def grade_batch(tasks: Sequence[Task], responses: Sequence[str]) -> list[Grade]:
    """Grade many responses, each by its own task; the same grades as `grade` one by one.

    One pass judges what takes no time; the rest is checked under its deadline, several at a time, and programs run in
    the sandbox (`rlenvs.sandbox.default_pool`), as many at a time as it has workers.

    Raises:
        GraderError: a record cannot be graded by, or the checker of formulas or the sandbox is broken.
        MissingExtraError: an answer can only be compared by a package that is not installed.
        SandboxError: a program has to run, and there can be no sandbox on this machine.
        UserError: the lengths differ, or a response is not a text.
    """
    if len(tasks) != len(responses):
        raise UserError(f"grade_batch needs one response per task, got {len(tasks)} and {len(responses)}")
    return settle_all([respond(task, response) for task, response in zip(tasks, responses, strict=True)])
