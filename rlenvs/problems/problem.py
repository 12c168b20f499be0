"""One problem, and what a source of problems must offer."""

import copy
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from rlenvs.errors import DataError, UserError
from rlenvs.graders import BatchGrader, grade_batch
from rlenvs.problems.streams import RowStreams

if TYPE_CHECKING:
    from rlenvs.problems.batch import ProblemBatch

Split = Literal["train", "held_out"]

HASH_BITS = 64


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One task for the policy.

    Example:
        >>> task = {"type": "math", "question": "2+3=", "gold": "5", "extract": "whole"}
        >>> Problem(id="toy:1", prompt="2+3=", task=task, demonstration="5").difficulty
        0.0
    """

    id: str
    """Stable name: the same problem of the same source has the same id in every process and version."""
    prompt: str
    """What the policy is shown."""
    task: dict[str, Any]
    """The record that a grader reads; its schema is in `rlenvs.graders`."""
    demonstration: str
    """A right response, written the way the policy should write it."""
    difficulty: float = 0.0
    """How hard, from 0 (trivial) to 1 (the hardest that its source makes)."""
    split: Split | None = None
    """The split that its source puts it in; None for a problem made by hand."""

    def to_dict(self) -> dict[str, Any]:
        """A deep copy as plain JSON types; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Problem":
        """Inverse of `to_dict`.

        Raises:
            DataError: a field is missing or unknown.
        """
        try:
            return cls(**copy.deepcopy(dict(record)))
        except TypeError as error:
            raise DataError(f"not a problem record (keys {sorted(map(str, record))}): {error}") from error


def split_of(key: str, held_out_fraction: float) -> Split:
    """Put a problem into a split by a hash of its canonical key.

    The hash is BLAKE2b, so the answer is the same in every process, machine and version (Python's own `hash`
    is not). Raising `held_out_fraction` only ever moves problems from training to held-out.

    Args:
        key: canonical text of the problem; problems that give each other away must share it.
        held_out_fraction: share of all keys that is held out, in [0, 1].

    Example:
        >>> split_of("+37+48", 0.0), split_of("+37+48", 1.0)
        ('train', 'held_out')
    """
    digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=HASH_BITS // 8).digest()
    return "held_out" if int.from_bytes(digest, "big") < held_out_fraction * 2**HASH_BITS else "train"


class ProblemSource(ABC):
    """Where problems come from. A source holds parameters only, never random state; one that adapts, what it heard."""

    @property
    def size(self) -> int | None:
        """How many different problems there are, both splits together; None where there is no end of them."""
        return None

    @property
    def grader(self) -> BatchGrader:
        """What judges answers to these problems: `rlenvs.graders`, unless a source has tasks of its own types."""
        return grade_batch

    @property
    def adapts(self) -> bool:
        """True if what is drawn for training depends on how training went; environments then tell."""
        return False

    def episode_ended(self, problem: Problem, solved: bool) -> None:
        """Hear from an environment how an episode on a training problem ended.

        Only sources that adapt are told. A problem that is not of this source is none of its business.

        Args:
            problem: what the episode was about.
            solved: whether its last answer was right.
        """
        if self.adapts:
            raise TypeError(f"{type(self).__name__} adapts: it must define episode_ended")

    def state_dict(self) -> dict[str, Any]:
        """What was learned from the reports, as plain JSON; nothing where a source does not adapt."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called.

        Raises:
            UserError: the state is not of such a source.
        """
        if state:
            raise UserError(f"{type(self).__name__} has no state, got {dict(state)!r:.80}")

    def stream(self, split: Split, seed: int = 0) -> Iterator[Problem]:
        """Problems of a split in an order that the seed decides, without end; they may come again."""
        from rlenvs.problems.checks import seeded  # it knows what a split is

        rng = seeded(seed)
        while True:
            yield self.sample(rng, split)

    @abstractmethod
    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw one problem of a split with the caller's generator.

        Raises:
            UserError: the split holds no problem.
        """

    def sample_batch(self, streams: RowStreams, rows: Sequence[int], split: Split) -> list[Problem]:
        """Draw one problem for each of some rows: those that `sample` would draw with the rows' generators.

        A source that draws many problems faster together than one by one overrides this.

        Args:
            streams: the generators.
            rows: which of them, each once.
            split: which split.

        Raises:
            UserError: the split holds no problem.
        """
        return [self.sample(streams.generator(row), split) for row in rows]

    def sample_columns(self, streams: RowStreams, rows: Sequence[int], split: Split) -> "ProblemBatch":
        """Draw as `sample_batch` does, and return the problems by columns.

        A source that makes columns faster than problems overrides this.
        """
        from rlenvs.problems.batch import ProblemBatch  # it is made of problems

        return ProblemBatch.of(self.sample_batch(streams, rows, split))

    @abstractmethod
    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List distinct problems of a split, the same list for the same arguments.

        Args:
            split: which split.
            limit: most problems to return; None for all of them.
            seed: decides which ones a smaller limit picks.

        Raises:
            UserError: the split holds no problem, or the source is too large to list without a limit.
        """

    def demonstrations(self, split: Split = "train", limit: int | None = None, seed: int = 0) -> list[tuple[str, str]]:
        """Prompt and right response of `problems(split, limit, seed)`, for supervised warm starts."""
        return [(p.prompt, p.demonstration) for p in self.problems(split, limit, seed)]
