"""Runs one component over a batch and turns whatever happens into values and statuses.

A failure that the judged text provoked is a verdict and stands. A failure that it cannot have provoked (an
exception, NaN, infinity, an `error` status) is retried once and then handled by the component's policy; it never
becomes a silent 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rlenvs.errors import ComponentError, ConfigError
from rlenvs.wrappers.base import ERROR, OK, STATUS_DTYPE, STATUSES, BaseReward, FloatArray, Score, StatusArray
from rlenvs.wrappers.transition import Transition

OnError = Literal["raise", "mask", "penalty", "default"]


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What becomes of a component's errors.

    Attributes:
        on_error: `raise` stops; `mask` leaves the component out of that step's reward (raw value NaN); `penalty`
            and `default` use `error_value`.
        error_value: the value that stands in, in the component's raw units; finite with `penalty` and `default`.

    Raises:
        ConfigError: `penalty` or `default` without a finite `error_value`.
    """

    on_error: OnError = "raise"
    error_value: float = math.nan

    def __post_init__(self) -> None:
        if self.on_error in ("penalty", "default") and not math.isfinite(self.error_value):
            raise ConfigError(f"on_error {self.on_error!r} needs a finite error_value, got {self.error_value}")


class ContractError(Exception):
    """A component returned what no component may return: a bug, which no policy covers."""


def score_component(
    name: str, component: BaseReward, transitions: Sequence[Transition], policy: ErrorPolicy
) -> tuple[FloatArray, StatusArray]:
    """Score N transitions with one component.

    Args:
        name: the component's name, for error messages.
        component: what scores.
        transitions: N transitions.
        policy: what becomes of errors.

    Returns:
        values `[N]` (NaN only where an error is masked) and statuses `[N]`.

    Raises:
        ComponentError: the component failed twice and its policy is `raise`, or it breaks its contract.
    """
    try:
        values, statuses, _ = _attempt(component, transitions)
        for row in np.flatnonzero(statuses == ERROR).tolist():
            # Alone, so that one bad row does not cost the others their values.
            again, status, failure = _attempt(component, [transitions[row]])
            values[row], statuses[row] = again[0], status[0]
            if statuses[row] == ERROR:
                values[row] = _stand_in(name, row, policy, failure)
    except ContractError as error:
        raise ComponentError(f"reward component {name!r} breaks its contract: {error}") from error
    return values, statuses


def _attempt(
    component: BaseReward, transitions: Sequence[Transition]
) -> tuple[FloatArray, StatusArray, Exception | None]:
    """Score once; whatever user code raises becomes an error of every row, except that it breaks the contract."""
    count = len(transitions)
    try:
        return *_as_arrays(component.batch(transitions), count), None
    except ContractError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever user code raises has to become a typed failure
        return np.full(count, math.nan), np.full(count, ERROR, dtype=STATUS_DTYPE), error


def _stand_in(name: str, row: int, policy: ErrorPolicy, failure: Exception | None) -> float:
    if policy.on_error == "raise":
        cause = f"{type(failure).__name__}: {failure}" if failure else "it returned an error, NaN or infinity"
        raise ComponentError(
            f"reward component {name!r} failed twice on transition {row} of the batch: {cause}; "
            "set its on_error to mask, penalty or default to go on"
        ) from failure
    return policy.error_value if policy.on_error in ("penalty", "default") else math.nan


def _as_arrays(scores: object, count: int) -> tuple[FloatArray, StatusArray]:
    """Split what `batch` returned into values and statuses; non-finite values become errors."""
    items = list(scores)  # type: ignore[call-overload]
    if len(items) != count:
        raise ContractError(f"batch returned {len(items)} values for {count} transitions")
    values = np.empty(count, dtype=np.float64)
    statuses = np.full(count, OK, dtype=STATUS_DTYPE)
    for row, item in enumerate(items):
        value, status = item if isinstance(item, Score) else (item, OK)
        if status not in STATUSES:
            raise ContractError(f"status must be one of {', '.join(STATUSES)}, got {status!r}")
        values[row], statuses[row] = value, status
    statuses[~np.isfinite(values)] = ERROR
    return values, statuses
