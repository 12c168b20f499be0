"""Verdicts by columns: many answers judged without an object each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.char_tokenizer import UNKNOWN_CHARACTER
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
SIMPLE = np.array([not point or chr(point) in "0123456789+-*=" for point in range(129)], dtype=np.bool_)
"""Whether a code point is a usual character of a sum; the last place stands for all that follow."""
UNKNOWN = ord(UNKNOWN_CHARACTER)
MOST_PLACES = 64
"""Texts that are longer are left to the grader."""

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
    return plain_points(points, sizes)


def plain_points(points: npt.NDArray[np.uint32], sizes: npt.NDArray[np.int64]) -> Bools:
    """The same of code points, [k, P], whatever is behind the [k] ends; P must be more than 31 if a text is longer."""
    width = points.shape[1]
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


def equal_points(points: npt.NDArray[np.uint32], others: npt.NDArray[np.uint32]) -> Bools:
    """[k] which texts are the same; both are code points with zeros behind the ends."""
    width = min(points.shape[1], others.shape[1])
    same: Bools = np.all(points[:, :width] == others[:, :width], axis=1)
    for rest in (points[:, width:], others[:, width:]):
        if rest.shape[1]:
            same &= ~rest.any(axis=1)
    return same


def surely_wrong(points: npt.NDArray[np.uint32], golds: npt.NDArray[np.uint32]) -> Bools:
    """[k] which answers are no way to write a gold integer, as far as that can be seen without reading them.

    Texts of nothing but digits, `+`, `-`, `*` and `=` must have the digits of the gold answer in a row: sums and
    products do not count until they are worked out. With the sign for unknown characters among these they are wrong
    anyway. Nothing is said of other texts.

    Args:
        points: [k, P] code points of the answers, zeros behind the ends.
        golds: [k, G] the same of integers, as Python writes them.
    """
    width = points.shape[1]
    if width > MOST_PLACES:
        return np.zeros(len(points), dtype=np.bool_)
    unknown = points == UNKNOWN
    simple = (SIMPLE[np.minimum(points, len(SIMPLE) - 1)] | unknown).all(axis=1)
    count, length = golds.shape
    longer = np.zeros((count, length + 1), dtype=golds.dtype)
    longer[:, :length] = golds
    digits = np.where(golds[:, :1] == MINUS, longer[:, 1:], golds)
    padded = np.zeros((count, width + length), dtype=points.dtype)
    padded[:, :width] = points
    found = np.zeros(len(points), dtype=np.bool_)
    for place in range(width):
        found |= np.all((padded[:, place : place + length] == digits) | (digits == 0), axis=1)
    wrong: Bools = simple & (~found | unknown.any(axis=1))
    return wrong
