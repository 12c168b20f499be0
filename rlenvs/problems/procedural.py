"""What every source that makes its problems up has in common: splits, distinct lists, ids, repeatability."""

import hashlib
import random
import string
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlenvs.errors import UserError
from rlenvs.problems.checks import check_int, check_share, check_split, seeded
from rlenvs.problems.problem import Problem, ProblemSource, Split, split_of

MAX_DRAWS = 10_000
"""Draws before a split counts as empty: with 1% held out, a miss has probability 1e-44."""
PRINTABLE = "".join(sorted({*string.printable} - set("\t\r\x0b\x0c")))
"""What the texts of this package are written with."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A problem in words: what a `Draft` turns into once its split is known."""

    prompt: str
    task: dict[str, Any]
    demonstration: str
    difficulty: float


@dataclass(frozen=True, slots=True)
class Draft:
    """A problem that has been drawn but not put into words, so that one of the wrong split costs little."""

    key: str
    """Canonical text: problems that give each other away have the same."""
    state: Callable[[], Statement]
    """Puts it into words; a pure function of what was drawn."""


def content_id(name: str, *texts: str) -> str:
    """An id that depends on the contents alone: the same in every process, position and version.

    Example:
        >>> content_id("toy", "2+3=", "5")
        'toy:df2afad0d70dd0d7'
    """
    digest = hashlib.blake2b("\x1f".join(texts).encode("utf-8", "surrogatepass"), digest_size=8)
    return f"{name}:{digest.hexdigest()}"


class ProceduralSource(ProblemSource):
    """A source without end whose problems are drawn, and split by the hash of what was drawn.

    A draft comes from one 63-bit number of the caller's generator, spread by a `random.Random` of its own: scalar draws
    of NumPy cost several times as much, and nothing here touches the global generators.

    Subclasses set `name` and define `draft`; they keep their parameters as plain attributes.
    """

    name: str
    alphabet = PRINTABLE
    held_out_fraction: float

    def __init__(self, held_out_fraction: float) -> None:
        self.held_out_fraction = check_share("held_out_fraction", held_out_fraction)

    @abstractmethod
    def draft(self, dice: random.Random) -> Draft:
        """Draw a problem of any split."""

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem of `split`; see `ProblemSource.sample`."""
        check_split(split)
        for _ in range(MAX_DRAWS):
            draft = self.draft(random.Random(int(rng.integers(2**63))))
            if split_of(draft.key, self.held_out_fraction) == split:
                return self._problem(draft, split)
        raise UserError(
            f"the {split} split of {self} is empty, or nearly: change held_out_fraction, or allow more problems"
        )

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List distinct problems of a split; needs a limit, because there is no end of them."""
        check_split(split)
        if limit is None:
            raise UserError(f"{type(self).__name__} has no end of problems: pass limit=N to list N of them")
        check_int("limit", limit, 1, 10**9)
        rng = seeded(seed)
        found: dict[str, Problem] = {}
        for _ in range(20 * limit + MAX_DRAWS):
            problem = self.sample(rng, split)
            found.setdefault(problem.id, problem)
            if len(found) == limit:
                return list(found.values())
        raise UserError(f"limit: found only {len(found)} distinct {split} problems, {limit} were asked for")

    def _problem(self, draft: Draft, split: Split) -> Problem:
        stated = draft.state()
        return Problem(
            id=content_id(self.name, stated.prompt, str(stated.task.get("gold"))),
            prompt=stated.prompt,
            task=stated.task,
            demonstration=stated.demonstration,
            difficulty=min(1.0, max(0.0, stated.difficulty)),
            split=split,
        )
