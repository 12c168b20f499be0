"""Checks of one environment by itself."""

import copy
import json
import math
import pickle
import random
import re
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.error import ResetNeeded

from rlenvs.testing.play import Subject, begin, difference, episode, episodes, expect, rest, type_name

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What must not reach a terminal: all but line breaks."""
SEEDS = 20


def reset_and_step_keep_their_contract(subject: Subject) -> str | None:
    """`reset` gives (observation, info), `step` gives five values; types are plain, observations within their space."""
    env = subject.make()
    for space in (env.observation_space, env.action_space):
        expect(isinstance(space, gym.Space), f"observation_space and action_space must be spaces, got {space!r:.80}")
    for trace in episodes(env, subject):
        expect(trace[0][0] in env.observation_space, f"reset() gives {trace[0][0]!r:.80}, not in the observation space")
        for number, (observation, reward, terminated, truncated, _) in enumerate(trace[1:], start=1):
            at = f"step {number}"
            inside = observation in env.observation_space
            expect(inside, f"{at} gives {observation!r:.80}, not in the observation space")
            plain = isinstance(reward, int | float) and not isinstance(reward, bool) and math.isfinite(reward)
            expect(plain, f"{at}: the reward must be a finite float, got {reward!r:.80}")
            expect(type(terminated) is bool, f"{at}: terminated must be a bool, got {type_name(terminated)}")
            expect(type(truncated) is bool, f"{at}: truncated must be a bool, got {type_name(truncated)}")
    return None


def actions_belong_to_their_space(subject: Subject) -> str | None:
    """What the action space samples is in it, and a step takes it."""
    env = subject.make()
    env.action_space.seed(subject.seed)
    for _ in range(10):
        env.reset(seed=subject.seed)
        action = env.action_space.sample()
        expect(action in env.action_space, f"the action space does not contain its own sample {action!r:.80}")
        env.step(action)
    return None


def seeds_decide_everything(subject: Subject) -> str | None:
    """Two environments with one seed give the same episodes, infos included, and so does one that is seeded again."""
    env = subject.make()
    first = episodes(env, subject)
    for name, other in (("a second environment", subject.make()), ("the same environment, seeded again", env)):
        found = difference(first, episodes(other, subject))
        expect(found is None, f"{name} plays other episodes with the same seed: {found}")
    return None


def seeds_lead_to_different_episodes(subject: Subject) -> str | None:
    """Where episodes differ at all, other seeds open other ones: the seed is used, and none is put in its place."""
    env = subject.make()
    seeded = [begin(env, subject.seed + number) for number in range(SEEDS)]
    unseeded = [begin(env, None) for _ in range(SEEDS)]
    if any(difference(seeded[0], one) for one in seeded):
        return None
    found = next((found for one in unseeded if (found := difference(seeded[0], one))), None)
    expect(
        found is None, f"reset() opens different episodes, but all of {SEEDS} seeds the same one; it must use its seed"
    )
    return f"all of {SEEDS} seeds open the same episode, and so does reset() without one"


def global_randomness_is_left_alone(subject: Subject) -> str | None:
    """Episodes neither depend on the global generators nor move them."""
    env = subject.make()
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        np.random.seed(1)
        random.seed(1)
        before = copy.deepcopy(np.random.get_state()), random.getstate()
        first = episodes(env, subject)
        found = difference(before[0], np.random.get_state()) or difference(before[1], random.getstate())
        expect(found is None, "playing moves a global random generator; use self.np_random")
        np.random.seed(2)
        random.seed(2)
        found = difference(first, episodes(env, subject))
        expect(found is None, f"episodes depend on a global random generator: {found}")
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)
    return None


def infos_are_plain(subject: Subject) -> str | None:
    """Infos are JSON up to NumPy numbers, so that they can be stored; and no value is NaN, which equals nothing."""
    for trace in episodes(subject.make(), subject):
        for step in trace:
            try:
                json.dumps(step[-1], allow_nan=False, default=plain_number)
            except (TypeError, ValueError) as error:
                raise AssertionError(f"an info is no plain data: {error}") from None
    return None


def plain_number(value: object) -> Any:
    """NumPy numbers and arrays as Python ones."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is neither JSON nor a NumPy number")


def infos_belong_to_the_caller(subject: Subject) -> str | None:
    """What a caller writes into an observation or info changes nothing that the environment does later."""
    env = subject.make()
    expected = episodes(subject.make(), subject, 2)
    rng = np.random.default_rng(subject.seed)
    for number, trace in enumerate(expected):
        observation, info = env.reset(seed=subject.seed if number == 0 else None)
        between: list[Any] = []
        for place, step in enumerate(trace):
            seen = (observation, info) if place == 0 else (observation, *between, info)
            found = difference(seen, step)
            expect(found is None, f"writing into what was returned changes what comes later: step {place}{found}")
            if place == len(trace) - 1:
                break
            action = subject.actor(step[0], step[-1], rng)
            spoil(info)
            if isinstance(observation, np.ndarray):
                observation.fill(0)
            observation, *between, info = env.step(action)
    return None


def spoil(value: Any) -> None:
    """Write into everything that can be written into."""
    if isinstance(value, dict):
        for key in list(value):
            spoil(value[key])
            value[key] = "spoilt"
    elif isinstance(value, list):
        for item in value:
            spoil(item)
        value.append("spoilt")
    elif isinstance(value, np.ndarray):
        value.fill(0)


