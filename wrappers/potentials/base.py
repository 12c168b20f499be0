"""Potential-based shaping: dense guidance that leaves the optimal policy alone.

F = gamma * w(t') * Phi(s') - w(t) * Phi(s), with Phi(s') = 0 after `terminated` and kept after `truncated`.
The weight is part of the potential (Devlin & Kudenko 2012, "Dynamic potential-based reward shaping"), so a schedule
keeps the optimal policy too; a terminal potential that is not zero would not (Grzes 2017, "Reward shaping in
episodic reinforcement learning"). Ng, Harada & Russell 1999 prove the constant case.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import numpy as np

from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.base import FloatArray
from rlenvs.wrappers.infos import number_in
from rlenvs.wrappers.parameters import finite_number
from rlenvs.wrappers.registry import Registry
from rlenvs.wrappers.transition import RewardState
from rlenvs.wrappers.transition_batch import StateBatch

PotentialClass = TypeVar("PotentialClass", bound="type[Potential]")


class Potential(ABC):
    """Phi: how promising a state is. Must depend on the state alone."""

    @abstractmethod
    def __call__(self, state: RewardState) -> float:
        """Return Phi(state), finite."""

    def batch(self, states: Sequence[RewardState]) -> FloatArray:
        """Return Phi of N states, `[N]`."""
        return np.array([self(state) for state in states], dtype=np.float64)


potential_registry: Registry[Potential] = Registry("potential function")


def register_potential(name: str) -> Callable[[PotentialClass], PotentialClass]:
    """Register a `Potential` subclass under the name that configurations use.

    Example:
        >>> @register_potential("prompt_length")
        ... class PromptLength(Potential):
        ...     def __call__(self, state: RewardState) -> float:
        ...         return -0.01 * len(state.prompt)
        >>> potential_class("prompt_length") is PromptLength
        True
    """
    return potential_registry.decorator(name)


def potential_class(name: str) -> type[Potential]:
    """Return the potential registered under `name`.

    Raises:
        ConfigError: no such potential.
    """
    return potential_registry.get(name)


@register_potential("info")
class InfoPotential(Potential):
    """Phi(s) = scale * info[info_key].

    Args:
        info_key: key of a number in the `info` that comes with the state.
        scale: factor, finite; negative where a larger number means a worse state.

    Raises:
        ParameterError: the scale is not finite.

    Example:
        >>> InfoPotential("difficulty", scale=-2.0)(RewardState(info={"difficulty": 0.25}))
        -0.5
    """

    def __init__(self, info_key: str, scale: float = 1.0) -> None:
        self.info_key = info_key
        self.scale = finite_number("scale", scale)

    def __call__(self, state: RewardState) -> float:
        """Return Phi(state).

        Raises:
            KeyError: the environment's info lacks the key.
        """
        return self.scale * number_in(state.info, self.info_key)

    def batch(self, states: Sequence[RewardState]) -> FloatArray:
        """Return Phi of N states, `[N]`."""
        values: FloatArray = StateBatch.of(states).infos.numbers(self.info_key) * self.scale
        return values


@register_potential("progress")
class ProgressPotential(InfoPotential):
    """Phi(s) = scale * info["progress"], the share of the task that is done, in [0, 1].

    Example:
        >>> ProgressPotential()(RewardState(info={"progress": 0.5}))
        0.5
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__("progress", scale)


class PotentialTerm:
    """A potential with the discount of the agent that learns from it.

    Args:
        potential: Phi.
        gamma: the agent's own discount factor, in [0, 1]; a trainer refuses one that differs from its own.
        level: `step` takes Phi in every state. `turn` takes it where a message ends and keeps it in between, so that
            a potential of turns works at token level: there the interior tokens get F = (gamma - 1) * Phi.
        gamma_unit: what one factor gamma stands for. `step`: one environment step. `token`: one token, for a learner
            that discounts tokens while an environment step is a whole message of m tokens: F = gamma * Phi(s') -
            gamma^-(m-1) * Phi(s), which paid on the last token is what m single tokens would have got. m is
            `info["response_tokens"]`.

    Raises:
        ParameterError: a value out of range.

    Example:
        >>> term = PotentialTerm(ProgressPotential(), gamma=0.5)
        >>> before, after = RewardState(info={"progress": 0.25}), RewardState(info={"progress": 1.0})
        >>> term.gamma * term.potential(after) - term.potential(before)
        0.25
    """

    def __init__(
        self,
        potential: Potential,
        gamma: float = 1.0,
        level: Literal["step", "turn"] = "step",
        gamma_unit: Literal["step", "token"] = "step",
    ) -> None:
        if not 0.0 <= finite_number("gamma", gamma) <= 1.0:
            raise ParameterError("gamma", f"must lie in [0, 1], got {gamma}")
        if level not in ("step", "turn"):
            raise ParameterError("level", f"must be 'step' or 'turn', got {level!r}")
        if gamma_unit not in ("step", "token"):
            raise ParameterError("gamma_unit", f"must be 'step' or 'token', got {gamma_unit!r}")
        if gamma_unit == "token" and gamma == 0.0:
            raise ParameterError("gamma", "must be > 0 where it counts tokens, got 0.0")
        self.potential = potential
        self.gamma = gamma
        self.level = level
        self.gamma_unit = gamma_unit

    def turn_discount(self, info: Mapping[str, Any]) -> float:
        """Return gamma^-(m-1), the factor of Phi(s) in a step of m tokens; 1 where gamma counts steps.

        Raises:
            KeyError: gamma counts tokens and nobody counted those of the message.
        """
        if self.gamma_unit == "step" or self.gamma == 1.0:
            return 1.0
        return float(self.gamma ** (1.0 - number_in(info, "response_tokens")))


class LLMPotentialBasedReward(PotentialTerm):
    """A potential as a configuration names it, among the components but outside the weighted sum.

    Args:
        potential_function: registered name of the potential ("progress", "info", ...).
        gamma: as in `PotentialTerm`, like the last two.
        potential_params: parameters of the potential.
        level: `step` or `turn`.
        gamma_unit: `step` or `token`.

    Raises:
        ConfigError: unknown potential, parameters it does not take, or a value out of range.

    Example:
        >>> LLMPotentialBasedReward("progress", gamma=0.99).potential(RewardState(info={"progress": 0.25}))
        0.25
    """

    def __init__(
        self,
        potential_function: str,
        gamma: float = 1.0,
        potential_params: Mapping[str, Any] | None = None,
        level: Literal["step", "turn"] = "step",
        gamma_unit: Literal["step", "token"] = "step",
    ) -> None:
        self.potential_function = potential_function
        try:
            potential = potential_class(potential_function)(**(potential_params or {}))
        except TypeError as error:
            raise ConfigError(f"potential function {potential_function!r}: {error}") from error
        super().__init__(potential, gamma, level, gamma_unit)
