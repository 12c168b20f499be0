"""`check_text_env`: everything that trainers, wrappers and vector forms rely on, checked on one environment."""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym

from rlenvs.errors import UserError
from rlenvs.suggestions import did_you_mean
from rlenvs.testing import hostile, single, vector
from rlenvs.testing.play import Actor, ShapeError, Subject, act

CHECKS: dict[str, Callable[[Subject], str | None]] = {
    check.__name__: check
    for check in (
        single.reset_and_step_keep_their_contract,
        single.actions_belong_to_their_space,
        single.seeds_decide_everything,
        single.seeds_lead_to_different_episodes,
        single.global_randomness_is_left_alone,
        single.infos_are_plain,
        single.infos_belong_to_the_caller,
        single.episodes_end_in_one_way,
        single.steps_need_an_open_episode,
        single.closing_twice_is_fine,
        single.the_specification_survives_json,
        single.copies_go_on_alone,
        single.saved_states_resume,
        single.rendering_is_safe_to_print,
        hostile.hostile_actions_score,
        hostile.wrong_actions_are_refused,
        vector.vector_rows_are_single_environments,
    )
}
"""Every check by name. A check returns None, or why it does not apply; it raises an AssertionError if it fails."""


def check_text_env(
    env: str | gym.Env[Any, Any] | Callable[[], gym.Env[Any, Any]],
    *,
    kwargs: Mapping[str, Any] | None = None,
    actor: Actor | None = None,
    seed: int = 0,
    max_steps: int = 200,
    skip: Sequence[str] = (),
) -> dict[str, str]:
    """Check a text environment, at turn level (actions are texts) or token level (actions are ids).

    What is checked is in the docstrings of `CHECKS`: the contract of `reset` and `step`, spaces, seeding, infos,
    endings, closing, the specification as JSON, copies and pickles in the middle of an episode, resuming, rendering,
    hostile and wrong actions, and the vector form against single environments in all three autoreset modes.

    Args:
        env: an id, an environment, or a function that makes one. Only an id has a vector form, a specification and
            render modes to check.
        kwargs: parameters for `gymnasium.make`, with an id.
        actor: chooses actions: (observation, info, generator) -> action; they must depend on nothing else. By
            default right answers in the usual forms (if `info["task"]["gold"]` knows them), wrong ones and others;
            at token level any legal token.
        seed: of the episodes.
        max_steps: steps after which an episode is left unfinished.
        skip: names of checks to leave out.

    Returns:
        "passed" for each check, or why it does not apply.

    Raises:
        AssertionError: something is wrong; the message lists every check that failed, and why.
        UserError: a wrong argument.

    Example:
        >>> report = check_text_env("rlenvs/Arithmetic-v0", kwargs={"digits": 1})
        >>> report["seeds_decide_everything"], set(report.values())
        ('passed', {'passed'})
    """
    for name in skip:
        if name not in CHECKS:
            raise UserError(f"skip: unknown check {name!r}{did_you_mean(name, CHECKS)}")
    subject = Subject(maker(env, kwargs), actor or (lambda *_: None), seed, max_steps)
    if isinstance(env, str):
        subject.id, subject.kwargs = env, dict(kwargs or {})
    if actor is None:
        model = subject.make()
        subject.actor = lambda observation, info, rng: act(model, observation, info, rng)
    report: dict[str, str] = {}
    failures: list[str] = []
    for name, check in CHECKS.items():
        if name in skip:
            report[name] = "skipped"
            continue
        try:
            report[name] = check(subject) or "passed"
        except ShapeError as error:
            failures.append(f"{name}: {error}; the checks after this one have not been run")
            break
        except AssertionError as error:
            failures.append(f"{name}: {error}")
        except Exception as error:  # noqa: BLE001 - whatever an environment raises out of turn is a finding
            failures.append(f"{name}: {type(error).__name__}: {error}")
    if failures:
        what = env if isinstance(env, str) else type(subject.make().unwrapped).__name__
        raise AssertionError(f"{what}: {len(failures)} of {len(CHECKS)} checks failed\n  " + "\n  ".join(failures))
    return report


def maker(
    env: str | gym.Env[Any, Any] | Callable[[], gym.Env[Any, Any]], kwargs: Mapping[str, Any] | None
) -> Callable[[], gym.Env[Any, Any]]:
    """A function that makes new environments of the kind under test.

    Raises:
        UserError: there is none.
    """
    if isinstance(env, str):
        name, parameters = env, dict(kwargs or {})

        def make() -> gym.Env[Any, Any]:
            with warnings.catch_warnings():
                # Gymnasium's advice on random actions and render modes is no finding of this suite.
                warnings.simplefilter("ignore")
                return gym.make(name, **copy.deepcopy(parameters))

        return make
    if kwargs is not None:
        raise UserError("kwargs: only for an id; make the environment with its parameters instead")
    if isinstance(env, gym.Env):
        pattern = env
        return lambda: copy.deepcopy(pattern)
    if callable(env):
        return env
    raise UserError(f"env must be an id, an environment or a function that makes one, got {type(env).__name__}")
