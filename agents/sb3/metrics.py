"""What Stable-Baselines3 logs, under the names that the metrics of all runs have."""

import math
from collections.abc import Mapping

RENAMED = {
    "train/policy_gradient_loss": ("policy_loss", 1.0),
    "train/entropy_loss": ("entropy", -1.0),
    "train/n_updates": ("updates", 1.0),
}
"""Key -> name and factor; all other keys lose what stands before the slash."""

OWNERS = ("train/", "rollout/")
LEFT_OUT = ("rollout/ep_rew_mean", "rollout/ep_len_mean", "rollout/success_rate")
"""Means over the last episodes, which are there as means over the iteration."""


def run_metrics(logged: Mapping[str, object]) -> dict[str, float]:
    """Return the metrics of a run from what is in a logger of Stable-Baselines3.

    Example:
        >>> run_metrics({"train/entropy_loss": -0.5, "train/value_loss": 2.0, "return/true": 1.0})
        {'entropy': 0.5, 'value_loss': 2.0, 'return/true': 1.0}
    """
    found: dict[str, float] = {}
    for key, value in logged.items():
        number = _number(value)
        if number is None or key.startswith("time/") or key in LEFT_OUT:
            continue
        name, factor = RENAMED.get(key, (key, 1.0))
        for owner in OWNERS:
            name = name.removeprefix(owner)
        found[name] = factor * number
    return found


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]  # NumPy's numbers among them
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
