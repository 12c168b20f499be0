"""Finding the metric that a callback watches."""

from rlenvs.agents.llm.callbacks.base import RunState
from rlenvs.errors import ConfigError
from rlenvs.suggestions import did_you_mean


def value_of(metric: str, state: RunState) -> float | None:
    """Return a metric of the iteration at hand; None before training, when few metrics exist.

    Raises:
        ConfigError: there is no metric of that name.
    """
    value = state.metrics.get(metric)
    if value is None and state.iteration > 0:
        known = sorted(state.metrics)
        raise ConfigError(f"there is no metric {metric!r}{did_you_mean(metric, known)} (known: {', '.join(known)})")
    return value
