"""Several sources as one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlenvs.errors import ParameterError, UserError
from rlenvs.graders import BatchGrader, grade_batch
from rlenvs.problems.checks import check_int, check_real, check_split, seeded
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.problem import Problem, ProblemSource, Split
from rlenvs.problems.registry import make_source, read_spec

MAX_REPEATS = 20
"""Draws per problem asked for, after which the sources count as exhausted."""


def weighted_source(entry: object, place: int) -> tuple[float, ProblemSource]:
    """Weight and source of an entry: a name, a mapping with "source", "weight" and "params", or a source."""
    where = f"sources[{place}]"
    if not isinstance(entry, Mapping):
        if not isinstance(entry, str | ProblemSource):
            raise ParameterError(
                where, f"must be a name or a mapping with 'source', 'weight' and 'params', got {entry!r:.80}"
            )
        return 1.0, make_source(entry)
    given = dict(entry)
    weight = check_real(f"{where}.weight", given.pop("weight", 1.0), 0.0, float("inf"))
    if isinstance(given.get("source"), ProblemSource):
        return weight, make_source(given["source"])
    name, parameters = read_spec(given, {})
    try:
        return weight, make_source(name, **parameters)
    except ParameterError as error:
        raise ParameterError(f"{where}.{error.parameter}", error.message) from None


def check_fractions(sources: Sequence[ProblemSource]) -> None:
    """Raise a ParameterError if two sources could put the same problem into different splits."""
    fractions: dict[type[ProblemSource], float] = {}
    for place, source in enumerate(sources):
        own = getattr(source, "held_out_fraction", None)
        if own is not None and fractions.setdefault(type(source), own) != own:
            first = fractions[type(source)]
            raise ParameterError(
                f"sources[{place}]",
                f"must hold out what the other {type(source).__name__} does, {first:g}, got {own:g}: the same "
                "problem could be in both splits",
            )


class MixtureSource(ProblemSource):
    """Problems of several sources, each drawn from as often as its weight says.

    Ids and splits are those of the sources. Two sources of one class must hold out the same fraction, because they may
    make the same problem.

    Args:
        sources: names, or mappings with "source" (the name), "weight" (1.0) and "params".

    Raises:
        ParameterError: an entry that cannot be used; the message says which.

    Example:
        >>> source = MixtureSource([{"source": "algebra", "weight": 3}, {"source": "word_problems", "weight": 1}])
        >>> source.shares
        [0.75, 0.25]
    """

    def __init__(self, sources: Sequence[str | Mapping[str, Any] | ProblemSource]) -> None:
        if isinstance(sources, str | Mapping) or not isinstance(sources, Sequence) or not sources:
            raise ParameterError("sources", f"must be a non-empty list, got {sources!r:.80}")
        entries = [weighted_source(entry, place) for place, entry in enumerate(sources)]
        total = sum(weight for weight, _ in entries)
        if not 0 < total < float("inf"):
            raise ParameterError("sources", "must have weights with a positive, finite sum")
        # A weight of zero switches a source off.
        used = [(weight / total, source) for weight, source in entries if weight]
        self.shares = [share for share, _ in used]
        self.sources = [source for _, source in used]
        check_fractions(self.sources)
        adapting = [place for place, source in enumerate(self.sources) if source.adapts]
        if len(adapting) > 1:
            raise ParameterError("sources", "must not have more than one curriculum: a report could be of either")
        self.adapting = self.sources[adapting[0]] if adapting else None
        self.bounds = np.cumsum(self.shares)

    @property
    def size(self) -> int | None:
        """Problems of all sources together; None if one of them has no end."""
        sizes = [source.size for source in self.sources]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    @property
    def grader(self) -> BatchGrader:
        """That of `rlenvs.graders` if all sources have that; else one that knows the types of every source."""
        return grade_batch if all(source.grader is grade_batch for source in self.sources) else grade_tasks

    @property
    def adapts(self) -> bool:
        """True if one of the sources does."""
        return self.adapting is not None

    def episode_ended(self, problem: Problem, solved: bool) -> None:
        """Tell the source that adapts, which knows its own problems."""
        if self.adapting is not None:
            self.adapting.episode_ended(problem, solved)

    def state_dict(self) -> dict[str, Any]:
        """That of the source that adapts."""
        return {} if self.adapting is None else self.adapting.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        if self.adapting is not None:
            self.adapting.load_state_dict(state)

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a source, then a problem of it."""
        check_split(split)
        place = int(np.searchsorted(self.bounds, rng.random(), side="right"))
        return self.sources[min(place, len(self.sources) - 1)].sample(rng, split)

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List every problem of all sources, or `limit` different ones in the proportions of the weights."""
        check_split(split)
        everything = self._everything(split, limit)
        if everything is not None:
            return everything
        assert limit is not None  # without one, everything was asked for
        found: dict[str, Problem] = {}
        rng = seeded(seed)
        for _ in range(MAX_REPEATS * limit + 100):
            problem = self.sample(rng, split)
            found.setdefault(problem.id, problem)
            if len(found) == limit:
                return list(found.values())
        raise UserError(f"limit: found only {len(found)} distinct {split} problems, {limit} were asked for")

    def _everything(self, split: Split, limit: int | None) -> list[Problem] | None:
        """List every problem of all sources; None if there are `limit` of them or more."""
        if limit is not None:
            check_int("limit", limit, 1, 10**9)
        found: dict[str, Problem] = {}
        for source in self.sources:
            try:
                found.update((problem.id, problem) for problem in source.problems(split, limit))
            except UserError:
                if limit is None:
                    raise
                return None  # it cannot tell how many there are; drawing does
            if limit is not None and len(found) >= limit:
                return None
        return list(found.values())

    def __repr__(self) -> str:
        parts = ", ".join(f"{share:.3g} {source!r}" for share, source in zip(self.shares, self.sources, strict=True))
        return f"MixtureSource({parts})"
