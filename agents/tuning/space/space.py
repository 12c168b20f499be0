"""The search space: which places of a configuration trials set, and how."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.space.leaves import ChoiceSpec, Leaf, as_path, leaves_within
from rlenvs.agents.tuning.space.reading import SpaceReader
from rlenvs.agents.tuning.space.specs import FloatSpec, IntSpec
from rlenvs.config_source import KeyPath, Problem, SourceMap, dotted

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

    from rlenvs.agents.tuning.space.dry_run import DryRun
    from rlenvs.errors import ConfigError

__all__ = ["SearchSpace", "TunedParameter", "space_problems"]


@dataclass(frozen=True)
class TunedParameter:
    """One parameter of a study, as a table shows it.

    Attributes:
        name: in the study.
        path: which place of the configuration it sets, with dots.
        values: what it may be, in words.
        when: `always`, or `conditional (12 of 32)`: in how many samples of the dry run it was drawn.
    """

    name: str
    path: str
    values: str
    when: str


@dataclass(frozen=True)
class SearchSpace:
    """Places of a configuration and what each may become.

    Attributes:
        leaves: the places, in the order in which they were written; parameters inside of choices are not listed.
        places: where in the text each place of the configuration was written.
        source: the text.
        at: where the space lies in the text.

    Example:
        >>> space = SearchSpace.parse(
        ...     {
        ...         "reward_shaping.fluency.initial_weight": {"type": "float", "low": 0.1, "high": 5.0, "log": True},
        ...         "composer_settings": {"normalization_strategy": {"type": "categorical", "choices": [None, "rank"]}},
        ...     }
        ... )
        >>> for parameter in space.parameters():
        ...     print(parameter.name, "|", parameter.values, "|", parameter.when)
        reward_shaping.fluency.initial_weight | float 0.1 to 5.0, by factors | always
        composer_settings.normalization_strategy | one of null, 'rank' | always
    """

    leaves: tuple[Leaf, ...]
    places: Mapping[KeyPath, KeyPath] = field(default_factory=dict, repr=False)
    source: SourceMap = field(default_factory=lambda: SourceMap("search_space"), repr=False, compare=False)
    at: KeyPath = ()

    @classmethod
    def parse(
        cls, data: "Mapping[str, Any] | SearchSpace", source: SourceMap | None = None, at: KeyPath = ()
    ) -> "SearchSpace":
        """Read a tree of descriptions `{type: ..., ...}` and functions of the trial.

        Args:
            data: the tree; keys may be paths with dots. A space is returned as it is.
            source: where it was written; without it messages have no line numbers.
            at: where it lies in `source`.

        Raises:
            ConfigError: one line for each thing that is wrong.
        """
        if isinstance(data, SearchSpace):
            return data
        source = SourceMap("search_space") if source is None else source
        reader = SpaceReader()
        reader.read(data)
        space = cls(tuple(reader.leaves), reader.places, source, tuple(at))
        problems = reader.problems or list(space._unfit())
        if problems:
            raise space.error(problems)
        return space

    def suggest(self, trial: "BaseTrial") -> dict[KeyPath, Any]:
        """Return place -> value of a trial, in the order of the tree."""
        return {leaf.path: leaf.draw(trial, _ignore) for leaf in self.leaves}

    def parameters(self, samples: int = 32) -> list[TunedParameter]:
        """Return every parameter, with how often it was drawn in so many samples.

        Raises:
            ConfigError: a function fails or ignores the trial, or two parameters have one name.
        """
        return self.described(self.dry_run(samples))

    def described(self, run: "DryRun") -> list[TunedParameter]:
        """Return what a dry run has found, as `parameters` does."""
        from rlenvs.agents.tuning.space.dry_run import in_words

        total = len(run.drawn)
        return [
            TunedParameter(
                asked.name,
                dotted(asked.leaf.path),
                " or ".join(dict.fromkeys(in_words(distribution) for distribution in asked.distributions[:3])),
                "always" if asked.samples == total else f"conditional ({asked.samples} of {total})",
            )
            for asked in run.asked.values()
        ]

    def dry_run(self, samples: int = 32, seed: int = 0) -> "DryRun":
        """Ask the space for samples, without a study.

        Raises:
            ConfigError: see `parameters`.
        """
        from rlenvs.agents.tuning.space.dry_run import dry_run

        run = dry_run(self.leaves, samples, seed)
        problems = list(run.problems.values())
        if not problems and all(kind.single() for asked in run.asked.values() for kind in asked.distributions):
            problems = [Problem((), "has nothing to tune: every parameter has one value")]
        if problems:
            raise self.error(problems)
        return run

    def fingerprint(self) -> dict[str, Any]:
        """Return plain JSON that is equal for equal spaces; functions count by what they ask the trial for.

        Raises:
            ConfigError: see `parameters`.
        """
        asked = self.dry_run().functions_ask()
        return {dotted(leaf.path): leaf.fingerprint(asked) for leaf in self.leaves}

    def place(self, path: KeyPath) -> KeyPath:
        """Return where a place of the configuration was written in the text, or the nearest place above it."""
        for length in range(len(path), 0, -1):
            written = self.places.get(tuple(str(part) for part in path[:length]))
            if written is not None:
                return (*self.at, *written)
        return self.at

    def error(self, problems: list[Problem]) -> "ConfigError":
        """Return one error about places of the space, a line for each problem."""
        return self.source.error([_named(problem).under(self.at) for problem in problems])

    def every_leaf(self) -> Iterator[Leaf]:
        """Yield every leaf, those inside of choices too."""
        yield from leaves_within(list(self.leaves))

    def _unfit(self) -> Iterator[Problem]:
        """Yield what is wrong between the leaves that are no functions: one name for two different things."""
        first: dict[str, Leaf] = {}
        for leaf in self.every_leaf():
            if leaf.is_function:
                continue
            other = first.setdefault(leaf.name, leaf)
            if _asks(other) != _asks(leaf):
                yield Problem(
                    leaf.at,
                    f"{leaf.name!r} is {_described(other)} at {dotted(as_path(other.at))} and {_described(leaf)} here: "
                    "give it a name of its own",
                )


def space_problems(data: object) -> list[Problem]:
    """Return what is wrong with plain data of a space, for validators of models that hold one.

    Example:
        >>> space_problems({"clip": {"type": "float", "low": 0.3, "high": 0.1}})[0].message
        'must be <= high (0.1), got 0.3'
    """
    reader = SpaceReader()
    reader.read(data)
    problems = reader.problems or list(SearchSpace(tuple(reader.leaves))._unfit())
    return [_named(problem) for problem in problems]


def _named(problem: Problem) -> Problem:
    """Return the problem with keys of the text as paths in its message, and still at its place in the text."""
    at = problem.path if problem.at is None else problem.at
    return Problem(as_path(problem.path), problem.message, at=at, position=problem.position)


def _asks(leaf: Leaf) -> Any:
    if isinstance(leaf.spec, ChoiceSpec):
        return [(type(choice.stored), choice.stored) for choice in leaf.spec.choices]
    assert isinstance(leaf.spec, FloatSpec | IntSpec)
    return leaf.spec.model_dump(exclude={"name"})


def _described(leaf: Leaf) -> str:
    return "a function" if not isinstance(leaf.spec, FloatSpec | IntSpec | ChoiceSpec) else leaf.spec.described


def _ignore(leaf: Leaf) -> None:
    pass
