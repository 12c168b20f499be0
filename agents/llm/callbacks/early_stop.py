"""Callbacks that end a run: because the policy has drifted too far, or is good enough."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from rlenvs.agents.llm.callbacks.base import Callback, RunState, register_callback
from rlenvs.agents.llm.callbacks.watching import value_of
from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import finite_number, whole_number

if TYPE_CHECKING:
    from rlenvs.agents.llm.config import TrainConfig


@register_callback()
class KLEarlyStop(Callback):
    """Ends a run whose policy stays too far from the reference.

    The run ends when the KL divergence has been above the threshold in `patience` iterations in a row. One that is not
    a finite number counts as above.

    Args:
        threshold: nats per token, > 0.
        patience: iterations in a row, >= 1.
        metric: `kl` (the mean log-ratio of policy and reference on the policy's own tokens), `kl_k3` (an estimate that
            is never negative) or `approx_kl` (between the policies before and after an iteration's updates).

    Example:
        >>> KLEarlyStop(threshold=0.15, patience=10).state_dict()
        {'violations': 0}
    """

    def __init__(
        self, threshold: float = 0.15, patience: int = 10, metric: Literal["kl", "kl_k3", "approx_kl"] = "kl"
    ) -> None:
        self.threshold = finite_number("threshold", threshold)
        if self.threshold <= 0:
            raise ParameterError("threshold", f"must be > 0, got {threshold}")
        self.patience = whole_number("patience", patience, minimum=1)
        self.metric = metric
        self.violations = 0

    def check(self, config: "TrainConfig") -> None:
        """Refuse a run that has no reference to measure the distance to."""
        if self.metric != "approx_kl" and config.ppo.kl_coef == 0.0:
            raise ParameterError("metric", f"{self.metric!r} needs a reference model, which ppo.kl_coef 0 leaves out")

    def on_update_end(self, state: RunState) -> None:
        """Count iterations above the threshold."""
        value = state.metrics.get(self.metric)
        if value is None:  # an iteration without anything to learn from says nothing
            return
        self.violations = 0 if value <= self.threshold else self.violations + 1
        if self.violations >= self.patience:
            state.stop(f"{self.metric} above {self.threshold:g} for {self.violations} iterations (now {value:.4g})")

    def state_dict(self) -> dict[str, Any]:
        """Return how many iterations in a row were above the threshold."""
        return {"violations": self.violations}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self.violations = state["violations"]


@register_callback()
class TargetStop(Callback):
    """Ends a run that is good enough: a metric has reached a value in so many evaluations in a row.

    The evaluation before the first iteration counts too.

    Args:
        value: what to reach.
        metric: name of a metric, as in `metrics.jsonl`, of an evaluation or of the iteration that is evaluated.
        evaluations: in a row, >= 1.
        mode: `max` where more is better, `min` where less is.

    Example:
        >>> TargetStop(0.95, evaluations=2).state_dict()
        {'reached': 0}
    """

    def __init__(
        self,
        value: float,
        metric: str = "accuracy/greedy",
        evaluations: int = 1,
        mode: Literal["max", "min"] = "max",
    ) -> None:
        self.value = finite_number("value", value)
        self.metric = metric
        self.evaluations = whole_number("evaluations", evaluations, minimum=1)
        self.mode = mode
        self.reached = 0

    def on_evaluation_end(self, state: RunState) -> None:
        """Count evaluations that reach the value."""
        value = value_of(self.metric, state)
        if value is None:
            return
        good = math.isfinite(value) and (value >= self.value if self.mode == "max" else value <= self.value)
        self.reached = self.reached + 1 if good else 0
        if self.reached >= self.evaluations:
            times = f" in {self.reached} evaluations" if self.evaluations > 1 else ""
            state.stop(f"{self.metric} reached {self.value:g}{times} (now {value:.4g})")

    def state_dict(self) -> dict[str, Any]:
        """Return how many evaluations in a row reached the value."""
        return {"reached": self.reached}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on counting."""
        self.reached = state["reached"]
