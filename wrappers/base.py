"""The contract of a reward component: how a value, its status and its failures are told apart."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers.transition import Transition

FloatArray = npt.NDArray[np.float64]
StatusArray = npt.NDArray[np.str_]

OK, INVALID, TIMEOUT, ERROR = "ok", "invalid", "timeout", "error"
STATUSES = (OK, INVALID, TIMEOUT, ERROR)
STATUS_DTYPE = np.dtype("<U7")


class Score(NamedTuple):
    """One value of a component and how it came about.

    Attributes:
        value: the reward, any finite number.
        status: `ok`; `invalid` or `timeout` where the judged text provoked it (the value stands and counts);
            `error` where the text cannot have provoked it (the component's `on_error` policy decides).
    """

    value: float
    status: str = OK


class BaseReward(ABC):
    """One named source of reward.

    Subclasses take plain parameters (numbers, strings, lists, mappings), so that a configuration can hold them, and
    implement `__call__` for one transition, or override `batch` where scoring many at once is cheaper. An exception
    or a non-finite value means that the component failed, never that the answer is bad: a bad answer is a `Score`
    with status `invalid` or `timeout`.

    Attributes:
        is_task: whether this is the task's own reward. Everything else can change which policy is optimal.
        effect: what the component makes a policy prefer, as the end of the sentence "a policy can gain by ...".

    Example:
        >>> class Politeness(BaseReward):
        ...     def __init__(self, word: str = "please") -> None:
        ...         self.word = word
        ...
        ...     def __call__(self, transition: Transition) -> float:
        ...         return float(self.word in transition.response)
        >>> Politeness()(Transition(response="please wait"))
        1.0
    """

    is_task: ClassVar[bool] = False
    effect: ClassVar[str] = "whatever it rewards"

    @abstractmethod
    def __call__(self, transition: Transition) -> float | Score:
        """Score one transition."""

    def batch(self, transitions: Sequence[Transition]) -> Iterable[float | Score]:
        """Score N transitions; returns N values in the same order."""
        return [self(transition) for transition in transitions]

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Release processes and connections; a later call may take them anew. Called when an environment closes."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs; stateless components return an empty dict.

        Plain data only, because checkpoints hold nothing else: None, bool, int, float, str, list, and dict with str
        keys. NumPy numbers and arrays are not plain: use `float(x)`, `int(x)` and `x.tolist()`.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state but was given {sorted(state)}")
