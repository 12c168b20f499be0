"""Problems that get harder as the policy gets better."""

import bisect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rlenvs.errors import ParameterError, UserError
from rlenvs.graders import BatchGrader, grade_batch
from rlenvs.problems.checks import check_int, check_share, check_split, seeded
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.mixture import check_fractions, weighted_source
from rlenvs.problems.problem import Problem, ProblemSource, Split
from rlenvs.problems.registry import make_source

STATE_VERSION = 1
LEVEL_KEY = "curriculum_level"
PROBED = 1_000
"""Training problems that show how difficulty is distributed."""
MAX_TRIES = 2_000
"""Draws from a source for a problem of one level; a level that needs more is as good as empty."""
MAX_REMEMBERED = 100_000
"""Problems whose level is remembered for reports by id."""


def edges_of(source: ProblemSource, levels: int) -> list[float]:
    """The difficulties at which each level but the first begins.

    Raises:
        ParameterError: the problems of the source are all equally difficult.
    """
    rng = np.random.default_rng(0)
    difficulties = [source.sample(rng, "train").difficulty for _ in range(PROBED)]
    edges = sorted(set(np.quantile(difficulties, np.linspace(0, 1, levels + 1)[1:-1]).tolist()))
    edges = [edge for edge in edges if edge > min(difficulties)]
    if not edges:
        raise ParameterError("source", "must have problems of different difficulty; give 'sources' instead")
    return edges


