import ast
import itertools
import operator

from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.problems.expressions import borrows, canonical, carries, evaluate, product_work, sum_work, written

NUMBER = st.integers(0, 10**9)
BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}


def value_by_syntax_tree(text):
    """A second algorithm: Python's own parser decides the precedence."""

    def walk(node):
        if isinstance(node, ast.BinOp):
            return BINARY[type(node.op)](walk(node.left), walk(node.right))
        if isinstance(node, ast.UnaryOp):
            return -walk(node.operand)
        return node.value

    return walk(ast.parse(text, mode="eval").body)


@st.composite
def expressions(draw, size=6):
    operands = draw(st.lists(NUMBER, min_size=2, max_size=size))
    signs = draw(st.lists(st.sampled_from("+-*"), min_size=len(operands) - 1, max_size=len(operands) - 1))
    return operands, "".join(signs)


@settings(deadline=None)
@given(expressions())
def test_values_agree_with_the_precedence_of_python(expression):
    assert evaluate(*expression)[0] == value_by_syntax_tree(written(*expression))


def test_carries_and_borrows_have_the_closed_form_of_digit_sums():
    # Each carry turns ten ones of a column into one of the next: the digit sum drops by nine.
    def digit_sum(n):
        return sum(map(int, str(n)))

    for a, b in itertools.product(range(0, 1200, 7), range(0, 1200, 11)):
        assert 9 * carries(a, b) == digit_sum(a) + digit_sum(b) - digit_sum(a + b)
        large, small = max(a, b), min(a, b)
        assert 9 * borrows(large, small) == digit_sum(large - small) + digit_sum(small) - digit_sum(large)


@settings(deadline=None)
@given(NUMBER, NUMBER)
def test_the_work_of_a_sum_does_not_depend_on_order_or_joint_sign(a, b):
    assert sum_work(a, b) == sum_work(b, a) == sum_work(-a, -b)


def test_the_work_of_known_sums_and_products():
    assert sum_work(37, 48) == 3  # two columns, one carry
    assert sum_work(99, 1) == 4  # two columns, two carries
    assert sum_work(52, -37) == 3  # two columns, one borrow
    assert product_work(7, 8) == 1  # one product of digits
    assert product_work(12, 34) == 4 + 4  # four products of digits; 48+360 takes three columns and a carry


@settings(deadline=None)
@given(expressions(4), st.randoms(use_true_random=False))
def test_commutative_twins_share_their_canonical_form(expression, shuffler):
    operands, signs = expression
    terms = [["+", [operands[0]]]]
    for sign, operand in zip(signs, operands[1:], strict=True):
        if sign == "*":
            terms[-1][1].append(operand)
        else:
            terms.append([sign, [operand]])
    # A sum can start with any of its positive terms; the first term here is one.
    positive = [index for index, (sign, _) in enumerate(terms) if sign == "+"]
    first = terms.pop(shuffler.choice(positive))
    shuffler.shuffle(terms)
    twin_operands, twin_signs = [], ""
    for sign, factors in [first, *terms]:
        shuffler.shuffle(factors)
        twin_signs += (sign if twin_operands else "") + "*" * (len(factors) - 1)
        twin_operands += factors
    assert canonical(twin_operands, twin_signs) == canonical(operands, signs)
    assert evaluate(twin_operands, twin_signs)[0] == evaluate(operands, signs)[0]


def test_what_is_not_commutative_stays_apart():
    assert canonical([5, 3], "-") != canonical([3, 5], "-")
    assert canonical([2, 3, 4], "+*") != canonical([2, 3, 4], "*+")
    assert canonical([1, 23], "+") != canonical([12, 3], "+")
