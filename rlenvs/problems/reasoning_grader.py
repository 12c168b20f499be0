"""Grading of tasks of the type "reasoning_gym"."""

import functools
import importlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rlenvs.errors import GraderError
from rlenvs.graders import MAX_ANSWER_CHARS, Grade, extract_answer
from rlenvs.graders.deadline import Exceeded, shared_pool
from rlenvs.problems.reasoning_library import EVALUATES_ANSWERS

DEADLINE_SECONDS = 5.0
"""What scoring one answer may take; symbolic and search problems of reasoning-gym need seconds at worst."""
KIND = "reasoning_gym"
"""The kind of check of `rlenvs.graders.deadline` that runs the scorers."""
SCORINGS = ("exact", "verified", "partial")


@functools.lru_cache(maxsize=256)
def has_own_scorer(dataset: str) -> bool:
    """True if a data set has a scorer of its own; the common one rewards any text that contains the answer."""
    factory = importlib.import_module("reasoning_gym.factory")
    common = importlib.import_module("reasoning_gym.dataset").ProceduralDataset
    if dataset not in factory.DATASETS:
        raise GraderError(f"task dataset: reasoning-gym has no {dataset!r}")
    return factory.DATASETS[dataset][0].score_answer is not common.score_answer


def grade_exact(task: Mapping[str, Any], answer: str, where: str) -> Grade:
    """Right is the reference answer and nothing else."""
    gold = task.get("gold")
    if not isinstance(gold, str):
        raise GraderError(f"task gold: must be a text where scoring is exact, got {gold!r:.80}")
    if answer == gold.strip():
        return Grade(1.0, True, "ok", answer, f"equal to the gold answer, {where}")
    return Grade(0.0, False, "ok", answer, f"differs from the gold answer, {where}")


def request_of(task: Mapping[str, Any], answer: str) -> dict[str, Any]:
    """What a worker needs to score an answer.

    Raises:
        GraderError: the record lacks something, or its data set cannot be scored safely.
    """
    dataset, entry = task.get("dataset"), task.get("entry")
    if dataset in EVALUATES_ANSWERS:
        raise GraderError(f"task scoring: must be 'exact' for {dataset}: its own scorer would run the answer as code")
    if not isinstance(dataset, str) or not isinstance(entry, Mapping):
        raise GraderError("task entry: scoring by the data set needs 'dataset' and 'entry', the whole problem")
    config = json.dumps(task.get("config", {}), sort_keys=True)
    return {"dataset": dataset, "config": config, "answer": answer, "entry": dict(entry)}


def grade_scored(task: Mapping[str, Any], answer: str, where: str, reply: dict[str, Any] | Exceeded) -> Grade:
    """From the reply of a worker to a grade."""
    if isinstance(reply, Exceeded):
        return Grade(0.0, False, "timeout", answer, f"scoring this answer took too much {reply.limit}")
    score = float(reply.get("score", 0.0))
    correct = reply["verdict"] == "full"
    reason = f"the data set's own score is {score:g}, {where}"
    return Grade(score if task["scoring"] == "partial" else float(correct), correct, "ok", answer, reason)


def grade_reasoning(tasks: Sequence[Mapping[str, Any]], responses: Sequence[str]) -> list[Grade]:
    """Grade answers to problems of reasoning-gym; those that its own scorers judge in one batch.

    Raises:
        GraderError: a record cannot be graded by.
        MissingExtraError: a scorer is needed and reasoning-gym is not installed.
    """
    grades: dict[int, Grade] = {}
    waiting: list[tuple[int, str, str]] = []
    for row, (task, response) in enumerate(zip(tasks, responses, strict=True)):
        scoring = task.get("scoring", "exact")
        if scoring not in SCORINGS:
            raise GraderError(f"task scoring: must be one of {', '.join(SCORINGS)}, got {scoring!r:.80}")
        after_think = bool(task.get("require_after_think", False))
        markers = task.get("markers", ())
        policy = task.get("extract", "last_answer_tag")
        gold = task.get("gold")
        most = max(MAX_ANSWER_CHARS, 2 * len(gold)) if isinstance(gold, str) else MAX_ANSWER_CHARS
        answer, where = extract_answer(response, policy, markers, after_think=after_think, max_chars=most)
        if answer is None:
            grades[row] = Grade(0.0, False, "invalid", None, where)
        elif scoring == "exact" or (gold is not None and not has_own_scorer(str(task.get("dataset")))):
            grades[row] = grade_exact(task, answer, where)
        else:
            waiting.append((row, answer, where))
    if waiting:
        requests = [(request_of(tasks[row], answer), DEADLINE_SECONDS) for row, answer, _ in waiting]
        replies = shared_pool(KIND).check_all(requests)
        for (row, answer, where), reply in zip(waiting, replies, strict=True):
            grades[row] = grade_scored(tasks[row], answer, where, reply)
    return [grades[row] for row in range(len(tasks))]
