"""The registry of reward components."""

from collections.abc import Callable
from typing import TypeVar

from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.registry import Registry

RewardClass = TypeVar("RewardClass", bound=type[BaseReward])

component_registry: Registry[BaseReward] = Registry("reward component")


def register_reward(name: str | None = None) -> Callable[[RewardClass], RewardClass]:
    """Register a `BaseReward` subclass, so that `class:` in a configuration finds it.

    Args:
        name: the name in configurations; the class's own name when omitted.

    Example:
        >>> from rlenvs.wrappers import Transition
        >>> @register_reward()
        ... class ExclamationPenalty(BaseReward):
        ...     def __call__(self, transition: Transition) -> float:
        ...         return -0.1 * transition.response.count("!")
        >>> component_registry.get("ExclamationPenalty") is ExclamationPenalty
        True
    """
    return component_registry.decorator(name)
