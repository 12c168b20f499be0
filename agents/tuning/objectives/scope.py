"""What a study may tune: not what it is measured by."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rlenvs.config_source import KeyPath
from rlenvs.errors import ConfigError

if TYPE_CHECKING:
    from rlenvs.agents.tuning.space import SearchSpace

__all__ = ["check_scope"]

SET_BY_TRIALS = {
    ("seed",): "every trial trains with the objective's seeds",
    ("name",): "it names run folders",
    ("output",): "it is set by the study",
}
MEASURES = {
    ("env", "id"): "another task is another measure",
    ("env", "kwargs"): "an easier task looks like a better reward",
    ("evaluation",): "it decides what is measured",
}


def check_scope(kind: str, base: Mapping[str, Any], space: "SearchSpace", metrics: Sequence[str], force: bool) -> None:
    """Refuse a base of another kind, and a space that tunes what the study is measured by.

    Args:
        kind: of the objective, `sb3` or `llm`.
        base: plain data of the configuration that the study begins with.
        space: what is tuned.
        metrics: what the study goes by.
        force: whether what misleads is allowed; what has no effect is not.

    Raises:
        ConfigError: one line that says which place, why, and what instead.
    """
    is_sb3 = "algorithm" in base
    if "env" not in base or is_sb3 != (kind == "sb3") or (kind == "llm" and "rewards" not in base):
        wanted = "a run of Stable-Baselines3 (env, algorithm)" if kind == "sb3" else "a PPO run (env, rewards)"
        raise ConfigError(f"objective.kind: {kind!r} trains {wanted}, which the base is not")
    for leaf in space.leaves:
        where = ".".join(map(str, leaf.path))
        for place, reason in (SET_BY_TRIALS | ({} if force else MEASURES)).items():
            if overlaps(leaf.path, place):
                hint = "" if place in SET_BY_TRIALS else ", or set objective.force: true"
                raise ConfigError(f"search space at {where!r}: {reason}; leave it out{hint}")
    for metric in metrics:
        if metric.startswith("held_out/"):
            _check_component(metric.split("/")[1], metric, base, space, force)


def _check_component(name: str, metric: str, base: Mapping[str, Any], space: "SearchSpace", force: bool) -> None:
    """Refuse a component as a measure that is not evaluated, or that the space changes; its weight may change."""
    evaluated = (base.get("evaluation") or {}).get("components", [])
    if name not in evaluated:
        raise ConfigError(
            f"metric {metric!r}: add {name!r} to evaluation.components of the base, or it is not measured"
        )
    for leaf in () if force else space.leaves:
        defined = overlaps(leaf.path, ("rewards", "reward_components", name))
        entry = ("rewards", "reward_shaping", name)
        rest = leaf.path[len(entry) :]
        in_guide = overlaps(leaf.path, entry) and (not rest or rest[0] in ("class", "params"))
        if defined or (in_guide and "reward_components" not in (base.get("rewards") or {})):
            raise ConfigError(
                f"search space at {'.'.join(map(str, leaf.path))!r}: it changes what {metric!r} means; tune the weight "
                "of that component only, or set objective.force: true"
            )


def overlaps(path: KeyPath, place: KeyPath) -> bool:
    """Return whether one of two places lies in the other.

    Example:
        >>> overlaps(("env",), ("env", "kwargs")), overlaps(("env", "num_envs"), ("env", "kwargs"))
        (True, False)
    """
    length = min(len(path), len(place))
    return path[:length] == place[:length]
