"""What sources with a fixed list of problems have in common."""

import unicodedata
from abc import abstractmethod
from array import array
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from rlenvs.errors import DataError, UserError
from rlenvs.problems.checks import SPLITS, check_int, check_share, check_split, seeded
from rlenvs.problems.problem import Problem, ProblemSource, Split, split_of


def folded(text: str) -> str:
    """A text without differences of case, white space and Unicode composition: the key of its split.

    Example:
        >>> folded("What  is it?") == folded("what is it? ")
        True
    """
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())


class ListedSource(ProblemSource):
    """A source whose problems are numbered. The list is read once, when it is first needed; 4 bytes each stay.

    One that comes again is left out: there would be two problems with one id.

    Subclasses define `keys`, which reads and checks everything, and `at`.
    """

    held_out_fraction: float

    def __init__(self, held_out_fraction: float) -> None:
        self.held_out_fraction = check_share("held_out_fraction", held_out_fraction)

    @abstractmethod
    def keys(self) -> Iterator[tuple[str, str]]:
        """The canonical text of each problem, which decides its split, and its id; in order.

        Raises:
            DataError: something is wrong with one of them; says where it is.
        """

    @abstractmethod
    def at(self, index: int, split: Split) -> Problem:
        """The problem with a number."""

    @cached_property
    def members(self) -> "dict[Split, array[int]]":
        """The numbers of the problems of each split."""
        found: dict[Split, array[int]] = {split: array("I") for split in SPLITS}
        seen: set[int] = set()
        for index, (key, name) in enumerate(self.keys()):
            # Hashes of 64 bits instead of the ids: a million take 60 MB less while they are read.
            if (mark := hash(name)) in seen:
                continue
            seen.add(mark)
            found[split_of(key, self.held_out_fraction)].append(index)
        if not any(found.values()):
            raise DataError(f"{self.described()}: no problems in it")
        return found

    @property
    def size(self) -> int:
        """How many problems there are, both splits together."""
        return sum(map(len, self.members.values()))

    def described(self) -> str:
        """The source in a message: its file, if it has one."""
        return repr(self)

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem of a split, each equally often."""
        numbers = self._of(split)
        return self.at(numbers[int(rng.integers(len(numbers)))], split)

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List the problems of a split in their order, or a seeded choice of them."""
        numbers = self._of(split)
        if limit is not None and check_int("limit", limit, 1, 10**9) < len(numbers):
            picks = seeded(seed).permutation(len(numbers))[:limit]
            return [self.at(numbers[pick], split) for pick in sorted(picks.tolist())]
        return [self.at(number, split) for number in numbers]

    def stream(self, split: Split, seed: int = 0) -> Iterator[Problem]:
        """All problems of a split in an order that the seed decides, again and again in new orders, without end."""
        numbers, rng = self._of(split), seeded(seed)
        while True:
            for pick in rng.permutation(len(numbers)).tolist():
                yield self.at(numbers[pick], split)

    def _of(self, split: Split) -> "array[int]":
        numbers = self.members[check_split(split)]
        if not numbers:
            share = f"held_out_fraction is {self.held_out_fraction:g}"
            raise UserError(
                f"the {split} split of {self.described()} is empty: {share} and there are {self.size} problems"
            )
        return numbers
