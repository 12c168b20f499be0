"""Procedural integer arithmetic: endless, graded exactly, and hard in ways that can be dialled."""

import string
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, TypedDict

import numpy as np
import numpy.typing as npt

from rlenvs.errors import UserError
from rlenvs.problems.arithmetic_columns import FIRST_NUMBER, FIRST_OPERATOR, LARGEST, ArithmeticColumns
from rlenvs.problems.batch import ProblemBatch
from rlenvs.problems.checks import check_bool, check_int, check_split, seeded
from rlenvs.problems.expressions import OPERATORS, canonical, evaluate, work_bounds, working, written
from rlenvs.problems.problem import Problem, ProblemSource, Split, split_of
from rlenvs.problems.streams import RowStreams

AnswerOrder = Literal["normal", "reversed"]

ANSWER_FORMATS = {
    "whole": "{answer}",
    "last_boxed": "\\boxed{{{answer}}}",
    "last_hash": "#### {answer}",
    "last_answer_tag": "<answer>{answer}</answer>",
    "last_answer_line": "Answer: {answer}",
    "last_marker": "{marker} {answer}",
}
"""How a demonstration writes its answer so that the extraction policy finds it."""

ENUMERATION_LIMIT = 100_000
"""Largest number of problems that is listed in full (under a second); larger spaces are sampled."""
TABLE_LIMIT = 1 << 20
"""Largest number of problems whose splits are remembered, a byte each."""
UNKNOWN = -1
MAX_DRAWS = 10_000
"""Draws before a split is searched in full or given up: with 1% held out, a miss has probability 1e-44."""
VARIABLES = string.ascii_lowercase


class ArithmeticParameters(TypedDict, total=False):
    """Keyword parameters of `ArithmeticSource`, for constructors that pass them on."""

    operands: int
    digits: int
    operators: str
    chain_length: int
    prompt_template: str
    answer_order: AnswerOrder
    zero_pad: bool
    extract: str
    markers: Sequence[str]
    held_out_fraction: float
    working: bool


