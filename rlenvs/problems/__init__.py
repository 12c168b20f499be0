"""Where tasks come from.

A `ProblemSource` yields `Problem` objects. Each belongs to one of two splits, decided by a hash of the
problem itself, so that training can never draw a held-out problem. Read `rlenvs.problems.problem` first,
then `arithmetic`, the procedural source that ships.
"""

from rlenvs.problems.arithmetic import ArithmeticParameters, ArithmeticSource
from rlenvs.problems.problem import Problem, ProblemSource, Split, split_of

__all__ = [
    "ArithmeticParameters",
    "ArithmeticSource",
    "Problem",
    "ProblemSource",
    "Split",
    "split_of",
]
