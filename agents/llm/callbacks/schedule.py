"""Numbers of the algorithm that move while a run goes on."""

import math
from typing import TYPE_CHECKING, Literal

from rlenvs.agents.llm.callbacks.base import Callback, RunState, register_callback
from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import finite_number, whole_number

if TYPE_CHECKING:
    from rlenvs.agents.llm.config import TrainConfig

POSITIVE = ("clip_range", "clip_range_high")


@register_callback()
class ParameterSchedule(Callback):
    """Moves one number of the algorithm from one value to another.

    Iteration i of the run uses start + (end - start) * s((i - 1) / (iterations - 1)), and `end` from then on; s is the
    identity (`linear`), (1 - cos(pi x)) / 2 (`cosine`), or start * (end / start)^x is used instead (`exponential`).

    Only numbers that may change between two iterations without making anything measured before wrong can move. The
    learning rate has a schedule of its own (`ppo.lr_schedule`). The temperature has none: it is part of what the policy
    is, so that accuracies, KL and model of different temperatures would not be of the same thing.

    Args:
        parameter: a key of `ppo`.
        start: value in the first iteration.
        end: value from iteration `iterations` on.
        iterations: how long it takes, >= 1; None for the whole run.
        shape: how it goes there.

    Example:
        >>> schedule = ParameterSchedule("entropy_coef", start=0.01, end=0.0, iterations=5)
        >>> [round(schedule.value(iteration, planned=100), 4) for iteration in (1, 2, 3, 4, 5, 6)]
        [0.01, 0.0075, 0.005, 0.0025, 0.0, 0.0]
    """

    def __init__(
        self,
        parameter: Literal["entropy_coef", "kl_coef", "value_coef", "clip_range", "clip_range_high"],
        start: float,
        end: float,
        iterations: int | None = None,
        shape: Literal["linear", "cosine", "exponential"] = "linear",
    ) -> None:
        self.parameter = parameter
        self.start, self.end = finite_number("start", start), finite_number("end", end)
        self.iterations = None if iterations is None else whole_number("iterations", iterations, minimum=1)
        self.shape = shape
        needs_positive = parameter in POSITIVE or shape == "exponential"
        for name, number in (("start", self.start), ("end", self.end)):
            if number < 0 or (needs_positive and number == 0):
                raise ParameterError(name, f"must be {'>' if needs_positive else '>='} 0, got {number:g}")

    def check(self, config: "TrainConfig") -> None:
        """Refuse a coefficient that the run does not use, or that something else moves.

        Raises:
            ParameterError: says what to change.
        """
        ppo = config.ppo
        if self.parameter == "kl_coef" and ppo.kl_coef == 0.0:
            raise ParameterError("parameter", "'kl_coef' needs a reference model, which ppo.kl_coef 0 leaves out")
        if self.parameter == "kl_coef" and ppo.kl_target is not None:
            raise ParameterError("parameter", "'kl_coef' is moved by ppo.kl_target already: leave one of both out")
        if self.parameter == "value_coef" and not ppo.uses_critic:
            raise ParameterError("parameter", f"'value_coef': estimator {ppo.estimator!r} has no critic")

    def on_iteration_begin(self, state: RunState) -> None:
        """Set the value of this iteration."""
        value = self.value(state.iteration, state.config.ppo.iterations)
        state.trainer.learner.set_coefficients({self.parameter: value})

    def on_update_end(self, state: RunState) -> None:
        """Log it."""
        state.metrics[f"schedule/{self.parameter}"] = self.value(state.iteration, state.config.ppo.iterations)

    def value(self, iteration: int, planned: int) -> float:
        """Return the value of an iteration.

        Args:
            iteration: from 1.
            planned: iterations of the whole run.
        """
        length = planned if self.iterations is None else self.iterations
        if iteration >= length:
            return self.end
        done = (iteration - 1) / (length - 1)
        if self.shape == "exponential":
            return float(self.start * (self.end / self.start) ** done)
        share = (1.0 - math.cos(math.pi * done)) / 2.0 if self.shape == "cosine" else done
        return self.start + (self.end - self.start) * share
