"""Exact values against second algorithms: decimal arithmetic, `ast`, membership of points, Python's own JSON."""

import ast
import json
import operator
from decimal import Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rlenvs.graders.countdown import ExpressionError, evaluate
from rlenvs.graders.documents import comparable, parse_document
from rlenvs.graders.expressions import LITERAL, ROOTS, WORK, read_formula
from rlenvs.graders.polynomials import BeyondError, approximate, square_split
from rlenvs.graders.reading import read_value
from rlenvs.graders.values import same

DIGITS = 60


def formulas():
    """LaTeX of constants, and their value in decimal arithmetic."""
    numbers = st.integers(1, 12).map(lambda n: (str(n), Decimal(n)))
    roots = st.integers(2, 60).map(lambda n: (f"\\sqrt{{{n}}}", Decimal(n).sqrt()))

    def combined(inner):
        def join(args):
            sign, (a, x), (b, y) = args
            if sign == "+":
                return f"({a}+{b})", x + y
            if sign == "-":
                return f"({a}-{b})", x - y
            if sign == "*":
                return f"{a}\\cdot {b}", x * y
            if y == 0:
                return a, x
            return f"\\frac{{{a}}}{{{b}}}", x / y

        return st.tuples(st.sampled_from("+-*/"), inner, inner).map(join)

    return st.recursive(numbers | roots, combined, max_leaves=5)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_formulas_have_the_value_that_decimal_arithmetic_gives_them(data):
    with localcontext() as context:
        context.prec = DIGITS
        text, expected = data.draw(formulas())
        try:
            value = approximate(read_formula(text).value)
        except BeyondError:
            assume(False)
        got = Decimal(value.numerator) / Decimal(value.denominator)
        assert abs(got - expected) <= Decimal(10) ** -40 * max(1, abs(expected))


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_formulas_are_the_same_exactly_if_their_values_are(data):
    with localcontext() as context:
        context.prec = DIGITS
        (a, x), (b, y) = data.draw(formulas()), data.draw(formulas())
        first, second = read_value(a), read_value(b)
        assume(first is not None and second is not None)
        assert same(first, second) == (abs(x - y) <= Decimal(10) ** -40 * max(1, abs(x)))
        assert same(first, first)


@settings(deadline=None)
@given(st.integers(1, 10**12))
def test_square_factors_come_out(number):
    outside, inside = square_split(number)
    assert outside * outside * inside == number
    assert all(inside % (d * d) for d in range(2, 200))


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("42", LITERAL),
        ("-\\frac{3}{7}", LITERAL),
        ("1\\frac{1}{2}", LITERAL),
        ("3 \\times 10^{5}", LITERAL),
        ("2\\sqrt{3}", LITERAL),
        ("\\frac{\\sqrt3}{2}", LITERAL),
        ("1+\\sqrt2", LITERAL),
        ("\\frac{6}{14}", ROOTS),
        ("\\sqrt{16}", ROOTS),
        ("\\sqrt[3]{27}", ROOTS),
        ("6 \\times 7", WORK),
        ("30 \\times 10^5", WORK),
        ("40+2", WORK),
        ("4!", WORK),
        ("2^{10}", WORK),
        ("\\frac{84}{2}", WORK),
        ("\\frac{1}{\\frac{1}{2}}", WORK),
        ("\\sqrt2+\\sqrt2", WORK),
        ("\\sqrt2\\sqrt3", WORK),
        ("(x+1)(x-1)", WORK),
        ("(x+1)^2", WORK),
        ("x+x", WORK),
    ],
)
def test_work_that_is_left(text, level):
    assert read_formula(text).level == level


@pytest.mark.parametrize(
    "text",
    ["", "1/2x", "\\sqrt12", "2 3", "x2", "\\sin x", "sin x", "1+", "(1", "1)", "{1", "2**3", "x^2^3", "1..2", ".", "\\frac1",
     "\\sqrt", "\\foo", "a=1", "10^{10000}", "2^{2^{20}}", "200!", "\\frac{1}{0}", "\\frac{1}{1-1}", "\\frac{1}{x+1}", "0^{-1}",
     "(x+y+z+w+1)^{40}", "\\sqrt{x}", "\\sqrt[3]{2}", "2^{1/3}", "abc", "+-1", "1 \\times", "e^x"],
)  # fmt: skip
def test_what_is_beyond_exact_formulas(text):
    with pytest.raises(BeyondError):
        read_formula(text)


@settings(deadline=None)
@given(st.text(alphabet="0123456789.+-*/^!(){}[],;=_xyie \\frac\\sqrt\\pi\\pm\\cup\\infty\\{\\}%$", max_size=60))
def test_no_text_that_looks_like_a_formula_raises(text):
    value = read_value(text)
    assert value is None or same(value, value)


OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def by_tree(node):
    """The value of an expression by Python's parser and fractions."""
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](by_tree(node.left), by_tree(node.right))
    if isinstance(node, ast.UnaryOp):
        return -by_tree(node.operand)
    return Fraction(node.value)


def countdown_expressions():
    numbers = st.integers(0, 99).map(str)
    return st.recursive(
        numbers,
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from("+-*/"), inner).map("".join),
            inner.map(lambda text: f"({text})"),
            inner.map(lambda text: f"(-{text})"),
        ),
        max_leaves=12,
    )


@settings(deadline=None)
@given(countdown_expressions())
def test_countdown_expressions_have_the_value_that_python_gives_them(text):
    text = text.replace("0", "5")  # Python reads no numbers with leading zeros
    tree = ast.parse(text, mode="eval").body
    try:
        expected = by_tree(tree)
    except ZeroDivisionError:
        with pytest.raises(ExpressionError, match="division by zero"):
            evaluate(text)
        return
    value, used = evaluate(text)
    assert value == expected
    assert sorted(used) == sorted(node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))


@settings(deadline=None)
@given(st.text(alphabet="0123456789.+-*/() ", max_size=40))
def test_no_expression_raises_anything_else(text):
    try:
        value, _ = evaluate(text)
    except ExpressionError:
        return
    assert isinstance(value, Fraction)


def intervals():
    ends = st.tuples(st.integers(-4, 4), st.integers(-4, 4)).filter(lambda pair: pair[0] < pair[1])
    return st.lists(st.tuples(ends, st.booleans(), st.booleans()), min_size=1, max_size=4)


def written(parts):
    return "\\cup".join(
        f"{'[' if left else '('}{low},{high}{']' if right else ')'}" for (low, high), left, right in parts
    )


def members(parts):
    """Which of the multiples of 1/2 around are in the union: they tell apart all unions with whole ends."""
    points = [Fraction(n, 2) for n in range(-10, 11)]
    return {
        point
        for point in points
        for (low, high), left, right in parts
        if low < point < high or (left and point == low) or (right and point == high)
    }


@settings(deadline=None, max_examples=300)
@given(intervals(), intervals())
def test_unions_are_the_same_exactly_if_they_have_the_same_points(first, second):
    a, b = read_value(written(first)), read_value(written(second))
    assert same(a, b) == (members(first) == members(second))
    assert same(a, read_value(written(first[::-1])))


DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=10,
)


def typed(value):
    """A form in which Python's equality tells true from 1."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    return (isinstance(value, bool), value)


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.sampled_from([None, 2]))
def test_documents_are_equal_exactly_if_python_says_so(first, second, indent):
    a = comparable(parse_document(json.dumps(first, indent=indent)))
    b = comparable(parse_document(json.dumps(second)))
    assert (a == b) == (typed(first) == typed(second))
    assert a == comparable(parse_document(json.dumps(first)))
