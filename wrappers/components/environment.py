"""What the environment says of a step: its own reward, numbers in its info, whether the goal was reached."""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from rlenvs.errors import ParameterError
from rlenvs.wrappers.base import BaseReward, FloatArray
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.infos import number_in
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.transition import Transition
from rlenvs.wrappers.transition_batch import TransitionBatch


@register_reward()
class EnvReward(BaseReward):
    """The environment's own reward, unchanged.

    Range: that of the environment.

    Example:
        >>> EnvReward()(Transition(env_reward=0.25))
        0.25
    """

    is_task: ClassVar[bool] = True
    effect: ClassVar[str] = "what the environment itself rewards"

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        return transition.env_reward

    def batch(self, transitions: Sequence[Transition]) -> FloatArray:
        """Score N transitions."""
        return TransitionBatch.of(transitions).env_rewards


@register_reward()
class InfoValueReward(BaseReward):
    """scale * info[info_key], a number that the environment, a preference model or the trainer has put there.

    Args:
        info_key: key of a number in the step's `info`.
        default_value: taken where a step has no such key; None makes that an error of the component.
        scale: factor, finite.

    Range: that of the number, times scale.

    Raises:
        ParameterError: a number that is not finite, or an empty key.

    Example:
        >>> reward = InfoValueReward("preference_score", default_value=0.0)
        >>> reward(Transition(info={"preference_score": 1.5})), reward(Transition())
        (1.5, 0.0)
    """

    effect: ClassVar[str] = "whatever raises the number in info"

    def __init__(self, info_key: str, default_value: float | None = None, scale: float = 1.0) -> None:
        if not info_key:
            raise ParameterError("info_key", "must name a key of the step's info, got ''")
        self.info_key = info_key
        self.default_value = None if default_value is None else finite_number("default_value", default_value)
        self.scale = finite_number("scale", scale)

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            KeyError: info has no such key and there is no default.
        """
        value = transition.info.get(self.info_key)
        if type(value) is float:  # the usual case, without a call: this runs in every step
            return self.scale * value
        return self.scale * number_in(transition.info, self.info_key, self.default_value)

    def batch(self, transitions: Sequence[Transition]) -> FloatArray:
        """Score N transitions."""
        return TransitionBatch.of(transitions).infos.numbers(self.info_key, self.default_value) * self.scale


@register_reward()
class PreferenceScoreReward(InfoValueReward):
    """The score that a preference model has put into info: scale * info["preference_score"].

    Args:
        info_key: key of the score.
        default_value: taken where a step has none; None makes that an error of the component.
        scale: factor, finite.

    Range: that of the preference model, times scale.

    Example:
        >>> PreferenceScoreReward()(Transition(info={"preference_score": 0.75}))
        0.75
    """

    effect: ClassVar[str] = "whatever the preference model likes, its mistakes included"

    def __init__(
        self, info_key: str = "preference_score", default_value: float | None = None, scale: float = 1.0
    ) -> None:
        super().__init__(info_key, default_value, scale)


@register_reward()
class ReasoningScoreReward(InfoValueReward):
    """The score of the reasoning that an evaluator has put into info: scale * info["reasoning_eval_score"].

    Args:
        info_key: key of the score.
        default_value: taken where a step has none; None makes that an error of the component.
        scale: factor, finite.

    Range: that of the evaluator, times scale.

    Example:
        >>> ReasoningScoreReward()(Transition(info={"reasoning_eval_score": 0.5}))
        0.5
    """

    effect: ClassVar[str] = "whatever the evaluator of the reasoning likes, its mistakes included"

    def __init__(
        self, info_key: str = "reasoning_eval_score", default_value: float | None = None, scale: float = 1.0
    ) -> None:
        super().__init__(info_key, default_value, scale)


@register_reward()
class GoalReward(BaseReward):
    """`target_reward` on the step that reaches the goal, else 0.

    The goal is reached where `info[goal_key]` is true; without that key, where the step terminates the episode with a
    positive reward of the environment, as FrozenLake does.

    Args:
        target_reward: reward of reaching it, finite.
        goal_key: key of a boolean in the step's `info`.

    Range: {0, target_reward}.

    Raises:
        ParameterError: a reward that is not finite.

    Example:
        >>> goal = GoalReward(target_reward=5.0)
        >>> goal(Transition(env_reward=1.0, terminated=True)), goal(Transition(info={"goal_reached": False}))
        (5.0, 0.0)
    """

    is_task: ClassVar[bool] = True
    effect: ClassVar[str] = "reaching the goal"

    def __init__(self, target_reward: float = 1.0, goal_key: str = "goal_reached") -> None:
        self.target_reward = finite_number("target_reward", target_reward)
        self.goal_key = goal_key

    def __call__(self, transition: Transition) -> float:
        """Score one transition.

        Raises:
            TypeError: `info[goal_key]` is neither a boolean nor a number.
            ValueError: it is a text.
        """
        reached: object = transition.info.get(self.goal_key)
        if type(reached) is not bool:  # as `batch` reads it: NaN and None say nothing, what is no number is an error
            told = math.nan if reached is None else number_in(transition.info, self.goal_key)
            reached = transition.terminated and transition.env_reward > 0 if told != told else told != 0.0
        return self.target_reward if reached else 0.0

    def batch(self, transitions: Sequence[Transition]) -> FloatArray:
        """Score N transitions."""
        batch = TransitionBatch.of(transitions)
        implied = batch.terminated & (batch.env_rewards > 0)
        told = batch.infos.numbers(self.goal_key, math.nan)
        rewards: FloatArray = np.where(np.isnan(told), implied, told != 0.0) * self.target_reward
        return rewards


@register_reward()
class StepPenalty(BaseReward):
    """`penalty` on every step.

    Args:
        penalty: added per step, <= 0 and finite.

    Range: {penalty}.

    Raises:
        ParameterError: a positive penalty.

    Example:
        >>> StepPenalty(-0.05)(Transition())
        -0.05
    """

    effect: ClassVar[str] = "ending the episode sooner"

    def __init__(self, penalty: float = -0.01) -> None:
        if finite_number("penalty", penalty) > 0:
            raise ParameterError("penalty", f"must be <= 0, got {penalty}")
        self.penalty = float(penalty)

    def __call__(self, transition: Transition) -> float:
        """Score one transition."""
        return self.penalty

    def batch(self, transitions: Sequence[Transition]) -> FloatArray:
        """Score N transitions."""
        return np.full(len(transitions), self.penalty)
