"""Runs components and turns whatever happens into values and statuses.

A failure that the judged text provoked is a verdict and stands. A failure that it cannot have provoked (an
exception, NaN, infinity, an `error` status) is retried once and then handled by the component's policy; it never
becomes a silent 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from rlenvs.errors import ComponentError, ConfigError, ParameterError
from rlenvs.wrappers.base import ERROR, OK, STATUSES, BaseReward, FloatArray, Score
from rlenvs.wrappers.reward_batch import CODE_OF, ERROR_CODE, OK_CODE, CodeArray
from rlenvs.wrappers.transition import Transition

OnError = Literal["raise", "mask", "penalty", "default"]
_FLOATS = {float, np.float64, np.float32, bool, np.bool_}  # no int: some are too large for a float


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """What becomes of a component's errors.

    Attributes:
        on_error: `raise` stops; `mask` leaves the component out of that step's reward (raw value NaN); `penalty`
            and `default` use `error_value`.
        error_value: the value that stands in, in the component's raw units; finite with `penalty` and `default`.

    Raises:
        ParameterError: an `on_error` that does not exist.
        ConfigError: `penalty` or `default` without a finite `error_value`.
    """

    on_error: OnError = "raise"
    error_value: float = math.nan

    def __post_init__(self) -> None:
        if self.on_error not in get_args(OnError):
            raise ParameterError("on_error", f"must be one of {', '.join(get_args(OnError))}, got {self.on_error!r}")
        if self.on_error in ("penalty", "default") and not math.isfinite(self.error_value):
            raise ConfigError(f"on_error {self.on_error!r} needs a finite error_value, got {self.error_value}")


class ContractError(Exception):
    """A component returned what no component may return: a bug, which no policy covers."""


def settle_one(
    name: str, component: BaseReward, transition: Transition, policy: ErrorPolicy, first: object
) -> tuple[float, str]:
    """Turn what a component returned for one transition into value and status, after a retry where it failed.

    Args:
        name: the component's name, for error messages.
        component: what scores.
        transition: what is scored.
        policy: what becomes of an error.
        first: what the component returned; NaN where it raised.

    Returns:
        value (NaN only where an error is masked) and status.

    Raises:
        ComponentError: the component failed twice and its policy is `raise`, or it breaks its contract.
    """
    try:
        value, status = _read(first)
        if status == ERROR:
            value, status, failure = _try_one(component, transition)
            if status == ERROR:
                value = _stand_in(name, 0, policy, failure)
    except ContractError as error:
        raise ComponentError(f"reward component {name!r} breaks its contract: {error}") from error
    return value, status


def score_batch(
    name: str, component: BaseReward, transitions: Sequence[Transition], policy: ErrorPolicy
) -> tuple[FloatArray, CodeArray]:
    """Score N transitions with one component.

    Args:
        name: the component's name, for error messages.
        component: what scores.
        transitions: N transitions.
        policy: what becomes of errors.

    Returns:
        values `[N]` (NaN only where an error is masked) and status codes `[N]`.

    Raises:
        ComponentError: the component failed twice and its policy is `raise` (`row` says on which transition), or it
            breaks its contract.
    """
    try:
        values, codes = _try_batch(component, transitions)
        if codes.any():
            for row in np.flatnonzero(codes == ERROR_CODE).tolist():
                # Alone, so that one bad row does not cost the others their values.
                value, status, failure = _try_alone(component, transitions[row])
                values[row], codes[row] = value, CODE_OF[status]
                if status == ERROR:
                    values[row] = _stand_in(name, row, policy, failure)
    except ContractError as error:
        raise ComponentError(f"reward component {name!r} breaks its contract: {error}") from error
    return values, codes


def _try_one(component: BaseReward, transition: Transition) -> tuple[float, str, Exception | None]:
    try:
        return *_read(component(transition)), None
    except ContractError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever user code raises has to become a typed failure
        return math.nan, ERROR, error


def _try_alone(component: BaseReward, transition: Transition) -> tuple[float, str, Exception | None]:
    """Score one row of a batch again, by the component's own batch form."""
    try:
        items = list(component.batch([transition]))
    except ContractError:
        raise
    except Exception as error:  # noqa: BLE001
        return math.nan, ERROR, error
    if len(items) != 1:
        raise ContractError(f"batch returned {len(items)} values for 1 transitions")
    return *_read(items[0]), None


def _try_batch(component: BaseReward, transitions: Sequence[Transition]) -> tuple[FloatArray, CodeArray]:
    """Score once; whatever user code raises becomes an error of every row, except that it breaks the contract."""
    count = len(transitions)
    try:
        scores = component.batch(transitions)
        if not isinstance(scores, np.ndarray) or scores.ndim == 0:  # a list of no dimensions is a TypeError here
            scores = list(scores)
    except ContractError:
        raise
    except Exception:  # noqa: BLE001 - the rows are tried alone, which finds the reason again
        return np.full(count, math.nan), np.full(count, ERROR_CODE, dtype=np.uint8)
    if len(scores) != count:
        raise ContractError(f"batch returned {len(scores)} values for {count} transitions")
    codes: CodeArray = np.full(count, OK_CODE, dtype=np.uint8)
    if isinstance(scores, np.ndarray) and scores.ndim == 1 and scores.dtype.kind in "biuf":
        values = scores.astype(np.float64)
    elif set(map(type, scores)) <= _FLOATS:
        values = np.array(scores, dtype=np.float64)
    else:
        pairs = [_read(item) for item in scores]
        values = np.array([value for value, _ in pairs], dtype=np.float64)
        codes[:] = [CODE_OF[status] for _, status in pairs]
    finite = np.isfinite(values)
    if not finite.all():
        codes[~finite] = ERROR_CODE
    return values, codes


def _read(item: object) -> tuple[float, str]:
    """Split what a component returned into value and status; a value that is not finite is an error."""
    value, status = item if isinstance(item, Score) else (item, OK)
    if status not in STATUSES:
        raise ContractError(f"status must be one of {', '.join(STATUSES)}, got {status!r}")
    if isinstance(value, str | bytes | bytearray):  # which float() would read
        raise ContractError(f"a value must be a number or a Score, got {value!r:.60}")
    try:
        number = float(value)  # type: ignore[arg-type]
    except OverflowError:  # an integer that no float holds
        return math.inf, ERROR
    except (TypeError, ValueError):
        raise ContractError(f"a value must be a number or a Score, got {value!r:.60}") from None
    return number, status if math.isfinite(number) else ERROR


def _stand_in(name: str, row: int, policy: ErrorPolicy, failure: Exception | None) -> float:
    if policy.on_error == "raise":
        cause = f"{type(failure).__name__}: {failure}" if failure else "it returned an error, NaN or infinity"
        located = ComponentError(
            f"reward component {name!r} failed twice on transition {row} of the batch: {cause}; "
            "set its on_error to mask, penalty or default to go on"
        )
        located.row = row
        raise located from failure
    return policy.error_value if policy.on_error in ("penalty", "default") else math.nan
