"""Arithmetic problems by columns: values, digit operations and texts of many at once.

Everything here says what `rlenvs.problems.expressions` says of one problem; the tests hold the one to the other.
"""

from collections.abc import Callable, Sequence
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


def evaluate_columns(operands: Sequence[Ints], signs: Sequence[Points], *, with_work: bool = True) -> tuple[Ints, Ints]:
    """Values of expressions under the usual precedence, and the digit operations they take.

    Args:
        operands: for each place of the expression [k] numbers.
        signs: for each place between two of them [k] code points of operators.
        with_work: False leaves the digit operations out, which cost most of the time; they are zeros then.
    """
    term = operands[0]
    total, work, sign = np.zeros_like(term), np.zeros_like(term), np.ones_like(term)
    begun = np.zeros(len(term), dtype=np.bool_)
    for operator, operand in zip(signs, operands[1:], strict=True):
        times = operator == ord("*")
        if with_work and times.any():
            work += np.where(times, product_works(term, operand), 0)
        if with_work and not times.all():
            work += np.where(~times & begun, sum_works(total, sign * term), 0)
        total = np.where(times, total, total + sign * term)
        begun |= ~times
        term = np.where(times, term * operand, operand)
        sign = np.where(times, sign, np.where(operator == ord("-"), -1, 1))
    if with_work and begun.any():
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
    sizes = kept.sum(axis=1)
    width = max(int(sizes.max(initial=0)), 1)
    texts = np.zeros((len(points), width), dtype=np.uint32)
    texts[np.arange(width) < sizes[:, None]] = points[kept]
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
        self.operator_count = links * (operands - 1)
        self.number_count = self.operator_count + 1
        self.backwards, self.record = backwards, record
        self.head = prompt.index(expression)
        self.tail = len(prompt) - len(expression) - self.head
        self.prefix = "arithmetic:reversed:" if backwards else "arithmetic:"

    def batch(self, numbers: Ints, picks: Ints, split: str) -> "ArithmeticBatch":
        """Write problems.

        Args:
            numbers: [k, n].
            picks: [k, m] which of the operators.
            split: of all of them.
        """
        return ArithmeticBatch(self, numbers, picks, split)

    def points(self, numbers: Ints, signs: Points, values: Ints) -> tuple[Points, Points, Points]:
        """[k, P] the texts of the prompts, of the right numbers, and of the demonstrations."""
        count = len(numbers)
        digits = [digit_points(column, self.digits, padded=self.zero_pad) for column in numbers.T]
        prompts = packed(self.laid_out(self.prompt, digits, signs))
        answers = digit_points(abs(values), self.answer_digits)
        if (values < 0).any():
            minus = np.where(values < 0, np.uint32(ord("-")), np.uint32(0))
            answers = np.concatenate([minus[:, None], answers], axis=1)
        golds = packed(answers[:, ::-1] if self.backwards else answers)
        if not any(self.answer):
            return prompts, golds, golds
        before, after = (constant(text, count) for text in self.answer)
        return prompts, golds, packed(np.concatenate([before, golds, after], axis=1))

    def evaluated(self, numbers: Ints, signs: Points, *, with_work: bool) -> tuple[Ints, Ints]:
        """Values and digit operations; the latter are zeros unless they are wanted."""
        step = self.operands - 1
        value, work = numbers[:, 0], np.zeros(len(numbers), dtype=np.int64)
        for link in range(self.links):
            operands = [value, *numbers[:, 1 + link * step : 1 + (link + 1) * step].T]
            between = list(signs[:, link * step : (link + 1) * step].T)
            value, spent = evaluate_columns(operands, between, with_work=with_work)
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


class ArithmeticBatch(ProblemBatch):
    """Arithmetic problems by columns; objects and difficulties are made when they are asked for.

    Args:
        columns: writes them.
        numbers: [k, n] the numbers.
        picks: [k, m] which of the operators.
        split: of all of them.
    """

    def __init__(self, columns: ArithmeticColumns, numbers: Ints, picks: Ints, split: str) -> None:
        self.columns, self.numbers, self.picks, self.split = columns, numbers, picks, split
        signs = columns.signs[picks]
        values, _ = columns.evaluated(numbers, signs, with_work=False)
        self.points = columns.points(numbers, signs, values)
        """[k, P] the texts of the prompts, of the right numbers, and of the demonstrations."""
        self.prompt_points, self.gold_points, self.demonstration_points = self.points
        self.tasks = None

    def __len__(self) -> int:
        return len(self.numbers)

    def __getattr__(self, name: str) -> Any:
        written = WRITTEN.get(name)
        if written is None:
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        value = written(self)
        setattr(self, name, value)
        return value

    def write_ids(self) -> Texts:
        """Ids: an expression is what the prompt has between its fixed ends."""
        columns = self.columns
        cut = [prompt[columns.head : len(prompt) - columns.tail] for prompt in self.prompts.tolist()]
        return boxed([columns.prefix + expression for expression in cut])

    def write_demonstrations(self) -> Texts:
        """Right responses."""
        _, golds, points = self.points
        return self.golds if points is golds else strings(points)

    def write_difficulties(self) -> npt.NDArray[np.float64]:
        """Digit operations, as a share of the most there can be."""
        _, work = self.columns.evaluated(self.numbers, self.columns.signs[self.picks], with_work=True)
        difficulties: npt.NDArray[np.float64] = work / self.columns.most_work
        return difficulties


WRITTEN: dict[str, Callable[[Any], Any]] = {
    "ids": ArithmeticBatch.write_ids,
    "prompts": lambda batch: strings(batch.prompt_points),
    "golds": lambda batch: strings(batch.gold_points),
    "demonstrations": ArithmeticBatch.write_demonstrations,
    "difficulties": ArithmeticBatch.write_difficulties,
    "splits": lambda batch: repeated(batch.split, len(batch)),
    "fields": lambda batch: batch.columns.fields(batch.prompts, batch.golds),
}
"""What is written when it is asked for."""
