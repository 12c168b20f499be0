"""Stacks of wrappers that Stable-Baselines3 would run without a word, and that do not do what they say."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorRewardWrapper
from gymnasium.wrappers import NormalizeReward
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecMonitor, VecNormalize

from rlenvs.agents.sb3.token_level import check_id, check_spaces
from rlenvs.agents.sb3.vec_env import VectorEnvAdapter
from rlenvs.errors import ConfigError, WrapperOrderError
from rlenvs.wrappers.layers import RewardLayer, VectorRewardLayer
from rlenvs.wrappers.layers.facts import RewardFacts

INSIDE = (
    "put Monitor inside: make_vec_env(..., wrapper_class=ShapedReward) of Stable-Baselines3 does, and so does "
    "rlenvs.agents.sb3.make_vec_env(..., rewards=...)"
)


def check_stack(env: Any, gamma: float | None = None, *, clock_driven: bool = False) -> None:
    """Refuse environments and stacks of wrappers that Stable-Baselines3 accepts and that do not do what they say.

    * an environment of the turn level: its actions are texts;
    * `Monitor` or `VecMonitor` outside the reward layer: the logged return would be the shaped one;
    * a wrapper that changes rewards outside a layer with potentials, `VecNormalize(norm_reward=True)` among them: a
      potential that is scaled or clipped while training goes on no longer leaves the optimal policy alone;
    * `VecNormalize(norm_obs=True)`: token ids are no quantities, and an embedding reads what is left of them;
    * a potential whose gamma is not that of the algorithm, or counts the tokens of whole messages;
    * schedules in several environments whose clocks nobody sets: each counts its own steps, N times too slowly.

    Args:
        env: an id, an environment, a vector environment, or the `VecEnv` that the algorithm gets (`model.get_env()`).
        gamma: the algorithm's discount factor; None to leave potentials alone.
        clock_driven: whether a `RewardScheduleCallback` sets the clocks.

    Raises:
        UserError: the environment.
        WrapperOrderError: the order of the wrappers.
        ConfigError: a gamma, or a clock.

    Example:
        >>> from rlenvs.agents.sb3 import make_vec_env
        >>> guide = {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": 0.9}}
        >>> envs = make_vec_env("rlenvs/ArithmeticTokens-v0", rewards={"reward_components": {"guide": guide}})
        >>> check_stack(envs, gamma=0.9)
        >>> try:
        ...     check_stack(envs, gamma=0.99)
        ... except ConfigError as error:
        ...     print(str(error)[:52])
        potential 'guide' has gamma 0.9, the algorithm 0.99:
    """
    if isinstance(env, str):
        check_id(env)
        return
    check_spaces(env)
    outer, inner = unwrapped(env)
    facts = reward_facts(inner)
    check_observations(outer, inner)
    if facts is None:
        return
    check_order(outer, wrapper_names(inner), facts)
    if gamma is not None:
        check_gammas(facts, gamma)
    check_clock(inner, facts, clock_driven)


def unwrapped(env: Any) -> tuple[list[VecEnvWrapper], Any]:
    """Return the wrappers of Stable-Baselines3 around an environment, from the outside in, and what is in them."""
    outer: list[VecEnvWrapper] = []
    while isinstance(env, VecEnvWrapper):
        outer.append(env)
        env = env.venv
    return outer, env


def reward_facts(env: Any) -> RewardFacts | None:
    """Return what the reward layer in an environment has to say; None where there is none."""
    if isinstance(env, VecEnv):
        layered = isinstance(env, VectorEnvAdapter) and env.layer is not None
        if not layered and not env.env_is_wrapped(RewardLayer)[0]:
            return None
        facts: RewardFacts = env.env_method("reward_facts")[0]
        return facts
    while isinstance(env, gym.Wrapper | gym.vector.VectorWrapper):
        if isinstance(env, RewardLayer | VectorRewardLayer):
            return env.reward_facts()
        env = env.env
    return None


def wrapper_names(env: Any) -> list[str]:
    """Return the class names of the wrappers around an environment, from the outside in, in whatever process it is.

    Example:
        >>> wrapper_names(gym.make("rlenvs/ArithmeticTokens-v0"))[:2]
        ['OrderEnforcing', 'PassiveEnvChecker']
    """
    text = str(env.env_method("__str__", indices=None)[0]) if isinstance(env, VecEnv) else str(env)
    return re.findall(r"<(\w+)", text)


def subclass_names(*classes: type[Any]) -> set[str]:
    """Return the names of classes and of all that is derived from them."""

    def derived(cls: type[Any]) -> Iterator[type[Any]]:
        yield cls
        for child in cls.__subclasses__():
            yield from derived(child)

    return {found.__name__ for cls in classes for found in derived(cls)}


def check_observations(outer: Sequence[VecEnvWrapper], env: Any) -> None:
    """Refuse to normalise token ids.

    Raises:
        WrapperOrderError: a wrapper does.
    """
    space = getattr(env, "single_observation_space", None) or env.observation_space
    ids = isinstance(space, gym.spaces.Box) and np.issubdtype(space.dtype, np.integer)
    if ids and any(isinstance(wrapper, VecNormalize) and wrapper.norm_obs for wrapper in outer):
        raise WrapperOrderError(
            "VecNormalize(norm_obs=True) scales token ids, which are names and not quantities: pass norm_obs=False and "
            "let a features extractor embed them"
        )


def check_order(outer: Sequence[VecEnvWrapper], names: Sequence[str], facts: RewardFacts) -> None:
    """Refuse wrappers that belong inside the reward layer, or nowhere near it.

    Raises:
        WrapperOrderError: there is one.
    """
    own = subclass_names(RewardLayer, VectorRewardLayer)
    outside = list(names[: next(place for place, name in enumerate(names) if name in own)])
    if any(isinstance(wrapper, VecMonitor) for wrapper in outer):
        outside.insert(0, VecMonitor.__name__)
    monitors = [name for name in outside if name in ("Monitor", "VecMonitor")]
    if monitors:
        raise WrapperOrderError(
            f"{monitors[0]} is outside the reward layer, so ep_rew_mean and evaluate_policy would report the shaped "
            f"return as if it were the task's: {INSIDE}"
        )
    if not facts.potential_gammas:
        return
    changing = subclass_names(gym.RewardWrapper, VectorRewardWrapper, NormalizeReward) & set(outside)
    if any(isinstance(wrapper, VecNormalize) and wrapper.norm_reward for wrapper in outer):
        changing.add("VecNormalize(norm_reward=True)")
    if changing:
        raise WrapperOrderError(
            f"{min(changing)} is outside the potential {next(iter(facts.potential_gammas))!r}: a potential that is "
            "scaled or clipped no longer leaves the optimal policy alone; normalise components in the reward's own "
            "configuration (composer_settings), which leaves potentials out"
        )


def check_gammas(facts: RewardFacts, gamma: float) -> None:
    """Refuse a potential with another discount than the algorithm's.

    Raises:
        ConfigError: there is one.
    """
    for name, its_own in facts.potential_gammas.items():
        if its_own != gamma:
            raise ConfigError(
                f"potential {name!r} has gamma {its_own}, the algorithm {gamma}: shaping keeps the optimal policy only "
                "where both are equal"
            )
        if gamma != 1.0 and name in facts.token_units:
            raise ConfigError(
                f"potential {name!r} has gamma_unit 'token', for learners whose steps are whole messages: here a "
                "step is a token, use gamma_unit 'step'"
            )


def check_clock(env: Any, facts: RewardFacts, clock_driven: bool) -> None:
    """Refuse weights that move with clocks of their own.

    Raises:
        ConfigError: several environments count their steps, each for itself.
    """
    alone = not isinstance(env, VecEnv) or isinstance(env, VectorEnvAdapter) or env.num_envs == 1
    if facts.moving and not (alone or clock_driven or facts.clock_driven):
        raise ConfigError(
            f"the weight of {facts.moving[0]!r} moves with the reward clock, and each of the {env.num_envs} "
            "environments counts only its own steps: add RewardScheduleCallback, which sets all clocks to the "
            "algorithm's timesteps"
        )
