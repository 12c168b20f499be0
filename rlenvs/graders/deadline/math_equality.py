r"""Whether two formulas are equal, by Math-Verify and SymPy. Runs in a worker: it can take any time and memory.

Two things differ from Math-Verify's own `parse` and `verify`, because a reward is paid for the verdict:

* the whole answer is parsed, as LaTeX, or it is unreadable: no search for the first number in it, and no reader that
  uses `eval`;
* equal is exact: what Math-Verify holds for equal is compared again at 50 digits, relative to its size, and with
  numbers in the place of variables.
"""

import importlib
import logging
from functools import lru_cache
from typing import Any

# By name, because they have no types, and the type checker runs with and without them.
sympy: Any = importlib.import_module("sympy")
latex2sympy2: Any = importlib.import_module("latex2sympy2_extended")
math_verify: Any = importlib.import_module("math_verify")
treat_as_complex: Any = importlib.import_module("math_verify.grader").should_treat_as_complex

DIGITS = 50
TOLERANCE_DIGITS = 35
"""Two numbers are the same if they differ by less than this many digits of the larger one."""
NORMALIZATION = latex2sympy2.NormalizationConfig(
    basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="none", equations=False
)


class UnreadableError(Exception):
    """Not a formula."""


@lru_cache(maxsize=256)
def parsed(latex: str) -> Any:
    """Parse a whole text as LaTeX.

    Raises:
        UnreadableError: it is none.
    """
    try:
        normalized = latex2sympy2.normalize_latex(latex, config=NORMALIZATION)
        value = latex2sympy2.latex2sympy(
            normalized,
            is_real=not treat_as_complex(normalized),
            convert_degrees=False,
            normalization_config=None,
        )
    except MemoryError:
        raise
    except Exception as error:  # the parser raises whatever it likes at hostile text
        raise UnreadableError(type(error).__name__) from error
    if value is None or isinstance(value, str):
        raise UnreadableError("nothing was read")
    return value


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Answer "equal", "different", "unreadable" or "bad_gold".

    Args:
        request: `gold` and `answer`, both LaTeX.
    """
    try:
        gold = parsed(request["gold"])
    except UnreadableError as error:
        return {"verdict": "bad_gold", "reason": str(error)}
    try:
        answer = parsed(request["answer"])
    except UnreadableError as error:
        return {"verdict": "unreadable", "reason": str(error)}
    equal = math_verify.verify(
        gold, answer, float_rounding=DIGITS, numeric_precision=DIGITS, strict=True, timeout_seconds=None
    )
    return {"verdict": "equal" if equal and agrees(gold, answer) else "different", "reason": ""}


def agrees(gold: Any, answer: Any) -> bool:
    """False if two scalars that are said to be equal differ where they can be evaluated."""
    if isinstance(gold, sympy.MatrixBase) and isinstance(answer, sympy.MatrixBase):
        return gold.shape == answer.shape and all(map(agrees, gold.flat(), answer.flat()))
    if not (isinstance(gold, sympy.Expr) and isinstance(answer, sympy.Expr)):
        return True
    names = sorted(gold.free_symbols | answer.free_symbols, key=str)
    # Irrational, of different sizes, and nothing that an identity could be made to hold at.
    point = {name: sympy.sqrt(sympy.prime(index + 5)) / 2 for index, name in enumerate(names)}
    try:
        values = [sympy.N(value.doit().subs(point), DIGITS) for value in (gold, answer)]
        difference, size = abs(values[0] - values[1]), max(map(abs, values))
        if not (difference.is_number and size.is_number and size.is_finite):
            return True
        return bool(difference <= size * sympy.Float(10) ** -TOLERANCE_DIGITS) or bool(size == 0)
    except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError):
        return True  # a sum with a variable limit and the like: it has no value to compare


def warm_up() -> None:
    """Parse and compare a few of everything: the first time costs a second, and workers are forked after it."""
    logging.disable(logging.CRITICAL)
    samples = [
        ("\\sin^2 x + \\frac{\\pi}{3}", "1-\\cos^2 x + \\frac{\\pi}{3}"),
        ("\\log_2 3 + e^{2x}", "\\frac{\\ln 3}{\\ln 2} + e^{x} e^{x}"),
        ("x \\ge 2", "2 \\le x"),
        ("0 < x < 1", "(0, 1)"),
        ("(\\cos 1, 2)", "(\\cos 1, 3)"),
        ("\\{\\sin 1, 2\\}", "\\{2, \\sin 1\\}"),
        ("\\sum_{k=1}^{n} k", "\\frac{n(n+1)}{2}"),
        ("\\begin{pmatrix}\\sin x\\\\2\\end{pmatrix}", "\\begin{pmatrix}2\\\\2\\end{pmatrix}"),
        ("\\frac{x^2-1}{x-1}", "x+1"),
        ("2x+4y-3=0", "y=-\\frac{1}{2}x+\\frac{3}{4}"),
        ("\\binom{10}{3}", "\\sqrt{\\sqrt{11}+\\sqrt{194}}"),
    ]
    for gold, answer in samples:
        check({"gold": gold, "answer": answer})
    parsed.cache_clear()
