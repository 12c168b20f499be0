r"""A reader of one formula, LaTeX or plain, into an exact polynomial; no CAS, no `eval`, bounded.

It reads numbers, letters, `+ - * / ^ !`, `\cdot \times \div`, fractions, roots, brackets, products without a sign, and
mixed numbers. What has two readings (`1/2x`, `\sqrt12`, `2 3`) or names a function raises `BeyondError`.
"""

import re
from fractions import Fraction
from math import gcd
from typing import NamedTuple

from rlenvs.graders import polynomials as exact
from rlenvs.graders.polynomials import BeyondError, Polynomial

MAX_DEPTH = 40
MAX_TOKENS = 2000
MAX_POWERS_OF_SUMS = 10

LITERAL, ROOTS, WORK = 0, 1, 2
"""How much is left to do in a formula: nothing, perfect roots and reducing a fraction, arithmetic."""

TOKEN = re.compile(
    r"""\s+|(?P<number>\d+(?:\.\d*)?|\.\d+)|(?P<command>\\[A-Za-z]+)|(?P<word>[A-Za-z]+)
    |(?P<sign>[-+*/^!(){}\[\]_%π√·\u00d7÷²³°])""",
    re.VERBOSE | re.ASCII,
)
FRACTIONS = frozenset({"\\frac", "\\dfrac", "\\tfrac", "\\cfrac"})
TIMES = frozenset({"*", "\\cdot", "\\times", "·", "\u00d7"})
OVER = frozenset({"/", "\\div", "÷"})
DIVISION_SIGNS = OVER - {"/"}
"""Signs of a division to be done; a slash may also be the bar of a fraction."""
GREEK = (
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau "
    "upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Phi Psi Omega ell"
)
LETTERS = frozenset(f"\\{name}" for name in GREEK.split())
OPENING = {"(": ")", "[": "]", "{": "}"}
SUPERSCRIPTS = {"²": Fraction(2), "³": Fraction(3)}
UPRIGHT = frozenset({"\\mathrm", "\\text", "\\mathit"})
MAX_PRODUCT_LETTERS = 2
"""A longer run of letters is a word or a function, not a product."""


class Term(NamedTuple):
    """A part of a formula: its value, what is left to do in it, and whether it is a power of ten or a plain number."""

    value: Polynomial
    level: int = LITERAL
    form: str = ""


def tokens_of(text: str) -> list[str]:
    """Cut a formula into tokens."""
    tokens: list[str] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None or len(tokens) > MAX_TOKENS:
            raise BeyondError
        position = match.end()
        if match.lastgroup == "word":
            tokens += letters_of(match[0])
        elif match.lastgroup:
            tokens.append(match[0])
    return tokens


def is_digits(text: str) -> bool:
    """True for digits 0 to 9; `str.isdigit` also holds a superscript for one."""
    return text.isascii() and text.isdigit()


def starts_number(token: str) -> bool:
    """True for the start of a number: 3, 0.5 or .5."""
    return is_digits(token[:1]) or token[:1] == "."


def letters_of(word: str) -> list[str]:
    """The letters of a product, or a name."""
    if word in ("pi", "sqrt"):
        return [f"\\{word}"]
    if len(word) > MAX_PRODUCT_LETTERS or word in ("ln", "lg"):
        raise BeyondError
    return list(word)


