"""A source that is one of several others, whichever its parameters ask for."""

from collections.abc import Iterator

import numpy as np

from rlenvs.graders import BatchGrader
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.problem import Problem, ProblemSource, Split

__all__ = ["DelegatingSource"]


class DelegatingSource(ProblemSource):
    """Draws from `inner`, which the constructor chooses: problems that are made up, or those of a list.

    Its tasks have no right answer.
    """

    inner: ProblemSource

    @property
    def size(self) -> int | None:
        """How many problems there are; None if they are made up."""
        return self.inner.size

    @property
    def grader(self) -> BatchGrader:
        """Knows that nothing is right or wrong here."""
        return grade_tasks

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem."""
        return self.inner.sample(rng, split)

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List problems; made-up ones need a limit."""
        return self.inner.problems(split, limit, seed)

    def stream(self, split: Split, seed: int = 0) -> Iterator[Problem]:
        """Problems in an order that the seed decides, without end."""
        return self.inner.stream(split, seed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"
