r"""Questions whose answer is a number, a formula or a text.

A math answer is read in up to three ways, the cheap ones first: as one number (`rlenvs.graders.numbers`), as an exact
value (`rlenvs.graders.reading`), and, only where that can decide something, by Math-Verify under a deadline.
"""

import re
import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Any

from rlenvs.errors import GraderError
from rlenvs.graders import polynomials
from rlenvs.graders.deadline import Exceeded
from rlenvs.graders.expressions import LITERAL, ROOTS, WORK
from rlenvs.graders.extraction import MAX_ANSWER_CHARS, extract_answer
from rlenvs.graders.formulas import comparable_formulas, same_text
from rlenvs.graders.numbers import ASSIGNMENT, fraction_parts, is_approximate, measure_of, parse_number
from rlenvs.graders.question import SHOWN_CHARS, Grade, Pending, Policy, Question, invalid, right, shown, wrong
from rlenvs.graders.reading import read_value
from rlenvs.graders.values import Value, same

APPROXIMATELY = re.compile(r"\s*(?:\$\s*)?(?:\\approx|≈|\\simeq|~)\s*")


@dataclass(frozen=True)
class Tolerance:
    """How far an answer may be from the gold one: by `absolute`, or by `relative` of the gold one's magnitude."""

    absolute: Fraction
    relative: Fraction

    def allows(self, gold: Fraction, answer: Fraction) -> bool:
        """True if the answer is close enough; the bounds belong to it."""
        return abs(gold - answer) <= max(self.absolute, self.relative * abs(gold))


@dataclass(frozen=True)
class TextQuestion(Question):
    """A text is right if it is the gold one, without case, extra white space, composition and a final full stop."""

    gold: str

    def judge(self, answer: str, where: str) -> Grade:
        """Judge a text."""
        text = folded_text(answer)
        if not text:
            return invalid(answer, f"not a text: {shown(answer)}")
        return right(answer, where) if text == self.gold else wrong(answer, where)


def folded_text(answer: str) -> str:
    """A text without differences of case, white space, Unicode composition and a final full stop."""
    folded = " ".join(unicodedata.normalize("NFC", answer).casefold().split())
    return folded.removesuffix(".").rstrip()


def require_reachable(gold: str) -> None:
    """Raise GraderError for a gold that is longer than any answer may be."""
    if len(gold) > MAX_ANSWER_CHARS:
        raise GraderError(f"task gold: must have at most {MAX_ANSWER_CHARS} characters as answers do, got {len(gold)}")


def compile_text(policy: Policy, gold: str) -> TextQuestion:
    """Read the gold of a qa_exact task."""
    require_reachable(gold)
    folded = folded_text(gold)
    if not folded:
        raise GraderError(f"task gold: {gold[:SHOWN_CHARS]!r} is not a text")
    return TextQuestion(policy, folded)


@dataclass(frozen=True)
class NumberQuestion(Question):
    """A number is right if it has the gold value; `%` is its unit."""

    gold: Fraction
    most_work: int
    """How much work an answer may leave: none that the gold does not leave."""
    tolerance: Tolerance | None

    def judge(self, answer: str, where: str) -> Grade:
        """Judge a number."""
        value = parse_number(answer, percent_is_unit=True)
        if value is None:
            return invalid(answer, f"not a number: {shown(answer)}")
        if fraction_level(answer) > self.most_work:
            return invalid(answer, f"not evaluated: {shown(answer)}")
        close = self.tolerance is not None and self.tolerance.allows(self.gold, value)
        return right(answer, where) if value == self.gold or close else wrong(answer, where)


def compile_number(policy: Policy, gold: str, tolerance: Tolerance | None) -> NumberQuestion:
    """Read the gold of a gsm8k task: a number, or a whole solution."""
    written = gold
    value = parse_number(gold, percent_is_unit=True)
    # A whole solution: the task's own policy first, then the marker of the published data set.
    for extract in (policy.extract, "last_hash"):
        if value is None:
            written = extract_answer(gold, extract, policy.markers).answer or ""
            value = parse_number(written, percent_is_unit=True)
    if value is None:
        raise GraderError(f"task gold: {gold[:SHOWN_CHARS]!r} is not a number")
    return NumberQuestion(policy, value, max(ROOTS, fraction_level(written)), tolerance)


