"""Weights that depend on how the run goes: a gate that a metric opens, and a Lagrange multiplier.

Both keep state, which resumes with the pipeline's. They see the values of a step only after that step was scored.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.schedules.base import ReactiveSchedule, settle_count, settle_numbers


@dataclass
class GatedSchedule(ReactiveSchedule):
    """`min_weight` until a watched mean reaches a threshold, `initial_weight` after; once open, it stays open.

    The mean is exponential with weight 2 / (window + 1) on the newest value and corrected for its start (Adam's bias
    correction), and needs `window` values before it counts: one lucky row opens nothing. Values are counted one by
    one, in whatever batches they come. With `opened` the step at which the mean reached the threshold,

        w(t) = min_weight                                  not open, or t <= opened
        w(t) = (1 - p) * min_weight + p * initial_weight   p = min((t - opened) / decay_steps, 1), or 1 at once

    Args:
        initial_weight: weight once open, finite.
        metric: name of the component, or of the trainer's metric, to watch.
        threshold: value of the mean that opens the gate, finite.
        direction: whether the mean has to be `above` (>=) or `below` (<=) the threshold.
        min_weight: weight before, finite; it may be the larger one, for a gate that takes a reward away.
        decay_steps: environment steps that the weight takes from one end to the other, >= 1; None: at once.
        window: values that the mean reaches back, >= 1; 1 for a metric that is a mean over many episodes already.
        start_step: environment steps before which the gate does not open, >= 0; the mean runs from the start.

    Raises:
        ParameterError: a parameter outside its range.

    Example:
        >>> schedule = GatedSchedule(1.0, metric="right", threshold=0.5, window=4, decay_steps=10)
        >>> schedule.observe([1.0, 1.0, 1.0], step=7)
        >>> schedule(1_000)
        0.0
        >>> schedule.observe([1.0], step=8)
        >>> schedule(8), schedule(13), schedule(18)
        (0.0, 0.5, 1.0)
    """

    initial_weight: float
    metric: str
    threshold: float
    direction: Literal["above", "below"] = "above"
    min_weight: float = 0.0
    decay_steps: int | None = None
    window: int = 100
    start_step: int = 0
    mean: float = field(default=0.0, init=False, repr=False)
    count: int = field(default=0, init=False, repr=False)
    opened_at: int | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight", "threshold", "min_weight")
        settle_count(self, "window", 1)
        settle_count(self, "start_step", 0)
        if self.decay_steps is not None:
            settle_count(self, "decay_steps", 1)
        if not isinstance(self.metric, str) or not self.metric:
            raise ParameterError("metric", f"must name a component or a metric of the trainer, got {self.metric!r}")
        if self.direction not in ("above", "below"):
            raise ParameterError("direction", f"must be 'above' or 'below', got {self.direction!r}")

    def __call__(self, step: int) -> float:
        """Return the weight at `step`, which never changes any more once `step` is in the past."""
        opened = self.opened_at
        if opened is None or step <= opened:
            return self.min_weight
        if self.decay_steps is None or step - opened >= self.decay_steps:
            return self.initial_weight
        progress = (step - opened) / self.decay_steps
        return (1.0 - progress) * self.min_weight + progress * self.initial_weight

    def watches(self, own: str) -> str:
        """Return `metric`."""
        return self.metric

    def observe(self, values: Sequence[float], step: int) -> None:
        """Take in new values of the metric; values that are not finite are left out."""
        if self.opened_at is not None:
            return
        rate = 2.0 / (self.window + 1.0)
        for value in values:
            if not math.isfinite(value):
                continue
            self.count += 1
            # Dividing the rate instead of the mean keeps the mean itself corrected: mean_1 = x_1, whatever the rate.
            share = rate / (1.0 - (1.0 - rate) ** self.count)
            self.mean = (1.0 - share) * self.mean + share * float(value)
            if self.count >= self.window and step >= self.start_step and self._reached():
                self.opened_at = int(step)
                return

    def rule(self) -> str:
        """Say in one sentence what moves the weight."""
        sign = ">=" if self.direction == "above" else "<="
        ramp = "" if self.decay_steps is None else f", reached over {self.decay_steps:,} steps"
        start = f" (not before step {self.start_step:,})" if self.start_step else ""
        return (
            f"{self.min_weight:g} until the mean of the last {self.window:,} values of {self.metric!r} "
            f"is {sign} {self.threshold:g}{start}, then {self.initial_weight:g}{ramp}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"mean": self.mean, "count": self.count, "opened_at": self.opened_at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to another kind of schedule.
        """
        _expect(state, self.state_dict())
        opened_at = state["opened_at"]
        self.mean, self.count = float(state["mean"]), int(state["count"])
        self.opened_at = None if opened_at is None else int(opened_at)

    def _reached(self) -> bool:
        return self.mean >= self.threshold if self.direction == "above" else self.mean <= self.threshold


