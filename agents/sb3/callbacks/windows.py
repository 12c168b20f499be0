"""Sums over a stretch of training, from which its metrics are made."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rlenvs.agents.sb3.reward_steps import RewardStep
from rlenvs.wrappers.reward_batch import ERROR_CODE, OK_CODE, RewardBatch

Floats = npt.NDArray[np.float64]


@dataclass
class ComponentSums:
    """Sums of K components over all rows and steps.

    Attributes:
        names: K names.
        raw: `[K]` sums of raw values.
        judged: `[K]` numbers of raw values that were numbers.
        contributions: `[K]` sums.
        weights: `[K]` newest weights.
        failures: `[K]` counts of errors.
        invalid: `[K]` counts of verdicts that were neither `ok` nor errors.
        potential: sum of the potential terms.
    """

    names: tuple[str, ...]
    raw: Floats
    judged: Floats
    contributions: Floats
    weights: Floats
    failures: Floats
    invalid: Floats
    potential: float = 0.0

    @classmethod
    def of(cls, batch: RewardBatch) -> "ComponentSums":
        """Return the sums of one step."""
        numbers = ~np.isnan(batch.raw)
        errors = batch.codes == ERROR_CODE
        return cls(
            batch.names,
            np.where(numbers, batch.raw, 0.0).sum(axis=0),
            numbers.sum(axis=0, dtype=np.float64),
            batch.contributions.sum(axis=0),
            np.array(batch.weights, dtype=np.float64),
            errors.sum(axis=0, dtype=np.float64),
            ((batch.codes != OK_CODE) & ~errors).sum(axis=0, dtype=np.float64),
            float(batch.potential.sum()),
        )

    def merge(self, later: "ComponentSums") -> None:
        """Add sums of later steps."""
        for key in ("raw", "judged", "contributions", "failures", "invalid", "potential"):
            setattr(self, key, getattr(self, key) + getattr(later, key))
        self.weights = later.weights


@dataclass
class RewardWindow:
    """What was paid over a stretch of training.

    Example:
        >>> window = RewardWindow()
        >>> window.add(RewardStep(np.array([2.0, 0.0]), np.array([1.0, 0.0]), None))
        >>> window.end_episode(1.0, 2.0, length=1, correct=True)
        >>> window.metrics()["return/true"], window.metrics()["reward/total"]
        (1.0, 1.0)
    """

    steps: int = 0
    total: float = 0.0
    env: float = 0.0
    components: ComponentSums | None = None
    true_returns: list[float] = field(default_factory=list)
    shaped_returns: list[float] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)

    def add(self, step: RewardStep) -> None:
        """Count one step of N rows."""
        self.steps += len(step.shaped)
        self.total += float(step.shaped.sum())
        self.env += float(step.true.sum())
        if step.batch is not None:
            self._merge_components(ComponentSums.of(step.batch))

    def end_episode(self, true: float, shaped: float, length: int, correct: bool | None) -> None:
        """Count an episode that ended.

        Args:
            true: sum of what the environment paid.
            shaped: sum of what was trained on.
            length: steps.
            correct: whether its answer was right; None where the environment does not say.
        """
        self.true_returns.append(true)
        self.shaped_returns.append(shaped)
        self.lengths.append(length)
        if correct is not None:
            self.right.append(bool(correct))

    def merge(self, later: "RewardWindow") -> None:
        """Add what came after."""
        for key in ("steps", "total", "env", "true_returns", "shaped_returns", "lengths", "right"):
            setattr(self, key, getattr(self, key) + getattr(later, key))
        if later.components is not None:
            self._merge_components(later.components)

    def metrics(self) -> dict[str, float]:
        """Return means and counts; nothing where there was no step."""
        if not self.steps:
            return {}
        found = {"reward/total": self.total / self.steps, "reward/env": self.env / self.steps}
        means: list[tuple[str, list[float] | list[int] | list[bool]]] = [
            ("return/true", self.true_returns),
            ("return/shaped", self.shaped_returns),
            ("length/mean", self.lengths),
            ("accuracy/train", self.right),
        ]
        found |= {key: float(np.mean(values)) for key, values in means if values}
        if self.components is not None:
            found |= self._component_metrics(self.components)
        return found

    def _component_metrics(self, sums: ComponentSums) -> dict[str, float]:
        found = {"reward/potential": sums.potential / self.steps}
        per_name: list[tuple[str, Callable[[int], float]]] = [
            ("component/{}/raw", lambda k: sums.raw[k] / sums.judged[k] if sums.judged[k] else float("nan")),
            ("component/{}/contribution", lambda k: sums.contributions[k] / self.steps),
            ("weight/{}", lambda k: sums.weights[k]),
            ("failures/{}", lambda k: sums.failures[k]),
            ("invalid/{}", lambda k: sums.invalid[k]),
        ]
        for k, name in enumerate(sums.names):
            found |= {pattern.format(name): float(value(k)) for pattern, value in per_name}
        return found

    def _merge_components(self, later: ComponentSums) -> None:
        if self.components is None:
            self.components = later
        else:
            self.components.merge(later)
