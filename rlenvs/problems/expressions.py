"""Exact integer arithmetic over operand and operator lists, and how much written work it takes.

Work is counted in elementary digit operations, the way a pupil does them on paper: one per column added or
subtracted, one per carry or borrow, one per product of two digits.
"""

from collections.abc import Iterator, Sequence

OPERATORS = "+-*"


def carries(a: int, b: int) -> int:
    """Count the carries of a column-wise addition of two non-negative ints.

    Example:
        >>> carries(37, 48), carries(99, 1), carries(12, 34)
        (1, 2, 0)
    """
    count = carry = 0
    while a or b or carry:
        carry = int(a % 10 + b % 10 + carry > 9)
        count += carry
        a, b = a // 10, b // 10
    return count


def borrows(a: int, b: int) -> int:
    """Count the borrows of a column-wise subtraction a - b with a >= b >= 0.

    Example:
        >>> borrows(52, 37), borrows(100, 1), borrows(99, 12)
        (1, 2, 0)
    """
    count = borrow = 0
    while b or borrow:
        borrow = int(a % 10 - borrow < b % 10)
        count += borrow
        a, b = a // 10, b // 10
    return count


def width(number: int) -> int:
    """Digits of an int, without its sign; 0 has one."""
    return len(str(abs(number)))


def sum_work(a: int, b: int) -> int:
    """Digit operations of the signed sum a + b: columns, and carries or borrows."""
    large, small = max(abs(a), abs(b)), min(abs(a), abs(b))
    extra = carries(large, small) if (a < 0) == (b < 0) else borrows(large, small)
    return width(large) + extra


def product_work(a: int, b: int) -> int:
    """Digit operations of long multiplication: digit products, then the rows added up."""
    a, b = abs(a), abs(b)
    work, total = width(a) * width(b), 0
    for place, digit in enumerate(reversed(str(b))):
        row = a * int(digit) * 10**place
        work += sum_work(total, row) if place else 0
        total += row
    return work


def evaluate(operands: Sequence[int], operators: str) -> tuple[int, int]:
    """Value of an expression under the usual precedence, and the digit operations it takes.

    Args:
        operands: the numbers, at least one.
        operators: one of "+-*" between each two.

    Example:
        >>> evaluate([2, 3, 4], "+*")
        (14, 3)
    """
    total, work, sign, term = None, 0, 1, operands[0]
    for operator, operand in zip(operators, operands[1:], strict=True):
        if operator == "*":
            work += product_work(term, operand)
            term *= operand
            continue
        work += 0 if total is None else sum_work(total, sign * term)
        total = (total or 0) + sign * term
        sign, term = (1 if operator == "+" else -1), operand
    if total is None:
        return term, work
    return total + sign * term, work + sum_work(total, sign * term)


def canonical(operands: Sequence[int | str], operators: str) -> str:
    """A text that is the same for all orders of the terms of the sum, and of the factors of each product.

    Example:
        >>> canonical([37, 48], "+") == canonical([48, 37], "+")
        True
        >>> canonical([48, 37], "-") == canonical([37, 48], "-")
        False
    """
    terms: list[str] = []
    sign, factors = "+", [str(operands[0])]
    for operator, operand in zip(operators, operands[1:], strict=True):
        if operator == "*":
            factors.append(str(operand))
            continue
        terms.append(sign + "*".join(sorted(factors)))
        sign, factors = operator, [str(operand)]
    terms.append(sign + "*".join(sorted(factors)))
    return "".join(sorted(terms))


def working(operands: Sequence[int], operators: str) -> list[tuple[str, int]]:
    """The operations of an expression one at a time, products first, each with its value.

    Args:
        operands: the numbers, at least one; none but the first is negative.
        operators: one of "+-*" between each two.

    Example:
        >>> working([2, 3, 4], "+*"), working([2, 7, 1], "-+")
        ([('3*4', 12), ('2+12', 14)], [('2-7', -5), ('-5+1', -4)])
    """
    steps: list[tuple[str, int]] = []
    terms, signs = [operands[0]], ""
    for operator, operand in zip(operators, operands[1:], strict=True):
        if operator == "*":
            steps.append((f"{terms[-1]}*{operand}", terms[-1] * operand))
            terms[-1] = steps[-1][1]
        else:
            terms.append(operand)
            signs += operator
    total = terms[0]
    for sign, term in zip(signs, terms[1:], strict=True):
        steps.append((f"{total}{sign}{term}", total + term if sign == "+" else total - term))
        total = steps[-1][1]
    return steps


def written(operands: Sequence[int | str], operators: str, width: int = 1) -> str:
    """The expression as text, without spaces: "37+48"; numbers have leading zeros up to `width` digits."""
    texts = [operand if isinstance(operand, str) else f"{operand:0{width}d}" for operand in operands]
    return texts[0] + "".join(f"{sign}{text}" for sign, text in zip(operators, texts[1:], strict=True))


def work_bounds(steps: int, digits: int, operators: str) -> Iterator[tuple[int, int]]:
    """Bound the work of each successive operation, and the largest magnitude after it.

    Each operation is taken to be the costliest allowed one on the largest value that can have come about so
    far, and its second operand to have `digits` digits. For a single + this is reached (99+99); otherwise it
    is an upper bound.

    Yields:
        (work, magnitude) for each of `steps` operations.
    """
    largest = 10**digits - 1
    magnitude = largest
    for _ in range(steps):
        columns = width(magnitude)
        costs, reach = [], [magnitude]
        if "+" in operators:
            costs.append(2 * columns)
        if "-" in operators:
            # In a chain a difference can be negative, and taking more away from it is an addition of
            # magnitudes.
            costs.append(2 * columns if magnitude > largest or "+" in operators else 2 * columns - 1)
        if "+" in operators or "-" in operators:
            reach.append(magnitude + largest)
        if "*" in operators:
            costs.append(columns * digits + 2 * (columns + digits) * (digits - 1))
            reach.append(magnitude * largest)
        magnitude = max(reach)
        yield max(costs), magnitude
