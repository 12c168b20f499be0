"""Finding the metric that a callback watches."""

from rlenvs.agents.llm.callbacks.base import RunState
from rlenvs.errors import ConfigError
from rlenvs.suggestions import did_you_mean

MEASURED = ("accuracy/", "return/", "held_out/")
"""What evaluations measure, so that these metrics are there from the first one on, before training."""

LATER = ("accuracy/train", "accuracy/first")
"""What may come later all the same: of the rollouts, and of episodes that turn out to have several turns."""


def value_of(metric: str, state: RunState) -> float | None:
    """Return a metric of the iteration at hand; None before training, where it is none of an evaluation.

    Raises:
        ConfigError: there is no metric of that name.
    """
    value = state.metrics.get(metric)
    measured = metric.startswith(MEASURED) and not metric.startswith(LATER)
    if value is None and (state.iteration > 0 or (measured and "accuracy/problems" in state.metrics)):
        known = sorted(state.metrics)
        raise ConfigError(f"there is no metric {metric!r}{did_you_mean(metric, known)} (known: {', '.join(known)})")
    return value