def check_template(template: object) -> str:
    """Return a prompt template that has exactly one {expression} field and nothing else to fill in."""
    if not isinstance(template, str):
        raise UserError(f"prompt_template must be a str, got {template!r}")
    try:
        fields = [field for field in string.Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        raise UserError(f"prompt_template {template!r} is not a format string: {error}") from error
    if [field[1:] for field in fields] != [("expression", "", None)]:
        raise UserError(f"prompt_template must hold {{expression}} exactly once, got {template!r}")
    return template


class ArithmeticSource(ProblemSource):
    r"""Integer expressions such as `37+48=`, or chains of statements such as `a=37+48;b=a-12;b=`.

    Every number is uniform in 0..10^digits-1, every operator uniform in `operators`; products bind tighter
    than sums.

    Problems are split by a hash of the expression with its commutative parts sorted: 37+48 and 48+37 always
    share a split, whatever the template and the answer order.

    `difficulty` is the number of digit operations of doing the sum on paper (columns, carries and borrows,
    digit products; see `rlenvs.problems.expressions`) divided by an upper bound for these parameters.

    Args:
        operands: numbers per expression, 2..8. In a chain every later statement starts with the variable
        before it.
        digits: digits of the largest number, 1..9.
        operators: a non-empty choice of "+", "-", "*", each once.
        chain_length: statements per problem, 1..26; 1 is a plain expression.
        prompt_template: text around `{expression}`.
        answer_order: "normal", or "reversed" for the least significant digit first (carries then run in
            reading order, which small models learn sooner) with the sign last: -36 is written `63-`.
        zero_pad: write the numbers of a problem with leading zeros up to `digits` digits (07+48=), so that every
            prompt has the same shape; answers are not padded.
        extract: how the grader finds the answer in a response, and how demonstrations write it
            ("whole", "last_boxed", "last_hash", "last_answer_tag", "last_answer_line", "last_marker").
        markers: for extract="last_marker" only: what starts an answer line; demonstrations use the first.
        held_out_fraction: share of the problems kept from training, in [0, 1].
        working: whether the task record has `steps`: the operations one at a time, as the protocol of checked steps
            needs them. Not with reversed answers.

    Raises:
        UserError: a parameter out of range; the message names it.

    Example:
        >>> source = ArithmeticSource(operands=2, digits=2)
        >>> problem = source.sample(np.random.default_rng(0), "train")
        >>> problem.prompt, problem.demonstration
        ('85+63=', '148')
    """

    def __init__(
        self,
        operands: int = 2,
        digits: int = 2,
        operators: str = "+",
        chain_length: int = 1,
        prompt_template: str = "{expression}=",
        answer_order: AnswerOrder = "normal",
        zero_pad: bool = False,
        extract: str = "whole",
        markers: Sequence[str] = ("A:",),
        held_out_fraction: float = 0.1,
        working: bool = False,
    ) -> None:
        self.operands = check_int("operands", operands, 2, 8)
        self.digits = check_int("digits", digits, 1, 9)
        self.chain_length = check_int("chain_length", chain_length, 1, len(VARIABLES))
        known = isinstance(operators, str) and set(operators) <= set(OPERATORS)
        if not known or not operators or len(set(operators)) != len(operators):
            raise UserError(f"operators must be a non-empty choice of '+-*', each once, got {operators!r}")
        self.operators = operators
        self.prompt_template = check_template(prompt_template)
        if answer_order not in ("normal", "reversed"):
            raise UserError(f"answer_order must be 'normal' or 'reversed', got {answer_order!r}")
        self.answer_order = answer_order
        if not isinstance(zero_pad, bool):
            raise UserError(f"zero_pad must be true or false, got {zero_pad!r}")
        self.zero_pad = zero_pad
        self.working = check_bool("working", working)
        if working and answer_order == "reversed":
            raise UserError("working must be false where answer_order is 'reversed': its steps are written as usual")
        if extract not in ANSWER_FORMATS:
            raise UserError(f"extract must be one of {', '.join(ANSWER_FORMATS)}, got {extract!r}")
        self.extract = extract
        if isinstance(markers, str) or not markers or not all(isinstance(m, str) and m for m in markers):
            raise UserError(f"markers must be a non-empty list of non-empty texts, got {markers!r}")
        self.markers = list(markers)
        if isinstance(held_out_fraction, bool) or not isinstance(held_out_fraction, int | float):
            raise UserError(f"held_out_fraction must be a number in [0, 1], got {held_out_fraction!r}")
        if not 0 <= held_out_fraction <= 1:
            raise UserError(f"held_out_fraction must be in [0, 1], got {held_out_fraction!r}")
        self.held_out_fraction = float(held_out_fraction)

    @property
    def number_count(self) -> int:
        """Fresh numbers of one problem."""
        return self.operands + (self.chain_length - 1) * (self.operands - 1)

    @property
    def operator_count(self) -> int:
        """Operators of one problem."""
        return self.chain_length * (self.operands - 1)

    @property
    def size(self) -> int:
        """How many different problems the parameters allow, both splits together."""
        return int(10 ** (self.digits * self.number_count) * len(self.operators) ** self.operator_count)

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Upper bounds of a problem's digit operations and of its value's magnitude."""
        steps = list(work_bounds(self.operator_count, self.digits, self.operators))
        return sum(work for work, _ in steps), steps[-1][1]

    @property
    def max_prompt_chars(self) -> int:
        """Length of the longest prompt."""
        return len(self._prompt(*self._decode(self.size - 1)))

    @property
    def max_demonstration_chars(self) -> int:
        """An upper bound of the length of the longest demonstration."""
        return len(self._respond(("-" if "-" in self.operators else "") + str(self.bounds[1])))

    @property
    def alphabet(self) -> str:
        """Every character of any prompt, demonstration or sign, sorted; what a character tokenizer needs."""
        names = VARIABLES[: self.chain_length] + ";=" if self.chain_length > 1 else ""
        names += " " if self.working else ""  # around the equals sign of a step
        fixed = self.prompt_template.format(expression="") + self._respond("") + names
        return "".join(sorted({*string.digits, *OPERATORS, "=", *fixed}))

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem of `split`, uniformly; see `ProblemSource.sample`."""
        check_split(split)
        for _ in range(MAX_DRAWS):
            numbers, operators = self._draw(rng)
            if self._split(numbers, operators) == split:
                return self._problem(numbers, operators, split)
        return self._problem(*self._decode(self._searched(rng, split)), split)

    def sample_batch(self, streams: RowStreams, rows: Sequence[int], split: Split) -> list[Problem]:
        """Draw a problem for each row; see `ProblemSource.sample_batch`."""
        drawn = self._accepted(streams, rows, check_split(split))
        return [self._problem(*self._read(picks), split) for picks in drawn.tolist()]

    def sample_columns(self, streams: RowStreams, rows: Sequence[int], split: Split) -> ProblemBatch:
        """Draw a problem for each row; see `ProblemSource.sample_columns`."""
        drawn = self._accepted(streams, rows, check_split(split))
        columns = self._columns
        if columns is None:
            return ProblemBatch.of([self._problem(*self._read(picks), split) for picks in drawn.tolist()])
        numbers, picks = drawn[:, : self.number_count], drawn[:, self.number_count :]
        if not picks.size:
            picks = np.zeros((len(drawn), self.operator_count), dtype=np.int64)
        return columns.batch(numbers, picks, split)

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List problems of a split; a space above `ENUMERATION_LIMIT` needs a limit."""
        check_split(split)
        if limit is not None:
            limit = check_int("limit", limit, 1, 10**9)
        rng = seeded(seed)
        if self.size <= ENUMERATION_LIMIT:
            indices = self._listed(split)
            if limit is not None and limit < len(indices):
                indices = [indices[pick] for pick in sorted(rng.permutation(len(indices))[:limit].tolist())]
            return [self._problem(*self._decode(index), split) for index in indices]
        if limit is None:
            raise UserError(f"this source has {self.size:.3g} problems: pass limit=N to list N of them")
        return self._distinct(rng, split, limit)

    def __repr__(self) -> str:
        return (
            f"ArithmeticSource(operands={self.operands}, digits={self.digits}, operators={self.operators!r}, "
            f"chain_length={self.chain_length}, prompt_template={self.prompt_template!r}, "
            f"answer_order={self.answer_order!r}, zero_pad={self.zero_pad}, working={self.working}, "
            f"extract={self.extract!r}, held_out_fraction={self.held_out_fraction})"
        )

    def _draw(self, rng: np.random.Generator) -> tuple[list[int], str]:
        numbers: list[int] = rng.integers(0, 10**self.digits, size=self.number_count).tolist()
        if len(self.operators) == 1:
            return numbers, self.operators * self.operator_count
        picks = rng.integers(0, len(self.operators), size=self.operator_count).tolist()
        return numbers, "".join([self.operators[pick] for pick in picks])

    def _searched(self, rng: np.random.Generator, split: Split) -> int:
        """The number of a problem of a split that draws did not hit, out of all there are."""
        if self.size <= ENUMERATION_LIMIT:
            listed = self._listed(split)
            return listed[int(rng.integers(len(listed)))]
        raise self._nothing(split)

    def _accepted(self, streams: RowStreams, rows: Sequence[int], split: Split) -> npt.NDArray[np.int64]:
        """[k, numbers and operators] the first draws of each row that are of the split."""
        bounds = [10**self.digits] * self.number_count
        if len(self.operators) > 1:
            bounds += [len(self.operators)] * self.operator_count
        asked = np.asarray(rows, dtype=np.intp)
        accepted = np.zeros((len(asked), len(bounds)), dtype=np.int64)
        missing = np.arange(len(asked))
        for _ in range(MAX_DRAWS):
            drawn = streams.integers(asked[missing].tolist(), bounds)
            good = self._train(drawn) == (split == "train")
            accepted[missing[good]] = drawn[good]
            missing = missing[~good]
            if not len(missing):
                return accepted
        for place in missing.tolist():
            index = self._searched(streams.generator(int(asked[place])), split)
            accepted[place] = index // self._places % bounds
        return accepted

    def _train(self, drawn: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """[k] which draws are for training; in a small space, what was found out once is looked up."""
        if self.size > TABLE_LIMIT:
            return np.array([self._split(*self._read(picks)) == "train" for picks in drawn.tolist()], dtype=np.bool_)
        indices = drawn @ self._places
        table = self._split_table
        unknown = np.flatnonzero(table[indices] == UNKNOWN)
        for place in unknown.tolist():
            table[indices[place]] = self._split(*self._read(drawn[place].tolist())) == "train"
        train: npt.NDArray[np.bool_] = table[indices] == 1
        return train

    def _read(self, picks: list[int]) -> tuple[list[int], str]:
        """Numbers and operators of a draw."""
        operators = "".join([self.operators[pick] for pick in picks[self.number_count :]])
        return picks[: self.number_count], operators or self.operators * self.operator_count

    @cached_property
    def _split_table(self) -> npt.NDArray[np.int8]:
        return np.full(self.size, UNKNOWN, dtype=np.int8)

    @cached_property
    def _columns(self) -> ArithmeticColumns | None:
        """What writes problems by columns; None if their numbers, texts or working do not fit into arrays."""
        if self.working:
            return None
        around = self._respond("\0").split("\0")
        fixed = self.prompt_template + "".join(around)
        too_large = self.bounds[1] * 10**self.digits >= LARGEST
        if too_large or len(around) != 2 or any(not 0 < ord(character) < FIRST_NUMBER for character in fixed):
            return None
        numbers = [chr(FIRST_NUMBER + place) for place in range(self.number_count)]
        signs = "".join(chr(FIRST_OPERATOR + place) for place in range(self.operator_count))
        expression = self._expression([*numbers], signs)
        return ArithmeticColumns(
            expression=expression,
            prompt=self.prompt_template.format(expression=expression),
            answer=(around[0], around[1]),
            digits=self.digits,
            operators=self.operators,
            operands=self.operands,
            links=self.chain_length,
            answer_digits=len(str(self.bounds[1])),
            most_work=self.bounds[0],
            backwards=self.answer_order == "reversed",
            zero_pad=self.zero_pad,
            record=self._record("", ""),
        )

    @cached_property
    def _places(self) -> npt.NDArray[np.int64]:
        """What each draw counts in the number of its problem; the inverse of `_decode`."""
        numbers, base = self.number_count, 10**self.digits
        places = [base ** (numbers - 1 - place) for place in range(numbers)]
        if len(self.operators) > 1:
            places += [base**numbers * len(self.operators) ** place for place in range(self.operator_count)]
        return np.array(places, dtype=np.int64)

    def _decode(self, index: int) -> tuple[list[int], str]:
        """The problem at a position of the enumeration: mixed radix, numbers first."""
        numbers, operators = [], []
        for _ in range(self.number_count):
            index, number = divmod(index, 10**self.digits)
            numbers.append(number)
        for _ in range(self.operator_count):
            index, pick = divmod(index, len(self.operators))
            operators.append(self.operators[pick])
        return numbers[::-1], "".join(operators)

    def _statements(self, numbers: Sequence[int | str], operators: str) -> list[tuple[list[int | str], str]]:
        """Cut a problem into statements; a variable name stands for the value of the statement before."""
        step = self.operands - 1
        statements: list[tuple[list[int | str], str]] = []
        for link in range(self.chain_length):
            fresh = numbers[1 + link * step : 1 + (link + 1) * step]
            first: int | str = VARIABLES[link - 1] if link else numbers[0]
            statements.append(([first, *fresh], operators[link * step : (link + 1) * step]))
        return statements

    def _prompt(self, numbers: list[int], operators: str) -> str:
        return self.prompt_template.format(expression=self._expression(numbers, operators))

    def _expression(self, numbers: Sequence[int | str], operators: str) -> str:
        width = self.digits if self.zero_pad else 1
        statements = [written(*statement, width) for statement in self._statements(numbers, operators)]
        if self.chain_length == 1:
            return statements[0]
        named = [f"{name}={text}" for name, text in zip(VARIABLES, statements, strict=False)]
        return ";".join([*named, VARIABLES[self.chain_length - 1]])

    def _split(self, numbers: list[int], operators: str) -> Split:
        key = ";".join([canonical(*statement) for statement in self._statements(numbers, operators)])
        return split_of(key, self.held_out_fraction)

    def _respond(self, answer: str) -> str:
        return ANSWER_FORMATS[self.extract].format(answer=answer, marker=self.markers[0])

    def _problem(self, numbers: list[int], operators: str, split: Split) -> Problem:
        value, work = 0, 0
        steps: list[tuple[str, int]] = []
        for operands, signs in self._statements(numbers, operators):
            known = [value if isinstance(operand, str) else operand for operand in operands]
            value, spent = evaluate(known, signs)
            work += spent
            steps += working(known, signs) if self.working else []
        expression = self._expression(numbers, operators)
        prompt = self.prompt_template.format(expression=expression)
        backwards = self.answer_order == "reversed"
        gold = str(value)[::-1] if backwards else str(value)
        return Problem(
            id=f"arithmetic{':reversed' if backwards else ''}:{expression}",
            prompt=prompt,
            task=self._record(prompt, gold, steps),
            demonstration=self._respond(gold),
            difficulty=work / self.bounds[0],
            split=split,
        )

    def _record(self, prompt: str, gold: str, steps: Sequence[tuple[str, int]] = ()) -> dict[str, Any]:
        record: dict[str, Any] = {
            "type": "qa_exact" if self.answer_order == "reversed" else "math",
            "question": prompt,
            "gold": gold,
            "extract": self.extract,
        }
        if self.extract == "last_marker":
            record["markers"] = list(self.markers)
        if self.working:
            record["steps"] = [{"expression": left, "value": str(right)} for left, right in steps]
        return record

    def _listed(self, split: Split) -> list[int]:
        indices = [index for index in range(self.size) if self._split(*self._decode(index)) == split]
        if not indices:
            raise self._nothing(split)
        return indices

    def _distinct(self, rng: np.random.Generator, split: Split, limit: int) -> list[Problem]:
        found: dict[str, Problem] = {}
        # Each miss is a repeat; past this many the split is nearly exhausted and the caller should ask for
        # fewer.
        for _ in range(20 * limit + MAX_DRAWS):
            problem = self.sample(rng, split)
            found.setdefault(problem.id, problem)
            if len(found) == limit:
                return list(found.values())
        raise UserError(f"limit: found only {len(found)} distinct {split} problems, {limit} were asked for")

    def _nothing(self, split: Split) -> UserError:
        return UserError(
            f"the {split} split of {self} is empty: change held_out_fraction, or enlarge digits or operands"
        )
