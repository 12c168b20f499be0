"""What a model might write, and what a careless caller might pass."""

import math
import time
from typing import Any

import gymnasium as gym
import numpy as np

from rlenvs.testing.play import Subject, difference, expect, rest

HOSTILE_SECONDS = 10.0
"""How long one message may take; all of them take far less where the time grows linearly with the length."""


def hostile_texts(chars: int = 10_000_000) -> dict[str, str]:
    """Messages that have broken parsers and graders, by name.

    Args:
        chars: length of the longest; the others that are long have a hundredth of it.
    """
    some = max(1, chars // 100)
    return {
        "empty": "",
        "nul": "\x00" * 1000,
        "half a surrogate pair": "7\ud800",
        "terminal escapes": "\x1b[2J\x1b]0;x\x07",
        "right to left": "\u202e7\u2066",
        "very long": "7" * chars,
        "long line of boxes": "\\boxed{" * (some // 7),
        "answer tags": "<answer>" * (some // 8),
        "tool calls": "<calculator>" * (some // 12),
        "equals signs": "=" * some,
        "brackets": "(" * some,
        "power tower": "<calculator>9**9**9**9**9</calculator> 9^9^9^9 = 9",
        "code": "__import__('os').abort()",
        "format fields": "{gold} {0.__class__} %s %n",
        "lines": "\n" * some,
        "digits of other scripts": "\u0663\u0664\uff17 \u2167",
    }


def is_text(env: gym.Env[Any, Any]) -> bool:
    """True for an environment whose actions are texts."""
    return not isinstance(env.action_space, gym.spaces.Discrete)


def hostile_actions_score(subject: Subject) -> str | None:
    """No text makes a step fail or take long: whatever a model writes is graded."""
    env = subject.make()
    if not is_text(env):
        return "actions are no texts"
    for name, text in hostile_texts().items():
        env.reset(seed=subject.seed)
        started = time.perf_counter()
        try:
            observation, reward, terminated, truncated, _ = env.step(text)
        except Exception as error:
            raise AssertionError(
                f"the message {name!r} makes step() raise {type(error).__name__}: {error!s:.200}; "
                "a malformed answer is a score, not an error"
            ) from error
        seconds = time.perf_counter() - started
        expect(observation in env.observation_space, f"the message {name!r} leads to an observation out of the space")
        expect(math.isfinite(reward), f"the message {name!r} gets the reward {reward}")
        expect(type(terminated) is bool and type(truncated) is bool, f"the message {name!r} ends with other than bools")
        expect(seconds <= HOSTILE_SECONDS, f"the message {name!r} takes {seconds:.1f} s; time must grow linearly")
    env.close()
    return None


def wrong_actions_are_refused(subject: Subject) -> str | None:
    """An action of another type is a mistake of the caller: an error, after which the episode goes on."""
    env, untouched = subject.make(), subject.make()
    observation, info = env.reset(seed=subject.seed)
    untouched.reset(seed=subject.seed)
    wrong: list[Any] = [None, 5, b"5", ["5"], 1.5]
    if not is_text(env):
        size = int(env.action_space.n)  # type: ignore[attr-defined]
        wrong = [None, "5", 1.5, -1, size]
    for action in wrong:
        try:
            env.step(action)
        except (TypeError, ValueError):
            continue
        raise AssertionError(f"step({action!r}) must raise a TypeError or ValueError: {action!r} is no action")
    traces = [rest(one, subject, np.random.default_rng(subject.seed), observation, info) for one in (env, untouched)]
    found = difference(traces[0], traces[1])
    expect(found is None, f"refused actions left traces in the episode: {found}")
    return None
