"""Problems of reasoning-gym, any of its data sets."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlenvs.errors import ParameterError, UserError
from rlenvs.graders import BatchGrader
from rlenvs.problems.answer_format import AnswerFormat
from rlenvs.problems.checks import check_choice, check_int, check_real, check_share, check_split, seeded
from rlenvs.problems.grading import grade_tasks
from rlenvs.problems.problem import Problem, ProblemSource, Split, split_of
from rlenvs.problems.procedural import MAX_DRAWS, content_id
from rlenvs.problems.reasoning_library import (
    EVALUATES_ANSWERS,
    WITHOUT_GOLD,
    check_dataset,
    difficulty_of,
    entry_of,
    make_dataset,
)

SCORINGS = ("exact", "verified", "partial")
MAX_REMEMBERED = 100_000
"""Indices whose split is remembered: it takes a few bytes to know what it may take 100 ms to find out."""


def check_configs(config: object, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The parameters of each data set: one mapping for a single one, a mapping of mappings for several."""
    given = {} if config is None else config
    if not isinstance(given, Mapping):
        raise ParameterError("config", f"must be a mapping of parameters of the data set, got {config!r:.80}")
    if len(names) == 1 and not (names[0] in given and isinstance(given[names[0]], Mapping)):
        given = {names[0]: given}
    for name, parameters in given.items():
        if name not in names:
            raise ParameterError("config", f"must have a mapping for each of {', '.join(names)}, got {name!r}")
        if not isinstance(parameters, Mapping):
            raise ParameterError("config", f"of {name} must be a mapping, got {parameters!r:.80}")
    return {name: dict(given.get(name, {})) for name in names}