def episodes_end_in_one_way(subject: Subject) -> str | None:
    """An end is `terminated` or `truncated`; both only where a `TimeLimit` met an end by chance."""
    env = subject.make()
    limited = any(isinstance(layer, gym.wrappers.TimeLimit) for layer in layers(env))
    ended = 0
    for trace in episodes(env, subject, 5):
        if len(trace) > 1:
            _, _, terminated, truncated, _ = trace[-1]
            ended += terminated or truncated
            expect(limited or not (terminated and truncated), "a step sets both terminated and truncated")
    return None if ended else f"no episode ended within {subject.max_steps} steps"


def layers(env: gym.Env[Any, Any]) -> list[gym.Env[Any, Any]]:
    """An environment and those that it wraps."""
    found = [env]
    while isinstance(found[-1], gym.Wrapper):
        found.append(found[-1].env)
    return found


def steps_need_an_open_episode(subject: Subject) -> str | None:
    """`step` before `reset`, and after the end, raises Gymnasium's `ResetNeeded`; after `reset` all is well."""
    env = subject.make()
    env.action_space.seed(subject.seed)
    refuses(lambda: env.step(env.action_space.sample()), "before reset()")
    trace = episodes(env, subject, 1)[0]
    if len(trace) == 1 or not (trace[-1][2] or trace[-1][3]):
        return f"no episode ended within {subject.max_steps} steps"
    refuses(lambda: env.step(env.action_space.sample()), "after the end of an episode")
    observation, info = env.reset()
    env.step(subject.actor(observation, info, np.random.default_rng(0)))
    return None


def refuses(step: Callable[[], object], when: str) -> None:
    """Expect `ResetNeeded`."""
    try:
        step()
    except ResetNeeded:
        return
    except Exception as error:
        raise AssertionError(f"step() {when} raises {type(error).__name__} instead of ResetNeeded: {error}") from error
    raise AssertionError(f"step() {when} must raise gymnasium.error.ResetNeeded")


def closing_twice_is_fine(subject: Subject) -> str | None:
    """`close` may be called before `reset`, after it, and again."""
    subject.make().close()
    env = subject.make()
    env.reset(seed=subject.seed)
    env.close()
    env.close()
    return None


def the_specification_survives_json(subject: Subject) -> str | None:
    """`env.spec` written as JSON and read back makes an environment with the same episodes."""
    env = subject.make()
    if env.spec is None:
        return "the environment has no specification: it was not made by gymnasium.make"
    text = env.spec.to_json()
    again = gym.make(EnvSpec.from_json(text))
    expect(again.spec is not None and again.spec.to_json() == text, "the specification changes on its way through JSON")
    found = difference(episodes(env, subject), episodes(again, subject))
    expect(found is None, f"the environment made from the specification plays other episodes: {found}")
    return None


def begun(env: gym.Env[Any, Any], subject: Subject) -> tuple[Any, dict[str, Any]]:
    """Bring an environment into the middle of an episode, if its episodes have one: observation and info there."""
    observation, info = env.reset(seed=subject.seed)
    rng = np.random.default_rng(subject.seed)
    for _ in range(10):
        observation, _, terminated, truncated, info = env.step(subject.actor(observation, info, rng))
        if not (terminated or truncated):
            break
        observation, info = env.reset()
    return observation, info


def go_on(env: gym.Env[Any, Any], subject: Subject, observation: Any, info: dict[str, Any]) -> list[Any]:
    """The rest of an open episode, and the next one."""
    rng = np.random.default_rng(subject.seed + 1)
    return [rest(env, subject, rng, observation, info), episode(env, subject, rng, None)]


def copies_go_on_alone(subject: Subject) -> str | None:
    """Deep copies and pickles, made in the middle of an episode, go on the same and do not touch the original."""
    ways: dict[str, Callable[[Any], Any]] = {
        "a deep copy": copy.deepcopy,
        "a pickle": lambda env: pickle.loads(pickle.dumps(env)),  # noqa: S301 - made in this line
    }
    for name, way in ways.items():
        env = subject.make()
        observation, info = begun(env, subject)
        try:
            twin = way(env)
        except Exception as error:
            raise AssertionError(f"{name} of the environment fails: {type(error).__name__}: {error}") from error
        found = difference(go_on(twin, subject, observation, info), go_on(env, subject, observation, info))
        expect(found is None, f"{name} of the environment goes on in another way: {found}")
    return None


def saved_states_resume(subject: Subject) -> str | None:
    """A state saved as JSON in the middle of an episode goes on exactly, in another environment."""
    env, other = subject.make(), subject.make()
    base, target = env.unwrapped, other.unwrapped
    if not hasattr(base, "state_dict"):
        return "the environment has no state_dict"
    observation, info = begun(env, subject)
    other.reset(seed=subject.seed + 1)
    target.load_state_dict(json.loads(json.dumps(base.state_dict())))  # type: ignore[attr-defined]
    found = difference(go_on(env, subject, observation, info), go_on(other, subject, observation, info))
    expect(found is None, f"a resumed environment goes on in another way: {found}")
    return None


def rendering_is_safe_to_print(subject: Subject) -> str | None:
    """`render_mode="ansi"` gives text without control characters, whatever the messages held."""
    if subject.id is None or "ansi" not in (subject.make().metadata.get("render_modes") or ()):
        return "there is no way to make it with render_mode='ansi'"
    kwargs: Mapping[str, Any] = subject.kwargs or {}
    env = gym.make(subject.id, **{**kwargs, "render_mode": "ansi"})
    env.reset(seed=subject.seed)
    if not isinstance(env.action_space, gym.spaces.Discrete):
        env.step("\x1b[2J\x07 \u202eab\ud800")
    text = env.render()
    expect(isinstance(text, str) and bool(text), f"render() must return a text, got {text!r:.80}")
    found = CONTROL.search(str(text))
    expect(found is None, f"the rendered text holds {found.group()!r}, which a terminal would act on" if found else "")
    return None
