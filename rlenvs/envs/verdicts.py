"""Verdicts by columns: many answers judged without an object each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.episode import TextTask
from rlenvs.graders import Grade, grade_batch
from rlenvs.problems.batch import boxed
from rlenvs.problems.grading import grade_tasks

PLAIN_FIELDS = {"type", "question", "gold", "extract"}
MAX_PLAIN_DIGITS = 31
RIGHT = "equal to the gold answer, from the response"
WRONG = "differs from the gold answer, from the response"
PARTS = attrgetter("score", "correct", "status", "extracted", "reason")
ZERO, NINE, MINUS = ord("0"), ord("9"), ord("-")

Objects = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Verdicts:
    """k verdicts; each field holds what `Grade` says, k times, with "" for no extracted answer."""

    scores: npt.NDArray[np.float64]
    correct: Bools
    statuses: Objects
    extracted: Objects
    reasons: Objects

    @classmethod
    def of(cls, grades: Sequence[Grade]) -> "Verdicts":
        """The columns of verdicts."""
        scores, correct, statuses, extracted, reasons = list(zip(*map(PARTS, grades), strict=True)) or [()] * 5
        return cls(
            scores=np.array(scores, dtype=np.float64),
            correct=np.array(correct, dtype=np.bool_),
            statuses=boxed(statuses),
            extracted=boxed([text or "" for text in extracted]),
            reasons=boxed(reasons),
        )

    def put(self, rows: npt.NDArray[np.intp], other: "Verdicts") -> None:
        """Replace some of them."""
        self.scores[rows], self.correct[rows] = other.scores, other.correct
        self.statuses[rows], self.extracted[rows], self.reasons[rows] = other.statuses, other.extracted, other.reasons


def judged(
    task: TextTask,
    fields: Mapping[str, Any],
    records: Callable[[npt.NDArray[np.intp]], list[Mapping[str, Any]]],
    texts: Sequence[str],
) -> Verdicts:
    """Judge answers, each by its own task.

    Integers that are written plainly, to tasks that ask for one and nothing else, are compared as texts for all rows at
    once: that is what the grader makes of them. It judges the others, in one call.

    Args:
        task: has the grader.
        fields: the task records by columns.
        records: gives the records of some rows.
        texts: the answers.
    """
    if task.judge not in (grade_batch, grade_tasks) or not asks_for_integers(fields):
        return Verdicts.of(task.verdicts(records(np.arange(len(texts))), texts))
    golds = boxed(fields["gold"])
    plain = plain_integers(texts) & plain_integers(golds.tolist())
    extracted = boxed(texts)
    correct: Bools = np.equal(extracted, golds).astype(np.bool_)
    verdicts = Verdicts(
        scores=correct.astype(np.float64),
        correct=correct,
        statuses=np.full(len(texts), "ok", dtype=object),
        extracted=extracted,
        reasons=np.where(correct, boxed([RIGHT]), boxed([WRONG])),
    )
    rows = np.flatnonzero(~plain)
    if len(rows):
        verdicts.put(rows, Verdicts.of(task.verdicts(records(rows), extracted[rows].tolist())))
    return verdicts


def asks_for_integers(fields: Mapping[str, Any]) -> bool:
    """True for tasks whose whole answer is one number, without any other policy."""
    if fields.keys() != PLAIN_FIELDS:
        return False
    return (
        set(fields["type"]) == {"math"}
        and set(fields["extract"]) == {"whole"}
        and set(map(type, fields["gold"])) == {str}
    )


def plain_integers(texts: Sequence[str]) -> Bools:
    """[k] which texts are integers as Python writes them, of at most 31 digits.

    Example:
        >>> plain_integers(["12", "-7", "0", "-0", "007", "1.5", "", "12 "]).tolist()
        [True, True, True, False, False, False, False, False]
    """
    sizes = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    width = min(int(sizes.max(initial=0)), MAX_PLAIN_DIGITS + 1)
    if not width:
        return np.zeros(len(texts), dtype=np.bool_)
    points = np.array(texts, dtype=f"<U{width}").view(np.uint32).reshape(len(texts), width)
    behind = np.arange(width) >= sizes[:, None]
    digits = (points >= ZERO) & (points <= NINE)
    signed = points[:, 0] == MINUS
    first = points[:, 0]
    if width > 1:
        first = np.where(signed, points[:, 1], first)
        digits[:, 0] |= signed & (sizes > 1)
    written = np.all(digits | behind, axis=1) & (sizes > 0) & (sizes <= MAX_PLAIN_DIGITS + signed)
    plain: Bools = written & ((first != ZERO) | (sizes == 1))
    return plain
