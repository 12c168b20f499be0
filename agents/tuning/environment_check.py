"""Whether an environment can be made with the parameters that a trial draws for it: no model knows what they may be."""

import json
import re
from collections.abc import Mapping
from typing import Any

from rlenvs.agents.runs.environments import make_env
from rlenvs.config_source import KeyPath, Problem
from rlenvs.errors import ConfigError, ParameterError

__all__ = ["EnvironmentCheck"]

MOST = 12
"""Environments that are made: some load a data set."""

PLACE = re.compile(r"env\.(?:kwargs\.(?P<key>\w+): |kwargs: |id )")
UNKNOWN = re.compile(r"unknown parameter '(\w+)'")


class EnvironmentCheck:
    """Makes the environments of sampled configurations, each once.

    Example:
        >>> check = EnvironmentCheck()
        >>> check.problem({"env": {"id": "rlenvs/Arithmetic-v0", "kwargs": {"digits": 0}}})
        Problem(path=('env', 'kwargs', 'digits'), message='must be an int in 1..9, got 0', at=None, position=None)
    """

    def __init__(self) -> None:
        self._seen: dict[str, Problem | None] = {}

    def problem(self, config: Mapping[str, Any]) -> Problem | None:
        """Return what the environment of a configuration refuses; None where it can be made, or enough were."""
        env = config["env"]
        kwargs = dict(env.get("kwargs") or {})
        key = json.dumps([env["id"], kwargs], sort_keys=True, default=repr)
        if key not in self._seen and len(self._seen) < MOST:
            self._seen[key] = _made(str(env["id"]), kwargs)
        return self._seen.get(key)


def _made(env_id: str, kwargs: dict[str, Any]) -> Problem | None:
    try:
        make_env(env_id, kwargs).close()
    except ConfigError as error:
        message = " ".join(str(error).split())
        place = PLACE.match(message)
        if place is None:
            return Problem(("env",), message)
        if isinstance(error.__cause__, ParameterError):
            return Problem(_kwarg(error.__cause__.parameter, kwargs), error.__cause__.message)
        if message.startswith("env.id "):
            return Problem(("env", "id"), message.removeprefix("env.id "))
        unknown = UNKNOWN.search(message)
        name = place["key"] or (unknown[1] if unknown else "")
        return Problem(_kwarg(name, kwargs), message[place.end() :])
    return None


def _kwarg(name: str, kwargs: Mapping[str, Any]) -> KeyPath:
    return ("env", "kwargs", name) if name in kwargs else ("env", "kwargs")
