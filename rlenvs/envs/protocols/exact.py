r"""Exact arithmetic on expressions that a model wrote: parsed by hand, bounded, never evaluated as code.

An expression has numbers (`12`, `1,250`, `.5`, `25%`, `$3`), `+ - * /` (also `× · ÷ −`), powers (`^` or `**`), signs
and parentheses. Values are fractions, so `0.1 + 0.2` is exactly `0.3`. Whatever is longer, deeper or larger than the
limits below is an `ExpressionError`; nothing is computed before its size is known.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from typing import NamedTuple

MAX_CHARS = 500
MAX_DEPTH = 40
"""Parentheses, signs and powers inside each other."""
MAX_BITS = 4096
"""Size of any numerator or denominator; about 1,200 digits."""
SHOWN_DIGITS = 40
"""Longer results are shown rounded."""

NUMBER = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
TOKEN = re.compile(rf"[ \t]*(?:(?P<number>[$€£]?(?:{NUMBER}))|(?P<sign>\*\*|[-+*/^()%]))", re.ASCII)
SPELLINGS = str.maketrans({"\u00d7": "*", "\u00b7": "*", "\u00f7": "/", "\u2212": "-", "\u2013": "-", "\u00a0": " "})

Form = tuple[object, ...]


class ExpressionError(ValueError):
    """Not an expression, or one beyond the limits. The message is one line that may be shown to the model."""


class Exact(NamedTuple):
    """A parsed expression."""

    value: Fraction
    form: Form
    """The same for all orders of the terms of a sum and of the factors of a product, and for no other rewriting."""
    operators: int
    """How many operations it takes."""
    numbers: tuple[Fraction, ...]
    """The numbers in it, in order."""


@dataclass(slots=True)
class Part:
    """A value and its form, while parsing."""

    value: Fraction
    form: Form


def bounded(value: Fraction) -> Fraction:
    """A value within `MAX_BITS`."""
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise ExpressionError("the result is too large")
    return value


def number_form(value: Fraction) -> Form:
    """The form of a number."""
    return ("n", value.numerator, value.denominator)


def terms_of(part: Part) -> list[tuple[int, Form]]:
    """The signed terms of a sum; of anything else itself."""
    if part.form[0] == "+":
        return list(part.form[1:])  # type: ignore[arg-type]
    return [(1, part.form)]


def factors_of(part: Part) -> list[tuple[int, Form]]:
    """The factors of a product with their exponents 1 or -1; of anything else itself."""
    if part.form[0] == "*":
        return list(part.form[1:])  # type: ignore[arg-type]
    return [(1, part.form)]


def joined(kind: str, parts: Sequence[tuple[int, Form]]) -> Form:
    """The form of a sum or product, independent of the order of its parts."""
    if len(parts) == 1 and parts[0][0] == 1:
        return parts[0][1]
    return (kind, *sorted(parts, key=repr))


class Parser:
    """Recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens_of(text)
        self.place = 0
        self.operators = 0
        self.numbers: list[Fraction] = []

    def parse(self) -> Exact:
        """The whole expression."""
        part = self.sum(0)
        if self.place < len(self.tokens):
            raise ExpressionError(f"unexpected {self.tokens[self.place]!r}")
        return Exact(part.value, part.form, self.operators, tuple(self.numbers))

    def next_in(self, *signs: str) -> str | None:
        """The next token if it is one of these signs; it is then used up."""
        if self.place < len(self.tokens) and self.tokens[self.place] in signs:
            self.place += 1
            return self.tokens[self.place - 1]
        return None

    def sum(self, depth: int) -> Part:
        """Terms with + or - between them."""
        part = self.product(depth)
        terms = terms_of(part)
        value = part.value
        while sign := self.next_in("+", "-"):
            self.operators += 1
            right = self.product(depth)
            factor = 1 if sign == "+" else -1
            value = bounded(value + factor * right.value)
            terms.extend((factor * one, form) for one, form in terms_of(right))
        return Part(value, joined("+", terms))

    def product(self, depth: int) -> Part:
        """Factors with * or / between them."""
        part = self.signed(depth)
        factors = factors_of(part)
        value = part.value
        while sign := self.next_in("*", "/"):
            self.operators += 1
            right = self.signed(depth)
            if sign == "*":
                value = bounded(value * right.value)
                factors.extend(factors_of(right))
            elif right.value == 0:
                raise ExpressionError("division by zero")
            else:
                value = bounded(value / right.value)
                factors.extend((-one, form) for one, form in factors_of(right))
        return Part(value, joined("*", factors))

    def signed(self, depth: int) -> Part:
        """A power with any number of signs before it."""
        if depth > MAX_DEPTH:
            raise ExpressionError(f"more than {MAX_DEPTH} levels of nesting")
        sign = self.next_in("+", "-")
        if sign is None:
            return self.power(depth)
        part = self.signed(depth + 1)
        if sign == "+":
            return part
        if part.form[0] == "n":
            return Part(-part.value, number_form(-part.value))
        return Part(-part.value, joined("+", [(-one, form) for one, form in terms_of(part)]))

    def power(self, depth: int) -> Part:
        """An atom, possibly to the power of something; powers group from the right."""
        base = self.atom(depth)
        if self.next_in("^", "**") is None:
            return base
        self.operators += 1
        exponent = self.signed(depth + 1)
        if exponent.value.denominator != 1:
            raise ExpressionError("an exponent must be an integer")
        power = int(exponent.value)
        bits = max(base.value.numerator.bit_length(), base.value.denominator.bit_length())
        if bits * abs(power) > 2 * MAX_BITS:
            raise ExpressionError("the result is too large")
        if base.value == 0 and power < 0:
            raise ExpressionError("division by zero")
        return Part(bounded(Fraction(base.value**power)), ("^", base.form, exponent.form))

    def atom(self, depth: int) -> Part:
        """A number or a parenthesis, with its percent signs."""
        if self.next_in("("):
            part = self.sum(depth + 1)
            if self.next_in(")") is None:
                raise ExpressionError("a parenthesis is not closed")
        elif self.place < len(self.tokens) and self.tokens[self.place][-1].isdigit():
            value = bounded(Fraction(self.tokens[self.place].lstrip("$€£").replace(",", "")))
            self.place += 1
            part = Part(value, number_form(value))
            self.numbers.append(value)
        else:
            found = repr(self.tokens[self.place]) if self.place < len(self.tokens) else "the end"
            raise ExpressionError(f"expected a number, found {found}")
        while self.next_in("%"):
            value = bounded(part.value / 100)
            part = Part(value, number_form(value) if part.form[0] == "n" else ("%", part.form))
        return part