@dataclass
class LagrangianSchedule(ReactiveSchedule):
    """The weight is a Lagrange multiplier that holds the mean of its own component at a target.

    Maximising a task reward subject to E[x] >= target gives the reward r + w * x with a multiplier w >= 0 that
    projected dual ascent finds. After N transitions with raw values x_n:

        w <- clip(w + learning_rate * sum_n (target - x_n), min_weight, max_weight)

    so the weight rises while the component's mean is below the target and falls while it is above. The interval of
    allowed weights says what kind of bound the target is:

        weights in [0, max]      lower bound   E[x] >= target     a quality to have enough of; a penalty (x <= 0) of
                                                                  which -target is allowed on average
        weights in [min, 0]      upper bound   E[x] <= target     a cost (x >= 0) that may be at most `target`
        weights in [-max, max]   equality      E[x]  = target     a length to hold

    Transitions count one by one, not as a mean, so that the speed does not depend on the number of environments. The
    clip is applied once per call: the same values give the same weight in whatever batches they come (within
    rounding), except where a part of a batch alone would have left the interval.

    Args:
        initial_weight: weight at the start, in [min_weight, max_weight].
        target: bound on the mean raw value of the component per transition, finite.
        learning_rate: change of the weight per transition and unit of violation, > 0.
        min_weight: smallest weight, finite.
        max_weight: largest weight, above `min_weight`; it bounds how far an unreachable target drives the weight.
        start_step: environment steps before the first change, >= 0; values seen before are not used.

    Raises:
        ParameterError: a parameter outside its range.

    Source:
        Tessler, Mankowitz and Mannor 2018, "Reward Constrained Policy Optimization", https://arxiv.org/abs/1805.11074;
        it is the integral term of Stooke, Achiam and Abbeel 2020, "Responsive Safety in Reinforcement Learning by PID
        Lagrangian Methods", https://arxiv.org/abs/2007.03964.

    Example:
        >>> schedule = LagrangianSchedule(initial_weight=1.0, target=0.5, learning_rate=0.1)
        >>> schedule.observe([0.0, 0.0], step=0)
        >>> round(schedule(2), 6)
        1.1
    """

    initial_weight: float
    target: float
    learning_rate: float
    min_weight: float = 0.0
    max_weight: float = 10.0
    start_step: int = 0
    weight: float = field(default=0.0, init=False, repr=False)

    def __post_init__(self) -> None:
        settle_numbers(self, "initial_weight", "target", "learning_rate", "min_weight", "max_weight")
        settle_count(self, "start_step", 0)
        if self.learning_rate <= 0:
            raise ParameterError("learning_rate", f"must be > 0, got {self.learning_rate}")
        if self.max_weight <= self.min_weight:
            raise ParameterError("max_weight", f"must be > min_weight ({self.min_weight}), got {self.max_weight}")
        if not self.min_weight <= self.initial_weight <= self.max_weight:
            raise ParameterError(
                "initial_weight",
                f"must be in [min_weight, max_weight] = [{self.min_weight}, {self.max_weight}], "
                f"got {self.initial_weight}",
            )
        self.weight = self.initial_weight

    def __call__(self, step: int) -> float:
        """Return the weight as of the last observation, whatever `step` is."""
        return self.weight

    def watches(self, own: str) -> str:
        """Return `own`: a multiplier watches the component that it weighs."""
        return own

    def observe(self, values: Sequence[float], step: int) -> None:
        """Move the weight by the violation that `values` show; values that are not finite are left out."""
        if step < self.start_step:
            return
        violation = sum(self.target - float(value) for value in values if math.isfinite(value))
        self.weight = min(max(self.weight + self.learning_rate * violation, self.min_weight), self.max_weight)

    def rule(self) -> str:
        """Say in one sentence what moves the weight."""
        start = f" from step {self.start_step:,} on" if self.start_step else ""
        return (
            f"{self.initial_weight:g} plus the sum of {self.learning_rate:g} * ({self.target:g} - raw value) over "
            f"all transitions{start}, kept in [{self.min_weight:g}, {self.max_weight:g}]"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""
        return {"weight": self.weight}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises:
            ConfigError: the state belongs to another kind of schedule.
        """
        _expect(state, self.state_dict())
        self.weight = float(state["weight"])


def _expect(state: dict[str, Any], own: dict[str, Any]) -> None:
    """Refuse the state of another kind of schedule, as a resumed run with a changed configuration has."""
    if state.keys() != own.keys():
        raise ConfigError(f"saved schedule state has {sorted(state)}, this configuration needs {sorted(own)}")
