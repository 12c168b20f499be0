"""Environments by their ids, and the problems behind them."""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.errors import ConfigError, UserError
from rlenvs.problems import Problem, ProblemSource
from rlenvs.problems.grading import FREE_TEXT_TYPES

UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
"""How Python names an argument that a constructor does not take."""


def make_env(env_id: str, env_kwargs: Mapping[str, Any]) -> "gym.Env[Any, Any]":
    """Return a turn-level environment.

    Raises:
        ConfigError: no such environment, or parameters it refuses; the message names the key.
    """
    with naming_the_key(env_id, env_kwargs):
        env: gym.Env[Any, Any] = gym.make(env_id, **env_kwargs)
    return env


def problem_source(env_id: str, env_kwargs: Mapping[str, Any]) -> ProblemSource:
    """Return the source of problems behind an environment of either level.

    Raises:
        ConfigError: no such environment, parameters it refuses, or an environment without a problem source.
    """
    env = make_env(env_id, env_kwargs)
    turns = getattr(env.unwrapped, "base", env.unwrapped)  # the token level sees a turn-level environment
    source = getattr(turns, "source", None)
    env.close()
    if not isinstance(source, ProblemSource):
        raise ConfigError(f"env.id {env_id!r} has no problem source to train or evaluate on; `rlenvs envs` lists ids")
    return source


def make_vector_env(env_id: str, env_kwargs: Mapping[str, Any], num_envs: int) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Return the vector form of an environment of texts or tokens, autoreset mode DISABLED.

    Raises:
        ConfigError: no such environment, or parameters it refuses; the message names the key.
    """
    with naming_the_key(env_id, env_kwargs):
        envs: gym.vector.VectorEnv[Any, Any, Any] = gym.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="vector_entry_point",
            autoreset_mode="Disabled",
            **env_kwargs,
        )
    return envs


@contextlib.contextmanager
def naming_the_key(env_id: str, env_kwargs: Mapping[str, Any]) -> Iterator[None]:
    """Turn what Gymnasium and the environments raise at construction into an error about `env.id` or `env.kwargs`.

    Args:
        env_id: the environment.
        env_kwargs: its parameters.
    """
    try:
        yield
    except UserError as error:
        raise ConfigError(f"env.kwargs: {error}") from error
    except (gym.error.Error, TypeError, ImportError) as error:
        problem = str(error).splitlines()[0]
        argument = UNEXPECTED.search(problem)
        if argument is not None and argument[1] in env_kwargs:
            raise ConfigError(f"env.kwargs.{argument[1]}: env.id {env_id!r} has no such parameter") from error
        if argument is not None or "vector entry point" in problem:
            problem = (
                f"training needs a vector form of texts, which this one does not have ({problem.rstrip('.')}); "
                "`rlenvs envs` lists ids, docs/environments.md has one of your own"
            )
        raise ConfigError(f"env.id {env_id!r}: {problem}") from error


def held_out_problems(env_id: str, env_kwargs: Mapping[str, Any], limit: int, seed: int) -> list[Problem]:
    """Return `limit` held-out problems of an environment, or all there are when they are about as many.

    A split of a space that can be listed is used whole when it is no more than a tenth larger than asked: there is
    no reason to leave a remnant out.
    """
    kwargs = {key: value for key, value in env_kwargs.items() if key != "split"}
    source = problem_source(env_id, kwargs)
    problems = source.problems("held_out", limit=limit + limit // 10, seed=seed)
    return problems if len(problems) < limit + limit // 10 else problems[:limit]


def are_graded(problems: Sequence[Problem]) -> bool:
    """Whether answers to these problems can be right: free texts have no right answer."""
    return any(problem.task.get("type") not in FREE_TEXT_TYPES for problem in problems)
