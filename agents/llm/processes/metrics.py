"""What the processes measured during their rollouts, as one run."""

from collections.abc import Callable, Mapping, Sequence

SUMS = ("rollout/episodes", "rollout/dropped_groups")
HIGHEST = ("rollout/refills", "time/")  # the others wait for the slowest


def join_rollout_metrics(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the metrics of the rollouts of all processes together.

    Counts add up, of times and rounds the highest counts, and shares are means over all episodes.

    Args:
        parts: what each process measured; all have the same keys.

    Example:
        >>> parts = [{"rollout/episodes": 3.0, "rollout/cut": 1.0}, {"rollout/episodes": 1.0, "rollout/cut": 0.0}]
        >>> join_rollout_metrics(parts)
        {'rollout/episodes': 4.0, 'rollout/cut': 0.75}
    """
    if len(parts) == 1:
        return dict(parts[0])
    weights = [part.get("rollout/episodes", 1.0) for part in parts]

    def mean(values: Sequence[float]) -> float:
        return sum(value * weight for value, weight in zip(values, weights, strict=True)) / max(sum(weights), 1.0)

    joined = {}
    for key in parts[0]:
        how: Callable[[Sequence[float]], float] = mean
        if key in SUMS:
            how = sum
        elif key.startswith(HIGHEST):
            how = max
        joined[key] = how([part[key] for part in parts])
    return joined