def tokens_of(text: str) -> list[str]:
    """The numbers and signs of an expression."""
    if len(text) > MAX_CHARS:
        raise ExpressionError(f"longer than {MAX_CHARS} characters")
    text = text.translate(SPELLINGS).strip()
    tokens, place = [], 0
    while place < len(text):
        match = TOKEN.match(text, place)
        if match is None:
            raise ExpressionError(f"unexpected {text[place:].lstrip()[:1]!r}")
        tokens.append(match["number"] or match["sign"])
        place = match.end()
    return tokens


def parse_expression(text: str) -> Exact:
    """Parse and evaluate an expression, exactly.

    Raises:
        ExpressionError: it is none, or is beyond the limits.

    Example:
        >>> parse_expression("(1 + 2) * 0.5 / 3").value
        Fraction(1, 2)
        >>> parse_expression("3*4 + 5").form == parse_expression("5 + 4 * 3").form
        True
        >>> parse_expression("9**9**9")
        Traceback (most recent call last):
        rlenvs.envs.protocols.exact.ExpressionError: the result is too large
    """
    return Parser(text).parse()


def written_number(value: Fraction) -> str:
    """A value as text: an integer, a decimal that is exact, else a fraction; rounded only if that is very long.

    Example:
        >>> [written_number(Fraction(text)) for text in ("12", "1/8", "1/3")]
        ['12', '0.125', '1/3']
        >>> written_number(Fraction(10**60 + 1))
        'about 1.00000000000e+60'
    """
    rest = value.denominator
    places = 0
    while rest > 1 and places <= SHOWN_DIGITS and (rest % 2 == 0 or rest % 5 == 0):
        rest //= 10 if rest % 10 == 0 else 2 if rest % 2 == 0 else 5
        places += 1
    if rest == 1:
        digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
        text = digits if places == 0 else f"{digits[:-places]}.{digits[-places:]}"
        text = "-" + text if value < 0 else text
    else:
        text = str(value)
    if len(text) <= SHOWN_DIGITS:
        return text
    context = Context(prec=12)
    return f"about {context.divide(Decimal(value.numerator), Decimal(value.denominator)):.11e}"
