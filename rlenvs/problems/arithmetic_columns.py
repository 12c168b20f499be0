"""Arithmetic problems by columns: values, digit operations and texts of many at once.

Everything here says what `rlenvs.problems.expressions` says of one problem; the tests hold the one to the other.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.problems.batch import ProblemBatch, Texts, boxed

Ints = npt.NDArray[np.int64]
Points = npt.NDArray[np.uint32]

FIRST_NUMBER, FIRST_OPERATOR = 0xE000, 0xF000
"""Private characters that stand for the numbers and operators of a layout."""
LARGEST = 1 << 62
"""Values and intermediate results must stay below this."""
POWERS = 10 ** np.arange(19, dtype=np.int64)
ZERO = ord("0")


def widths(numbers: Ints) -> Ints:
    """Digits of non-negative numbers; 0 has one."""
    return np.maximum(np.searchsorted(POWERS, numbers, side="right"), 1)


def sum_works(a: Ints, b: Ints) -> Ints:
    """Digit operations of the signed sums a + b; see `rlenvs.problems.expressions.sum_work`."""
    large, small = np.maximum(abs(a), abs(b)), np.minimum(abs(a), abs(b))
    work = widths(large)
    adding = (a < 0) == (b < 0)
    carry = np.zeros(len(a), dtype=np.int64)
    for _ in range(int(work.max(initial=0)) + 1):
        above, below = large % 10, small % 10
        # A carry or a borrow; both stop where nothing is left to add or to take away.
        carry = np.where(adding, above + below + carry > 9, above - carry < below).astype(np.int64)
        work += carry
        large, small = large // 10, small // 10
    return work


def product_works(a: Ints, b: Ints) -> Ints:
    """Digit operations of long multiplications; see `rlenvs.problems.expressions.product_work`."""
    a, b = abs(a), abs(b)
    places = widths(b)
    work, total = widths(a) * places, np.zeros(len(a), dtype=np.int64)
    for place in range(int(places.max(initial=0))):
        row = a * (b // POWERS[place] % 10) * POWERS[place]
        if place:
            work += np.where(place < places, sum_works(total, row), 0)
        total += np.where(place < places, row, 0)
    return work


def evaluate_columns(operands: Sequence[Ints], signs: Sequence[Points]) -> tuple[Ints, Ints]:
    """Values of expressions under the usual precedence, and the digit operations they take.

    Args:
        operands: for each place of the expression [k] numbers.
        signs: for each place between two of them [k] code points of operators.
    """
    term = operands[0]
    total, work, sign = np.zeros_like(term), np.zeros_like(term), np.ones_like(term)
    begun = np.zeros(len(term), dtype=np.bool_)
    for operator, operand in zip(signs, operands[1:], strict=True):
        times = operator == ord("*")
        if times.any():
            work += np.where(times, product_works(term, operand), 0)
        if not times.all():
            work += np.where(~times & begun, sum_works(total, sign * term), 0)
        total = np.where(times, total, total + sign * term)
        begun |= ~times
        term = np.where(times, term * operand, operand)
        sign = np.where(times, sign, np.where(operator == ord("-"), -1, 1))
    if begun.any():
        work += np.where(begun, sum_works(total, sign * term), 0)
    return total + sign * term, work


def digit_points(numbers: Ints, count: int, *, padded: bool = False) -> Points:
    """[k, count] code points of the digits, most significant first; leading zeros are 0, or `0` if padded."""
    powers = POWERS[:count][::-1]
    digits = (numbers[:, None] // powers % 10 + ZERO).astype(np.uint32)
    if not padded:
        digits[:, :-1] *= numbers[:, None] >= powers[:-1]
    return digits


def packed(points: Points) -> Points:
    """The same texts without the zeros in between."""
    kept = points != 0
    if kept.all():
        return points
    places = np.cumsum(kept, axis=1)
    width = int(places[:, -1].max(initial=0))
    texts = np.zeros((len(points), max(width, 1)), dtype=np.uint32)
    rows, columns = np.nonzero(kept)
    texts[rows, places[rows, columns] - 1] = points[rows, columns]
    return texts


def strings(points: Points) -> Texts:
    """[k] texts of code points, zeros behind their ends."""
    texts: Texts = np.ascontiguousarray(points).view(f"<U{points.shape[1]}")[:, 0].astype(object)
    return texts


def constant(text: str, count: int) -> Points:
    """[count, length] the same text in every row."""
    return np.broadcast_to(np.array([ord(c) for c in text], dtype=np.uint32), (count, len(text)))


@lru_cache(maxsize=64)
def repeated(text: str, count: int) -> Texts:
    """[count] the same text in every row; an array to read from."""
    texts: Texts = np.full(count, text, dtype=object)
    texts.flags.writeable = False
    return texts


class ArithmeticColumns:
    """Writes arithmetic problems by columns.

    Args:
        expression: how an expression is written, numbers and operators as private characters.
        prompt: the same for the prompt.
        answer: what is around an answer in a demonstration.
        digits: of the largest number.
        operators: the operators to choose from.
        operands: numbers per statement.
        links: statements per problem.
        answer_digits: of the largest answer.
        most_work: what a difficulty of 1 is.
        backwards: True to write answers from their last digit.
        zero_pad: True to write leading zeros.
        record: the keys of a task that are the same for all problems.
    """

    def __init__(
        self,
        *,
        expression: str,
        prompt: str,
        answer: tuple[str, str],
        digits: int,
        operators: str,
        operands: int,
        links: int,
        answer_digits: int,
        most_work: int,
        backwards: bool,
        zero_pad: bool,
        record: dict[str, Any],
    ) -> None:
        self.prompt, self.answer = prompt, answer
        self.digits, self.zero_pad, self.answer_digits = digits, zero_pad, answer_digits
        self.signs = np.array([ord(sign) for sign in operators], dtype=np.uint32)
        self.operands, self.links, self.most_work = operands, links, most_work
        self.backwards, self.record = backwards, record
        self.head = prompt.index(expression)
        self.tail = len(prompt) - len(expression) - self.head
        self.prefix = "arithmetic:reversed:" if backwards else "arithmetic:"

    def batch(self, numbers: Ints, picks: Ints, split: str) -> ProblemBatch:
        """Write problems.

        Args:
            numbers: [k, n].
            picks: [k, m] which of the operators.
            split: of all of them.
        """
        count = len(numbers)
        signs = self.signs[picks]
        values, work = self.evaluated(numbers, signs)
        digits = [digit_points(column, self.digits, padded=self.zero_pad) for column in numbers.T]
        prompt_points = packed(self.laid_out(self.prompt, digits, signs))
        prompts = strings(prompt_points)
        # An expression is what the prompt has between its fixed ends.
        ids = boxed([self.prefix + prompt[self.head : len(prompt) - self.tail] for prompt in prompts.tolist()])
        answers = np.concatenate(
            [
                np.where(values < 0, np.uint32(ord("-")), np.uint32(0))[:, None],
                digit_points(abs(values), self.answer_digits),
            ],
            axis=1,
        )
        gold_points = packed(answers[:, ::-1] if self.backwards else answers)
        golds = strings(gold_points)
        demonstration_points, demonstrations = gold_points, golds
        if any(self.answer):
            before, after = (constant(text, count) for text in self.answer)
            demonstration_points = packed(np.concatenate([before, gold_points, after], axis=1))
            demonstrations = strings(demonstration_points)
        return ProblemBatch(
            ids=ids,
            prompts=prompts,
            tasks=None,
            demonstrations=demonstrations,
            difficulties=work / self.most_work,
            splits=repeated(split, count),
            fields=self.fields(prompts, golds),
            prompt_points=prompt_points,
            demonstration_points=demonstration_points,
        )

    def evaluated(self, numbers: Ints, signs: Points) -> tuple[Ints, Ints]:
        """Values and digit operations."""
        step = self.operands - 1
        value, work = numbers[:, 0], np.zeros(len(numbers), dtype=np.int64)
        for link in range(self.links):
            operands = [value, *numbers[:, 1 + link * step : 1 + (link + 1) * step].T]
            value, spent = evaluate_columns(operands, list(signs[:, link * step : (link + 1) * step].T))
            work = work + spent
        return value, work

    def laid_out(self, layout: str, digits: Sequence[Points], signs: Points) -> Points:
        """[k, W] the code points of a layout, zeros for leading digits."""
        columns: list[Points] = []
        fixed = ""
        for character in [*layout, ""]:
            place = ord(character) if character else FIRST_NUMBER
            if place < FIRST_NUMBER:
                fixed += character
                continue
            if fixed:
                columns.append(constant(fixed, len(signs)))
                fixed = ""
            if character and place >= FIRST_OPERATOR:
                columns.append(signs[:, place - FIRST_OPERATOR][:, None])
            elif character:
                columns.append(digits[place - FIRST_NUMBER])
        return np.concatenate(columns, axis=1)

    def fields(self, prompts: Texts, golds: Texts) -> dict[str, Any]:
        """The task records by columns."""
        count = len(prompts)
        fields: dict[str, Any] = {
            "type": repeated(self.record["type"], count),
            "question": prompts,
            "gold": golds,
            "extract": repeated(self.record["extract"], count),
        }
        if "markers" in self.record:
            fields["markers"] = [list(self.record["markers"]) for _ in range(count)]
        return fields