class CurriculumSource(ProblemSource):
    """Training problems of a level that moves with the success rate; held-out problems of all levels, always.

    Levels are either a list of sources, the easiest first, or one source cut by `difficulty` so that each level has an
    equal share of its training problems, as far as 1,000 of them show. Environments with split="train" tell how each of
    their episodes ended, and keep the state in their own; a loop without one calls `report`. Once `window` outcomes at
    the current level are known, a mean of `raise_at` or more moves one level up, one of `lower_at` or less one down,
    and counting starts again. A share of the draws goes to lower levels, so that they are not forgotten.

    What is held out does not depend on the level: it is drawn from all levels alike, and reports about it are refused.
    The state is the level and the outcomes since it last moved; `state_dict` has both. The task record of a problem has
    its level under "curriculum_level".

    Args:
        source: name or mapping of one source, divided by difficulty; None with `sources`.
        sources: names or mappings of sources, the easiest first; None with `source`.
        levels: for `source` alone: how many parts it is cut into, 2..20, None for 5; fewer where many problems are
            equally difficult.
        start_level: the first level, from 0.
        window: outcomes after which the level may move, 1..100,000.
        raise_at: mean success from which it goes up, in [0, 1].
        lower_at: mean success up to which it goes down, in [0, 1], below `raise_at`.
        review: share of training draws from lower levels, in [0, 1].

    Raises:
        ParameterError: a parameter out of range; also those of the sources.

    Example:
        >>> sources = [{"source": "arithmetic", "digits": digits} for digits in (1, 2, 3)]
        >>> source = CurriculumSource(sources=sources, window=2)
        >>> for problem in source.problems("train", limit=2):
        ...     source.report(problem, True)
        >>> source.level
        1
    """

    def __init__(
        self,
        source: str | Mapping[str, Any] | ProblemSource | None = None,
        sources: Sequence[str | Mapping[str, Any] | ProblemSource] | None = None,
        levels: int | None = None,
        start_level: int = 0,
        window: int = 100,
        raise_at: float = 0.8,
        lower_at: float = 0.3,
        review: float = 0.2,
    ) -> None:
        if (source is None) == (sources is None):
            raise ParameterError("source", "must be given, or 'sources', and not both")
        if sources is not None and (isinstance(sources, str | Mapping) or len(sources) < 2):
            raise ParameterError("sources", f"must be a list of at least two, the easiest first, got {sources!r:.80}")
        self.sources = (
            [make_source(source)]
            if source is not None
            else [weighted_source(entry, place)[1] for place, entry in enumerate(sources or ())]
        )
        check_fractions(self.sources)
        for place, inner in enumerate(self.sources):
            if inner.adapts:
                raise ParameterError(f"sources[{place}]" if sources else "source", "must not be a curriculum itself")
        if sources is not None and levels is not None:
            raise ParameterError("levels", "is for 'source'; each of 'sources' is a level")
        parts = check_int("levels", 5 if levels is None else levels, 2, 20)
        self.edges = edges_of(self.sources[0], parts) if source is not None else []
        self.levels = len(self.edges) + 1 if source is not None else len(self.sources)
        self.level = check_int("start_level", start_level, 0, self.levels - 1)
        self.window = check_int("window", window, 1, 100_000)
        self.raise_at = check_share("raise_at", raise_at)
        self.lower_at = check_share("lower_at", lower_at)
        if lower_at >= raise_at:
            raise ParameterError("lower_at", f"must be below raise_at={raise_at}, got {lower_at}")
        self.review = check_share("review", review)
        self.outcomes: list[float] = []
        self.remembered: OrderedDict[str, int] = OrderedDict()

    @property
    def size(self) -> int | None:
        """Problems of all levels together; None if there is no end of them."""
        sizes = [source.size for source in self.sources]
        known = [size for size in sizes if size is not None]
        return sum(known) if len(known) == len(sizes) else None

    @property
    def grader(self) -> BatchGrader:
        """That of `rlenvs.graders` if all sources have that; else one that knows the types of every source."""
        return grade_batch if all(source.grader is grade_batch for source in self.sources) else grade_tasks

    @property
    def adapts(self) -> bool:
        """True: environments report how training goes."""
        return True

    @property
    def success_rate(self) -> float | None:
        """Mean success at the current level since it last moved; None before the first report."""
        return sum(self.outcomes) / len(self.outcomes) if self.outcomes else None

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem: of the current level or, for review, a lower one; held-out ones of any level."""
        if check_split(split) == "held_out":
            return self._draw(rng, split, int(rng.integers(self.levels)), exact=False)
        level = self.level
        if level and rng.random() < self.review:
            level = int(rng.integers(level))
        problem = self._draw(rng, split, level, exact=True)
        self.remembered[problem.id] = problem.task[LEVEL_KEY]
        while len(self.remembered) > MAX_REMEMBERED:
            self.remembered.popitem(last=False)
        return problem

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List problems: training ones of the current level and below, held-out ones of every level."""
        check_split(split)
        if limit is None:
            listed = [
                self._labelled(problem, place)
                for place, source in enumerate(self.sources)
                for problem in source.problems(split)
            ]
            reach = self.levels if split == "held_out" else self.level + 1
            found = {problem.id: problem for problem in listed if problem.task[LEVEL_KEY] < reach}
            return list(found.values())
        rng, found = seeded(seed), {}
        for _ in range(20 * check_int("limit", limit, 1, 10**9) + 100):
            problem = self.sample(rng, split)
            found.setdefault(problem.id, problem)
            if len(found) == limit:
                return list(found.values())
        raise UserError(f"limit: found only {len(found)} distinct {split} problems, {limit} were asked for")

    def report(self, problem: Problem | Mapping[str, Any] | str | float, success: bool | float) -> None:
        """Say how a training problem went, and let the level move.

        Args:
            problem: the problem; its task record (as in `info["task"]`); its id, if it was drawn lately; or, with a
                single source, its difficulty.
            success: whether it was solved, or a score in [0, 1].

        Raises:
            UserError: the problem is held out, or its level is not known.
        """
        value = check_share("success", float(success) if isinstance(success, bool | np.bool_ | np.number) else success)
        if self._level_of(problem) != self.level:
            return  # review, or a problem that was drawn before the level moved
        self.outcomes.append(value)
        if len(self.outcomes) < self.window:
            return
        mean = sum(self.outcomes) / len(self.outcomes)
        move = (mean >= self.raise_at) - (mean <= self.lower_at)
        level = min(self.levels - 1, max(0, self.level + move))
        # At the ends, and in between the two bounds, the window slides on.
        self.outcomes = [] if level != self.level else self.outcomes[1:]
        self.level = level

    def episode_ended(self, problem: Problem, solved: bool) -> None:
        """Report an episode, if its problem is a training problem of this curriculum."""
        if problem.split == "train" and LEVEL_KEY in problem.task:
            self.report(problem, solved)

    def state_dict(self) -> dict[str, Any]:
        """Level and outcomes, as plain JSON."""
        return {"version": STATE_VERSION, "level": self.level, "outcomes": list(self.outcomes)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state.

        Raises:
            UserError: it is no state of a curriculum with these levels.
        """
        level, outcomes = state.get("level"), state.get("outcomes")
        if state.get("version") != STATE_VERSION or not isinstance(outcomes, list):
            raise UserError(f"not a state of a curriculum: {dict(state)!r:.80}")
        self.level = check_int("level", level, 0, self.levels - 1)
        self.outcomes = [check_share("outcomes", outcome) for outcome in outcomes]

    def _level_of(self, problem: Problem | Mapping[str, Any] | str | float) -> int:
        if isinstance(problem, Problem):
            if problem.split == "held_out":
                raise UserError(f"problem {problem.id!r} is held out: a curriculum learns from training problems alone")
            problem = problem.task
        if isinstance(problem, str):
            if problem not in self.remembered:
                raise UserError(f"problem {problem!r} was not drawn for training lately: report the problem itself")
            return self.remembered[problem]
        if isinstance(problem, Mapping):
            level = problem.get(LEVEL_KEY)
            if not isinstance(level, int):
                raise UserError(f"the task record has no {LEVEL_KEY!r}: it is not of this curriculum")
            return level
        if len(self.sources) > 1:
            raise UserError("a difficulty tells no level where the levels are sources: report the problem itself")
        return self._part(check_share("difficulty", float(problem)))

    def _part(self, difficulty: float) -> int:
        return bisect.bisect_right(self.edges, difficulty)

    def _draw(self, rng: np.random.Generator, split: Split, level: int, *, exact: bool) -> Problem:
        if len(self.sources) > 1:
            return self._labelled(self.sources[level].sample(rng, split), level)
        if not exact:
            return self._labelled(self.sources[0].sample(rng, split), 0)
        for _ in range(MAX_TRIES):
            problem = self._labelled(self.sources[0].sample(rng, split), 0)
            if problem.task[LEVEL_KEY] == level:
                return problem
        raise UserError(f"level {level} of {self} is as good as empty: ask for fewer levels")

    def _labelled(self, problem: Problem, place: int) -> Problem:
        several = len(self.sources) > 1
        level = place if several else self._part(problem.difficulty)
        difficulty = (place + problem.difficulty) / self.levels if several else problem.difficulty
        return replace(problem, task={**problem.task, LEVEL_KEY: level}, difficulty=difficulty)

    def __repr__(self) -> str:
        return f"CurriculumSource({self.sources!r}, levels={self.levels}, level={self.level}, window={self.window})"
