"""The environment's own reward as a component."""

from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.transition import Transition


@register_reward()
class EnvReward(BaseReward):
    """The environment's own reward, unchanged.

    Example:
        >>> EnvReward()(Transition(env_reward=0.25))
        0.25
    """

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        return transition.env_reward
