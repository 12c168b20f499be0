r"""Whether two formulas are equal, by Math-Verify and SymPy. Runs in a worker: it can take any time and memory.

Two things differ from Math-Verify's own `parse` and `verify`, because a reward is paid for the verdict:

* the whole answer is parsed, as LaTeX, or it is unreadable: no search for the first number in it, and no reader that
  uses `eval`;
* equal is exact: what Math-Verify holds for equal is compared again at 50 digits, relative to its size, and with
  numbers in the place of variables.
"""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rlenvs.extras import require

DIGITS = 50
TOLERANCE_DIGITS = 35
"""Two numbers are the same if they differ by less than this many digits of the larger one."""
PURPOSE = "grading of symbolic answers"
SAMPLES = (
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
)
"""Some of everything: what is done for the first time costs a second, and workers are forked after that."""


class UnreadableError(Exception):
    """Not a formula."""


class Comparer:
    """Math-Verify, imported."""

    def __init__(self) -> None:
        self.sympy: Any = require("sympy", "reasoning", PURPOSE)
        self.latex: Any = require("latex2sympy2_extended", "reasoning", PURPOSE)
        self.verify: Any = require("math_verify", "reasoning", PURPOSE).verify
        self.treat_as_complex: Any = require("math_verify.grader", "reasoning", PURPOSE).should_treat_as_complex
        self.normalization = self.latex.NormalizationConfig(
            basic_latex=True, units=True, malformed_operators=True, nits=True, boxed="none", equations=False
        )
        self.parsed = lru_cache(maxsize=256)(self.parse)

    def parse(self, latex: str) -> Any:
        """Parse a whole text as LaTeX.

        Raises:
            UnreadableError: it is none.
        """
        try:
            normalized = self.latex.normalize_latex(latex, config=self.normalization)
            value = self.latex.latex2sympy(
                normalized,
                is_real=not self.treat_as_complex(normalized),
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

    def check(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer "equal", "different", "unreadable" or "bad_gold".

        Args:
            request: `gold` and `answer`, both LaTeX.
        """
        try:
            gold = self.parsed(request["gold"])
        except UnreadableError as error:
            return {"verdict": "bad_gold", "reason": str(error)}
        try:
            answer = self.parsed(request["answer"])
        except UnreadableError as error:
            return {"verdict": "unreadable", "reason": str(error)}
        options = {"float_rounding": DIGITS, "numeric_precision": DIGITS, "strict": True, "timeout_seconds": None}
        equal = self.verify(gold, answer, **options) and self.agree(gold, answer)
        return {"verdict": "equal" if equal else "different", "reason": ""}

    def agree(self, gold: Any, answer: Any) -> bool:
        """False if two scalars that are said to be equal differ where they can be evaluated."""
        sympy = self.sympy
        if isinstance(gold, sympy.MatrixBase) and isinstance(answer, sympy.MatrixBase):
            return gold.shape == answer.shape and all(map(self.agree, gold.flat(), answer.flat()))
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
            return bool(difference <= size * sympy.Float(10) ** -TOLERANCE_DIGITS)
        except (TypeError, ValueError, ArithmeticError, AttributeError, NotImplementedError):
            return True  # a sum with a variable limit and the like: it has no value to compare


def prepare() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Import Math-Verify, and parse and compare a few formulas."""
    logging.disable(logging.CRITICAL)
    comparer = Comparer()
    for gold, answer in SAMPLES:
        comparer.check({"gold": gold, "answer": answer})
    comparer.parsed.cache_clear()
    return comparer.check