@dataclass(frozen=True)
class MathQuestion(Question):
    """A formula is right if it means the same as the gold one."""

    text: str
    """The gold answer as it was given."""
    gold: Value | None
    """Its exact value; None if only Math-Verify can read it."""
    rational: Fraction | None
    """Its value if that is a rational number."""
    approximate: Fraction | None
    """Its value to 70 digits, if there is a tolerance."""
    name: str
    """The variable that the gold is the value of, "" if it says none."""
    unit: str
    """Its unit, "" if it says none or one of unknown size."""
    most_work: int
    """How much work an answer may leave, see `rlenvs.graders.expressions`."""
    strict: bool
    """Whether Math-Verify is not to do work that the answer leaves."""
    ask_cas: bool
    """Whether Math-Verify may be asked at all."""
    tolerance: Tolerance | None
    seconds: float

    def judge(self, answer: str, where: str) -> Grade | Pending:
        """Judge a formula."""
        if self.tolerance is None and is_approximate(answer) and not is_approximate(self.text):
            return invalid(answer, f"only about so much: {shown(answer)}")
        if self.rational is not None:
            value = parse_number(answer)
            if value is not None:
                return self.judge_number(answer, where, value)
        if self.tolerance is not None:
            return self.judge_approximation(answer, where)
        if same_text(self.text, answer):
            return right(answer, where)
        read = read_value(answer)
        if read is not None and read.kind == "text" and self.rational is not None:
            return invalid(answer, f"not a number: {shown(answer)}")
        if read is not None and self.gold is not None:
            return self.judge_value(answer, where, read)
        if read is not None and read.kind == "text":
            return wrong(answer, where)
        if not self.ask_cas:
            expected = "a number" if self.rational is not None else "a readable answer"
            return invalid(answer, f"not {expected}: {shown(answer)}")
        return self.ask(answer, where)

    def judge_number(self, answer: str, where: str, value: Fraction) -> Grade:
        """Judge a plain number against a rational gold."""
        if self.tolerance is not None and self.approximate is not None:
            close = self.tolerance.allows(self.approximate, value)
        else:
            close = value == self.rational
        if not close or self.other_name(answer) or self.other_unit(answer):
            return wrong(answer, where)
        if self.most_work < WORK and fraction_level(answer) > self.most_work:
            return invalid(answer, f"not evaluated: {shown(answer)}")
        return right(answer, where)

    def other_name(self, answer: str) -> bool:
        """True if the answer names another variable than the gold."""
        if not self.name:
            return False
        assigned = ASSIGNMENT.match(answer.strip().lstrip("$").strip())
        name = re.sub(r"[\s{}=]", "", assigned[0]) if assigned else ""
        return bool(name) and name != self.name

    def other_unit(self, answer: str) -> bool:
        """True if the answer has a unit of another size than that of the gold: kilometres for metres."""
        return bool(self.unit) and measure_of(answer) not in ("", self.unit)

    def judge_approximation(self, answer: str, where: str) -> Grade:
        """Judge a constant under a tolerance."""
        read = read_value(APPROXIMATELY.sub("", answer, count=1))
        number = read.number if read is not None else None
        value = polynomials.approximate(number) if number is not None else None
        if read is None or value is None or read.level > self.most_work:
            return invalid(answer, f"not a number: {shown(answer)}")
        assert self.tolerance is not None
        assert self.approximate is not None
        close = self.tolerance.allows(self.approximate, value)
        return right(answer, where) if close else wrong(answer, where)

    def judge_value(self, answer: str, where: str, read: Value) -> Grade:
        """Judge an exact value against an exact gold."""
        assert self.gold is not None
        if not same(self.gold, read):
            return wrong(answer, where)
        if read.level > self.most_work:
            return invalid(answer, f"not evaluated: {shown(answer)}")
        return right(answer, where)

    def ask(self, answer: str, where: str) -> Grade | Pending:
        """Have Math-Verify compare, unless the answer's form alone rules it out."""
        formulas = comparable_formulas(self.text, answer, strict=self.strict)
        if isinstance(formulas, str):
            return invalid(answer, f"{formulas}: {shown(answer)}")

        def finish(reply: Any) -> Grade:
            if isinstance(reply, Exceeded):
                limit = f"{self.seconds:g} s" if reply.limit == "time" else reply.limit
                return Grade(0.0, False, "timeout", answer, f"comparing it exceeded its limit ({limit})")
            verdict = reply["verdict"]
            if verdict == "equal":
                return right(answer, where)
            if verdict == "unreadable":
                return invalid(answer, f"not a formula: {shown(answer)}")
            return wrong(answer, where)

        request = {"gold": formulas[0], "answer": formulas[1]}
        return Pending("math", request, self.seconds, finish)


def fraction_level(answer: str) -> int:
    """What is left to do in a number that is written as a fraction."""
    if "/" not in answer and "frac" not in answer:
        return LITERAL
    parts = fraction_parts(answer)
    if parts is None or parts[1] in (0, 1):
        return LITERAL
    if parts[0] % parts[1] == 0:
        return WORK
    return LITERAL if gcd(*parts) == 1 else ROOTS


def meaning_of(gold: str) -> tuple[Fraction | None, Value | None]:
    """The rational number that a gold is, and its exact value, as far as it has them."""
    letter_factor = re.search(r"\d[A-Za-z]\s*\$?$", gold) is not None  # 5m is a product, 5 m is a length
    number = None if letter_factor else parse_number(gold)
    value = read_value(gold)
    if number is None:
        return (value.rational if value is not None else None), value
    if value is None or value.rational != number:
        # The reader of numbers knows thousands and units that a list or a product is not.
        value = Value("number", frozenset(polynomials.constant(number).items()))
    return number, value


def compile_math(
    policy: Policy, gold: str, require_evaluated: bool | None, tolerance: Tolerance | None, seconds: float
) -> MathQuestion:
    """Read the gold of a math task.

    Raises:
        GraderError: it is empty or too long, or there is a tolerance and it is not a number.
    """
    if not gold.strip():
        raise GraderError("task gold: it is empty")
    require_reachable(gold)
    number, value = meaning_of(gold)
    if number is not None:
        level = max(fraction_level(gold), value.level if value is not None else LITERAL)
    else:
        level = value.level if value is not None else WORK
    allowed = {None: ROOTS if number is not None else WORK, True: LITERAL, False: WORK}[require_evaluated]
    approximate = None
    if tolerance is not None:
        polynomial = value.number if value is not None else None
        approximate = polynomials.approximate(polynomial) if polynomial is not None else None
        if approximate is None:
            raise GraderError(f"task tolerance: the gold must be a real number for it, got {gold[:SHOWN_CHARS]!r}")
    assigned = ASSIGNMENT.match(gold.strip().lstrip("$").strip())
    return MathQuestion(
        policy=policy,
        text=gold,
        gold=value,
        rational=number,
        approximate=approximate,
        name=re.sub(r"[\s{}=]", "", assigned[0]) if assigned else "",
        unit=measure_of(gold),
        most_work=max(allowed, level),
        strict=bool(require_evaluated),
        ask_cas=(number is None and (value is None or value.kind != "text")) or require_evaluated is False,
        tolerance=tolerance,
        seconds=seconds,
    )