class ReasoningGymSource(ProblemSource):
    """Problems of one or several data sets of reasoning-gym (https://github.com/open-thought/reasoning-gym).

    Task type "reasoning_gym": `dataset`, `config`, `seed`, `size` and `index` say which problem it is, `gold` is the
    reference answer, `scoring` says how answers are judged:

    * "exact": right is the reference answer, white space at the ends aside. Nothing else counts, also where the
      question has several right answers.
    * "verified": right is what the data set's own scorer gives the full score; anything else is worth 0.
    * "partial": the score is that of the data set's own scorer, which for many data sets rewards answers that are
      only near; still right is only the full score. Where the data set has no scorer of its own, and would give credit
      for any text that contains the answer, this is "exact".

    The own scorer runs in a worker under a deadline. Where it would run the answer as Python code, only "exact" is
    possible (`rlenvs.problems.reasoning_library.EVALUATES_ANSWERS`). Two data sets come without any answer and need
    "verified" or "partial"; their demonstrations are empty (`WITHOUT_GOLD`). Problems whose reference answer is the
    empty text are left out.

    The difficulty of a problem is where its numbers lie in the ranges that the data set drew them from, for the half of
    the data sets that say so, else 0.0.

    The split of a problem is the hash of its question, so that the same question at two indices is in one split. The
    global random generators are neither used nor changed, by the data sets that would use them included.

    Args:
        dataset: name of a data set, or a list of names.
        size: problems per data set, at indices 0..size-1; 1..10,000,000. Some data sets take time or memory for each.
        seed: seed of the data sets.
        config: parameters of the data set; for several, a mapping from name to parameters.
        weights: how often each data set is drawn from; equally often when None.
        scoring: "exact", "verified" or "partial".
        extract: which part of a response is the answer, and how demonstrations write it.
        markers: for extract="last_marker" only.
        format_hint: whether the prompt says how to write the answer.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        MissingExtraError: reasoning-gym is not installed.
        ParameterError: an unknown data set or parameter, with the nearest known one, or a value out of range.

    Example:
        >>> source = ReasoningGymSource("leg_counting", size=100)  # doctest: +SKIP
        >>> source.sample(np.random.default_rng(0), "train").task["type"]  # doctest: +SKIP
        'reasoning_gym'
    """

    def __init__(
        self,
        dataset: str | Sequence[str],
        size: int = 10_000,
        seed: int = 0,
        config: Mapping[str, Any] | None = None,
        weights: Sequence[float] | None = None,
        scoring: str = "exact",
        extract: str = "last_answer_tag",
        markers: Sequence[str] = ("A:",),
        format_hint: bool = True,
        held_out_fraction: float = 0.1,
    ) -> None:
        names = [dataset] if isinstance(dataset, str) else dataset
        if not isinstance(names, Sequence) or not names:
            raise ParameterError("dataset", f"must be a name or a non-empty list of names, got {dataset!r}")
        self.names = [check_dataset(name) for name in names]
        if len(set(self.names)) != len(self.names):
            raise ParameterError("dataset", f"must name each data set once, got {list(self.names)}")
        self.length = check_int("size", size, 1, 10_000_000)
        self.seed = check_int("seed", seed, 0, 2**32 - 1)
        self.configs = check_configs(config, self.names)
        self.weights = check_weights(weights, len(self.names))
        self.scoring = check_choice("scoring", scoring, SCORINGS)
        self.format = AnswerFormat(extract, markers, format_hint)
        self.held_out_fraction = check_share("held_out_fraction", held_out_fraction)
        for name in self.names:
            if self.scoring == "exact" and name in WITHOUT_GOLD:
                raise ParameterError("scoring", f"must be 'verified' or 'partial' for {name}: {WITHOUT_GOLD[name]}")
            if self.scoring != "exact" and name in EVALUATES_ANSWERS:
                raise ParameterError(
                    "scoring", f"must be 'exact' for {name}: its own scorer would run the answer as Python code"
                )
        self.datasets = self._datasets()
        self.splits: dict[tuple[int, int], Split | None] = {}

    def _datasets(self) -> list[Any]:
        return [make_dataset(name, self.configs[name], self.seed, self.length) for name in self.names]

    def __getstate__(self) -> dict[str, Any]:
        # Some data sets hold functions that cannot be pickled; all of them can be made again.
        return {key: value for key, value in vars(self).items() if key != "datasets"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.datasets = self._datasets()

    @property
    def size(self) -> int:
        """How many indices there are; a few may be left out, or hold the same question."""
        return self.length * len(self.names)

    @property
    def grader(self) -> BatchGrader:
        """Knows the task type "reasoning_gym" besides those of `rlenvs.graders`."""
        return grade_tasks

    def sample(self, rng: np.random.Generator, split: Split) -> Problem:
        """Draw a problem of a split."""
        check_split(split)
        for _ in range(MAX_DRAWS):
            number = int(np.searchsorted(self.weights, rng.random(), side="right")) if len(self.names) > 1 else 0
            problem = self._at(number, int(rng.integers(self.length)), split)
            if problem is not None:
                return problem
        raise UserError(f"the {split} split of {self} is empty, or nearly: change held_out_fraction or size")

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List problems of a split: all of them in order, or the first `limit` of a shuffled order."""
        check_split(split)
        order = np.arange(self.size)
        if limit is not None:
            check_int("limit", limit, 1, 10**9)
            order = seeded(seed).permutation(order)
        found: dict[str, Problem] = {}
        for place in order.tolist():
            index, number = divmod(place, len(self.names))
            problem = self._at(number, index, split)
            if problem is not None:
                found.setdefault(problem.id, problem)
            if len(found) == limit:
                break
        if not found:
            raise UserError(f"the {split} split of {self} is empty: change held_out_fraction or size")
        return list(found.values())

    def _at(self, number: int, index: int, split: Split) -> Problem | None:
        """The problem at an index, or None if it is of the other split or has no answer where it needs one."""
        known = self.splits.get((number, index), split)
        if known != split:
            return None
        name = self.names[number]
        entry = entry_of(self.datasets[number], name, self.seed, index)
        gold = entry["answer"]
        own: Split | None = split_of(f"{name}\x1f{entry['question']}", self.held_out_fraction)
        if (gold is None or not gold.strip()) and name not in WITHOUT_GOLD:
            own = None
        if len(self.splits) < MAX_REMEMBERED:
            self.splits[number, index] = own
        return self._problem(number, index, entry, split) if own == split else None

    def _problem(self, number: int, index: int, entry: Mapping[str, Any], split: Split) -> Problem:
        name, gold = self.names[number], entry["answer"]
        prompt = self.format.ask(entry["question"])
        task = self.format.task(
            "reasoning_gym",
            prompt,
            gold,
            dataset=name,
            config=json.loads(json.dumps(self.configs[name])),
            seed=self.seed,
            size=self.length,
            index=index,
            scoring=self.scoring,
        )
        if self.scoring != "exact":
            # The entry itself: making it again could take long, and differ where a data set depends on hash seeds.
            task["entry"] = json.loads(json.dumps(dict(entry), default=str))
        return Problem(
            id=content_id(f"reasoning_gym:{name}", entry["question"], str(gold)),
            prompt=prompt,
            task=task,
            demonstration="" if gold is None else self.format.respond([], gold),
            difficulty=difficulty_of(entry["metadata"]),
            split=split,
        )

    def __repr__(self) -> str:
        return (
            f"ReasoningGymSource(dataset={self.names}, size={self.length}, seed={self.seed}, "
            f"scoring={self.scoring!r}, held_out_fraction={self.held_out_fraction})"
        )


def check_weights(weights: object, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Cumulative shares of some weights; equal ones for None.

    Raises:
        ParameterError: not one non-negative number for each, or all zero.
    """
    if weights is None:
        weights = [1.0] * count
    if isinstance(weights, str) or not isinstance(weights, Sequence) or len(weights) != count:
        raise ParameterError("weights", f"must be a list of {count} numbers, got {weights!r:.80}")
    bounds = np.cumsum([check_real("weights", weight, 0.0, float("inf")) for weight in weights])
    if not 0 < bounds[-1] < float("inf"):
        raise ParameterError("weights", f"must have a positive, finite sum, got {list(weights)!r:.80}")
    # Divided by their own last entry they end with exactly 1.0, above every number that is drawn.
    shares: np.ndarray[Any, np.dtype[np.float64]] = bounds / bounds[-1]
    return shares
