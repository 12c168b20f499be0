"""A trial that belongs to no study: it draws values by itself and remembers what it was asked for."""

import datetime
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import BaseTrial

from rlenvs.agents.tuning.space.specs import Scalar

__all__ = ["DryTrial", "DryValues"]


@dataclass
class DryValues:
    """Values of the parameters of a space, as many as are asked for.

    The first two of a number are the ends of its range, which break most: `low` everywhere, then `high` everywhere. A
    choice has every value once before any comes again.

    Args:
        seed: of everything that follows.
    """

    seed: int = 0
    _streams: dict[str, random.Random] = field(default_factory=dict)
    _drawn: dict[str, int] = field(default_factory=dict)
    _left: dict[str, list[int]] = field(default_factory=dict)

    def value(self, name: str, distribution: BaseDistribution) -> Any:
        """Return the next value of a parameter."""
        # A stream for each name: what one parameter gets does not depend on which others there are.
        stream = self._streams.setdefault(name, random.Random(zlib.crc32(name.encode()) ^ self.seed))
        count = self._drawn[name] = self._drawn.get(name, 0) + 1
        if isinstance(distribution, CategoricalDistribution):
            return self._choice(name, distribution, stream)
        assert isinstance(distribution, FloatDistribution | IntDistribution), distribution
        if count <= 2:
            return (distribution.low, distribution.high)[count - 1]
        return _between(distribution, stream)

    def _choice(self, name: str, distribution: CategoricalDistribution, stream: random.Random) -> Any:
        left = self._left.setdefault(name, [])
        if not left:
            left.extend(range(len(distribution.choices)))
            stream.shuffle(left)
        return distribution.choices[left.pop() % len(distribution.choices)]


def _between(distribution: FloatDistribution | IntDistribution, stream: random.Random) -> float | int:
    low, high, step = distribution.low, distribution.high, distribution.step
    if step is not None and not distribution.log:
        value = low + step * stream.randint(0, round((high - low) / step))
        return value if isinstance(distribution, IntDistribution) else float(min(value, high))
    share = stream.random()
    value = low * (high / low) ** share if distribution.log else low + (high - low) * share
    value = min(max(value, low), high)
    return round(value) if isinstance(distribution, IntDistribution) else float(value)


class DryTrial(BaseTrial):
    """One round of questions.

    Args:
        values: what answers them.
        number: what the trial says that its number is.

    Attributes:
        asked: name and distribution of each question that was new, in their order.
        touched: how often anything of the trial was used.
    """

    def __init__(self, values: DryValues, number: int = 0) -> None:
        self._values = values
        self._number = number
        self._params: dict[str, Any] = {}
        self._distributions: dict[str, BaseDistribution] = {}
        self._user_attrs: dict[str, Any] = {}
        self.asked: list[tuple[str, BaseDistribution]] = []
        self.touched = 0

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.touched += 1
        self.asked.append((name, distribution))
        if name not in self._params:
            self._params[name] = self._values.value(name, distribution)
            self._distributions[name] = distribution
        return self._params[name]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number in [low, high]."""
        return float(self._suggest(name, FloatDistribution(low, high, log=log, step=step)))

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number in [low, high]."""
        return int(self._suggest(name, IntDistribution(low, high, log=log, step=step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices.

        Raises:
            TypeError: a choice that no storage keeps; Optuna itself only warns.
        """
        for choice in choices:
            if not isinstance(choice, Scalar):
                raise TypeError(
                    f"choices of {name!r} must be null, booleans, numbers or text, got {type(choice).__name__}: "
                    "draw a label, and return what it stands for"
                )
        return self._suggest(name, CategoricalDistribution(choices))

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Return a number in [low, high]; Optuna's older name."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        """Return a number in [low, high], by factors; Optuna's older name."""
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        """Return a number in [low, high], in steps; Optuna's older name."""
        return self.suggest_float(name, low, high, step=q)

    def report(self, value: float, step: int) -> None:
        """Take an intermediate value; nobody looks at it."""

    def should_prune(self) -> bool:
        """Return that the trial goes on."""
        return False

    def set_user_attr(self, key: str, value: Any) -> None:
        """Remember something about the trial."""
        self._user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        """Take a constraint; nobody looks at it."""

    @property
    def constraints(self) -> dict[str, float]:
        """There are none."""
        return {}

    @property
    def params(self) -> dict[str, Any]:
        """Name -> value of what was asked for so far."""
        self.touched += 1
        return dict(self._params)

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """Name -> distribution of what was asked for so far."""
        return dict(self._distributions)

    @property
    def user_attrs(self) -> dict[str, Any]:
        """What was remembered."""
        return self._user_attrs

    @property
    def datetime_start(self) -> datetime.datetime | None:
        """Nobody started it."""
        return None

    @property
    def number(self) -> int:
        """Which round of questions this is."""
        return self._number