class FormulaReader:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, text: str) -> None:
        self.tokens = tokens_of(text)
        self.position = 0
        self.depth = 0
        self.powers_of_sums = 0
        self.is_plain = "\\" not in text
        """True without LaTeX: then `sqrt(2)` is how a root is written; `\\sqrt(2)` is malformed."""

    @property
    def token(self) -> str:
        """The next token, "" at the end."""
        return self.tokens[self.position] if self.position < len(self.tokens) else ""

    def take(self, expected: str = "") -> str:
        """Read on."""
        token = self.token
        if not token or (expected and token != expected):
            raise BeyondError
        self.position += 1
        return token

    def read(self) -> Term:
        """The whole formula."""
        term = self.sum()
        if self.token:
            raise BeyondError
        return term

    def sum(self) -> Term:
        """Terms with + and - between them."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BeyondError
        negative = False
        if self.token in ("+", "-"):
            negative = self.take() == "-"
        total = self.product()
        if negative:
            total = negated(total)
        while self.token in ("+", "-"):
            sign = -1 if self.take() == "-" else 1
            other = self.product()
            # Terms that could be put together were not: work is left to do.
            left = WORK if total.value.keys() & other.value.keys() or not (total.value and other.value) else LITERAL
            total = Term(exact.add(total.value, other.value, sign), max(total.level, other.level, left))
        self.depth -= 1
        return total

    def product(self) -> Term:
        """Factors, with or without signs between them."""
        result = self.factor()
        slashed = False
        while True:
            token = self.token
            if token in TIMES:
                self.take()
                result = times(result, self.signed_factor())
            elif token in OVER:
                self.take()
                result = over(result, self.signed_factor())
                if token in DIVISION_SIGNS:
                    result = Term(result.value, WORK)
                slashed = True
            elif self.starts_factor(token):
                if slashed:
                    raise BeyondError  # 1/2x has two readings
                result = self.implied(result)
            else:
                return result

    def implied(self, left: Term) -> Term:
        """A product without a sign, or a mixed number."""
        before = self.tokens[self.position - 1]
        if starts_number(self.token):
            raise BeyondError  # 2 3 and x2
        mixed = is_digits(before) and self.token in FRACTIONS and left.form == "number"
        right = self.factor()
        if mixed:
            part, whole = exact.rational(right.value), exact.rational(left.value)
            if right.form != "fraction" or part is None or not 0 < part < 1 or not whole:
                raise BeyondError
            return Term(exact.constant(whole + part), LITERAL, "mixed")
        return times(left, right)

    def starts_factor(self, token: str) -> bool:
        """True if a token can follow another factor directly."""
        return bool(token) and (
            (token[0].isalnum() and token not in SUPERSCRIPTS)
            or token in ("(", "{", "√")
            or (token[0] == "\\" and token not in TIMES | OVER)
        )

    def signed_factor(self) -> Term:
        """A factor that may be negative: 3 * -2."""
        if self.token == "-":
            self.take()
            return negated(self.factor())._replace(form="")
        return self.factor()

    def factor(self) -> Term:
        """A base with its exponent, factorial or percent sign."""
        base = self.base()
        while self.token in ("^", "!", "%", "²", "³"):
            token = self.take()
            if token == "!":
                base = Term(exact.factorial(base.value), WORK)
            elif token == "%":
                base = Term(exact.multiply(base.value, exact.constant(Fraction(1, 100))), base.level)
            else:
                self.powers_of_sums += len(base.value) > 1
                if self.powers_of_sums > MAX_POWERS_OF_SUMS:
                    raise BeyondError
                exponent = SUPERSCRIPTS.get(token)
                base = raised(base, self.exponent() if exponent is None else exponent)
                if self.token in ("^", "²", "³"):
                    raise BeyondError  # x^2^3 is not LaTeX
        return base

    def exponent(self) -> Fraction:
        """A rational exponent."""
        if self.token in ("{", "("):
            term = self.bracketed()
            value = exact.rational(term.value)
        else:
            negative = self.token == "-"
            if negative:
                self.take()
            token = self.take()
            value = Fraction(token) if is_digits(token) else None
            value = -value if value is not None and negative else value
        if value is None:
            raise BeyondError
        return value

    def bracketed(self) -> Term:
        """A formula in brackets; a plain number stays one: (-1)/2 is a fraction."""
        closing = OPENING[self.take()]
        term = self.sum()
        self.take(closing)
        return Term(term.value, term.level, term.form if term.form == "number" else "")

    def base(self) -> Term:
        """A number, a name, a fraction, a root or brackets."""
        token = self.token
        if starts_number(token):
            self.take()
            if token == ".":
                raise BeyondError
            return Term(exact.constant(Fraction(token.rstrip(".") or "0")), LITERAL, "number")
        if token in OPENING:
            return self.bracketed()
        if token in FRACTIONS:
            self.take()
            above, below = self.argument(), self.argument()
            return over(above, below)
        if token in ("\\sqrt", "√"):
            return self.root()
        return self.name()

    def argument(self) -> Term:
        """What a LaTeX command takes: a group, or one digit or letter."""
        if self.token == "{":
            return self.group()
        token = self.token
        if is_digits(token[:1]):
            # LaTeX takes one digit; the rest goes on: \frac12 is \frac{1}{2}.
            self.tokens[self.position : self.position + 1] = [token[0], token[1:]] if len(token) > 1 else [token]
            if not is_digits(self.tokens[self.position][0]):
                raise BeyondError
            self.position += 1
            return Term(exact.constant(int(token[0])), LITERAL, "number")
        return self.name()

    def group(self) -> Term:
        """A group that keeps the form of what is in it: a fraction of two numbers is a number."""
        self.take("{")
        term = self.sum()
        self.take("}")
        return term

    def root(self) -> Term:
        """A square root, or one with a degree."""
        command = self.take()
        degree = 2
        if self.token == "[":
            self.take()
            number = self.take()
            if not is_digits(number) or len(number) > 2:
                raise BeyondError
            degree = int(number)
            self.take("]")
        if command == "√" or self.token == "(":
            if command == "\\sqrt" and not self.is_plain:
                raise BeyondError
            inside = self.base()
        elif is_digits(self.token[:1]) and len(self.token) > 1:
            raise BeyondError  # \sqrt12 is \sqrt{1}2, and nobody means that
        else:
            inside = self.argument()
        value = exact.root(inside.value, degree)
        level = ROOTS if exact.rational(value) is not None else LITERAL
        return Term(value, max(inside.level, level))

    def name(self) -> Term:
        """A letter with its subscript."""
        token = self.take()
        if token in UPRIGHT:
            self.take("{")
            token = self.take()
            self.take("}")
            if len(token) != 1 or not token.isalpha():
                raise BeyondError
        if token in ("\\pi", "π"):
            return Term(exact.symbol("\\pi"))
        if not (token in LETTERS or (len(token) == 1 and token.isalpha())):
            raise BeyondError
        if self.token == "_":
            self.take()
            token = f"{token}_{self.subscript()}"
        return Term(exact.symbol(token))

    def subscript(self) -> str:
        """What stands below a letter."""
        if self.token != "{":
            return self.take()
        self.take("{")
        parts = []
        while self.token != "}":
            parts.append(self.take())
        self.take("}")
        return "".join(parts)


def negated(term: Term) -> Term:
    """A term with a minus in front; in front of a negative number, that leaves work."""
    number = exact.rational(term.value)
    level = WORK if number is not None and number < 0 else term.level
    return Term(exact.multiply(exact.constant(-1), term.value), level, term.form)


def times(left: Term, right: Term) -> Term:
    """A product; scientific notation is a number, two numbers or two roots are work."""
    value = exact.multiply(left.value, right.value)
    a, b = exact.rational(left.value), exact.rational(right.value)
    if a is not None and b is not None:
        if left.form == "number" and right.form == "ten" and 1 <= abs(a) < 10:
            return Term(value, LITERAL, "scientific")
        return Term(value, WORK)
    roots = any(radicand > 1 for radicand, _ in left.value) and any(radicand > 1 for radicand, _ in right.value)
    sums = len(left.value) > 1 and len(right.value) > 1
    cancels = exact.rational(value) is not None
    return Term(value, max(left.level, right.level, WORK if roots or sums or cancels else LITERAL))


def over(above: Term, below: Term) -> Term:
    """A quotient; of two plain integers it is a number."""
    value = exact.divide(above.value, below.value)
    a, b = exact.rational(above.value), exact.rational(below.value)
    if a is None or b is None:
        # A number out of what is none, as in x/x: something was left to cancel.
        return Term(value, max(above.level, below.level, LITERAL if exact.rational(value) is None else WORK))
    if above.form == below.form == "number":
        return Term(value, fraction_level(a, b), "fraction")
    return Term(value, WORK)


def fraction_level(above: Fraction, below: Fraction) -> int:
    """What is left to do in a fraction of two numbers: a division with a whole result, or reducing it."""
    if below == 1 or above.denominator != 1 or below.denominator != 1:
        return LITERAL
    if above % below == 0:
        return WORK
    return LITERAL if gcd(int(above), int(below)) == 1 else ROOTS


def raised(base: Term, exponent: Fraction) -> Term:
    """A power."""
    if exponent.denominator == 2:
        value = exact.square_root(exact.power(base.value, exponent.numerator))
    elif exponent.denominator == 1:
        value = exact.power(base.value, int(exponent))
    else:
        raise BeyondError
    if exact.rational(base.value) is None:
        cancels = exact.rational(value) is not None
        return Term(value, max(base.level, WORK if len(base.value) > 1 or cancels else LITERAL))
    ten = base.form == "number" and base.value == exact.constant(10) and exponent.denominator == 1
    return Term(value, WORK, "ten" if ten else "")


def read_formula(text: str) -> Term:
    r"""Read one formula.

    Raises:
        BeyondError: it is none that has one exact reading here.

    Example:
        >>> a, b = read_formula("\\frac{1}{\\sqrt{3}}"), read_formula("\\frac{\\sqrt{3}}{3}")
        >>> a.value == b.value
        True
    """
    reader = FormulaReader(text)
    if not reader.tokens:
        raise BeyondError
    return reader.read()
