"""Weights over time. A schedule is a pure function of the reward clock with plain parameters.

The clock counts environment steps since training began, for all sub-environments together. Until `start_step` a weight
stands still; from there it moves without a jump. Schedules that watch the run are in `reactive`; the names
under which configurations know them all are in `registry`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

from rlenvs.wrappers.parameters import finite_number, whole_number


class Schedule(Protocol):
    """Weight of a component as a function of the reward clock."""

    def __call__(self, step: int) -> float:
        """Return the weight at `step` (environment steps, >= 0)."""


class ReactiveSchedule(ABC):
    """A schedule whose weight depends on how the run goes.

    The pipeline asks once for the name to watch, and hands over what it sees after each step; the weight that a step
    is scored with therefore never depends on that step itself.
    """

    @abstractmethod
    def __call__(self, step: int) -> float:
        """Return the weight at `step` (environment steps, >= 0)."""

    @abstractmethod
    def watches(self, own: str) -> str:
        """Return the name of the component or trainer metric to observe.

        Args:
            own: name of the component whose weight this is.
        """

    @abstractmethod
    def observe(self, values: Sequence[float], step: int) -> None:
        """Take in new values of the watched name.

        Args:
            values: raw values of the watched component, one per transition, errors left out; or one reported metric.
            step: the reward clock at which they were seen.
        """

    @abstractmethod
    def rule(self) -> str:
        """Say in one sentence what moves the weight."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""


def settle_numbers(instance: object, *parameters: str) -> None:
    """Check that fields of a dataclass, frozen or not, are finite numbers, and keep them as plain floats.

    Raises:
        ParameterError: a field that is no number, NaN or infinite.
    """
    for parameter in parameters:
        object.__setattr__(instance, parameter, finite_number(parameter, getattr(instance, parameter)))


def settle_count(instance: object, parameter: str, minimum: int) -> None:
    """Check that a field of a dataclass is a whole number of `minimum` or more, and keep it as a plain int.

    Raises:
        ParameterError: a field that is not.
    """
    object.__setattr__(instance, parameter, whole_number(parameter, getattr(instance, parameter), minimum))
