"""Playing episodes and comparing what comes back."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

Step = tuple[Any, Any, Any, Any, dict[str, Any]]
Actor = Callable[[Any, Mapping[str, Any], np.random.Generator], Any]
"""From an observation, its info and a generator to an action."""

ANSWERS = ("{}", "\\boxed{{{}}}", "#### {}", "<answer>{}</answer>", "Answer: {}", "1+1 = 2", "<calculator>{}")


def expect(condition: bool, message: str) -> None:
    """Raise an AssertionError unless a condition holds."""
    if not condition:
        raise AssertionError(message)


class ShapeError(AssertionError):
    """`reset` or `step` does not return what every caller unpacks: no other check can be run."""


def begin(env: gym.Env[Any, Any], seed: int | None) -> tuple[Any, dict[str, Any]]:
    """Reset an environment.

    Raises:
        ShapeError: it does not return (observation, info).
    """
    result = env.reset(seed=seed, options=None)
    if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
        raise ShapeError(f"reset() must return (observation, info), got {described(result)}")
    return result


def take(env: gym.Env[Any, Any], action: Any) -> Step:
    """Step an environment.

    Raises:
        ShapeError: it does not return (observation, reward, terminated, truncated, info).
    """
    result = env.step(action)
    if not isinstance(result, tuple) or len(result) != 5 or not isinstance(result[4], dict):
        raise ShapeError(
            f"step() must return (observation, reward, terminated, truncated, info), got {described(result)}"
        )
    return result


def described(result: object) -> str:
    """What a call returned, in types."""
    if isinstance(result, tuple):
        return f"({', '.join(map(type_name, result))})"
    return type_name(result)


def type_name(value: object) -> str:
    """The type of a value, with its package where that is not Python's own."""
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


@dataclass
class Subject:
    """The environment under test: how to make new ones, and how to act in them."""

    make: Callable[[], gym.Env[Any, Any]]
    actor: Actor
    seed: int
    max_steps: int
    id: str | None = None
    kwargs: Mapping[str, Any] | None = None


def act(env: gym.Env[Any, Any], observation: Any, info: Mapping[str, Any], rng: np.random.Generator) -> Any:
    """An action of the default policy.

    For texts now and then the right answer in one of the usual forms, else a wrong one, a step, a tool call or nothing;
    for token ids any legal one.
    """
    space = env.action_space
    if isinstance(space, gym.spaces.Discrete):
        masks = getattr(env.unwrapped, "action_masks", None)
        legal = np.flatnonzero(masks()) if masks is not None else np.arange(space.n)
        return int(space.start + rng.choice(legal))
    task = info.get("task")
    gold = task.get("gold") if isinstance(task, Mapping) else None
    answer = str(gold) if gold is not None and rng.random() < 0.5 else str(rng.integers(-5, 100))
    return ANSWERS[rng.integers(len(ANSWERS))].format(answer) if rng.random() < 0.9 else ""


def episode(env: gym.Env[Any, Any], subject: Subject, rng: np.random.Generator, seed: int | None) -> list[Any]:
    """Play one episode to its end, or to the most steps: what `reset` and every `step` returned, deep copies."""
    observation, info = begin(env, seed)
    return [copy.deepcopy((observation, info)), *rest(env, subject, rng, observation, info)]


def rest(
    env: gym.Env[Any, Any], subject: Subject, rng: np.random.Generator, observation: Any, info: Mapping[str, Any]
) -> list[Any]:
    """Play an open episode to its end, or for the most steps: what every `step` returned, deep copies."""
    trace: list[Any] = []
    for _ in range(subject.max_steps):
        step = take(env, subject.actor(observation, info, rng))
        trace.append(copy.deepcopy(step))
        observation, _, terminated, truncated, info = step
        if terminated or truncated:
            break
    return trace


def episodes(env: gym.Env[Any, Any], subject: Subject, count: int = 3) -> list[list[Any]]:
    """Play some episodes, the first one seeded; the same for the same environment and seed."""
    rng = np.random.default_rng(subject.seed)
    return [episode(env, subject, rng, subject.seed if number == 0 else None) for number in range(count)]


def difference(first: Any, second: Any, at: str = "") -> str | None:
    """Where two values differ, or None; numbers, arrays and nested containers are compared by value.

    Example:
        >>> difference({"a": [1, 2.0]}, {"a": [1, np.float64(2)]})
        >>> difference({"a": [1, 2]}, {"a": [1, 3]})
        "['a'][1]: 2 against 3"
    """
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        if first.keys() != second.keys():
            return f"{at}: keys {sorted(map(str, first))} against {sorted(map(str, second))}"
        pairs = [(first[key], second[key], f"{at}[{key!r}]") for key in first]
        return next((found for one, other, where in pairs if (found := difference(one, other, where))), None)
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        if len(first) != len(second):
            return f"{at}: {len(first)} entries against {len(second)}"
        entries = enumerate(zip(first, second, strict=True))
        return next((found for i, (one, other) in entries if (found := difference(one, other, f"{at}[{i}]"))), None)
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        same = np.array_equal(np.asarray(first), np.asarray(second))
    else:
        same = bool(first == second) or (is_nan(first) and is_nan(second))
    return None if same else f"{at}: {first!r:.80} against {second!r:.80}"


def is_nan(value: object) -> bool:
    """True for a float that is no number."""
    return isinstance(value, float) and math.isnan(value)


def row_info(infos: Mapping[str, Any], row: int) -> dict[str, Any]:
    """The info of one row, out of those that a vector environment collated."""
    info = {}
    for key, value in infos.items():
        mask = infos.get(f"_{key}")
        if mask is None or not np.asarray(mask)[row]:
            continue
        info[key] = row_info(value, row) if isinstance(value, Mapping) else value[row]
    return info
