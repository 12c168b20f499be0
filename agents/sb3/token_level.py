"""Which environments Stable-Baselines3 can act in, and what to say of the others."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from rlenvs.errors import UserError, WrapperOrderError
from rlenvs.registration import ENVIRONMENTS


def token_level_id(env_id: str) -> str | None:
    """Return the id that plays the same episodes token by token; None for ids that are not of the turn level here.

    Example:
        >>> token_level_id("rlenvs/MathSteps-v0"), token_level_id("rlenvs/MathStepsTokens-v0")
        ('rlenvs/MathStepsTokens-v0', None)
    """
    name = env_id.rpartition(":")[2]
    if not any(row.id == name and row.level == "turn" for row in ENVIRONMENTS):
        return None
    stem, _, version = name.rpartition("-")
    return f"{stem}Tokens-{version}"


def check_id(env_id: str) -> None:
    """Refuse an id of the turn level.

    Raises:
        UserError: it is; the message names the id of the token level.
    """
    other = token_level_id(env_id)
    if other is not None:
        raise UserError(f"{env_id} acts in whole messages, and Stable-Baselines3 in token ids: use {other}")


def check_spaces(env: Any) -> None:
    """Refuse an environment whose actions are no token ids.

    Args:
        env: an environment, vector environment or `VecEnv`, wrapped or not.

    Raises:
        UserError: it acts in texts or anything else; the message names the id of the token level where there is one.
    """
    space = getattr(env, "single_action_space", None) or env.action_space
    if isinstance(space, gym.spaces.Discrete):
        return
    spec = getattr(env, "spec", None)
    if spec is not None:
        check_id(spec.id)
    raise UserError(
        f"Stable-Baselines3 acts in token ids (Discrete), this environment in {type(space).__name__}: use an id of the "
        "token level (...Tokens-v0), or put a TextEnv of your own into rlenvs.envs.TokenEnv"
    )


def check_vector_env(envs: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return a vector environment that can be adapted.

    Raises:
        UserError: it is no vector environment, or not of the token level.
        WrapperOrderError: it resets itself in another way than Stable-Baselines3 expects.
    """
    if not isinstance(envs, gym.vector.VectorEnv):
        kind = type(envs).__name__
        if hasattr(envs, "env_method"):
            raise UserError(f"{kind} is a VecEnv of Stable-Baselines3 already: give it to the algorithm as it is")
        raise UserError(
            f"VectorEnvAdapter adapts a vector environment, this is {kind}: make one with "
            "rlenvs.agents.sb3.make_vec_env(id, num_envs) or gym.make_vec(id, num_envs)"
        )
    check_spaces(envs)
    mode = envs.metadata.get("autoreset_mode")
    if mode is not AutoresetMode.SAME_STEP:
        name = getattr(mode, "name", mode)
        raise WrapperOrderError(
            f"autoreset mode {name}: Stable-Baselines3 takes the observation after an end for the first of the next "
            "episode; make the vector environment with autoreset_mode='SameStep'"
        )
    return envs
