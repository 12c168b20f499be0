"""Making a study, or joining one that exists and is the same."""

import contextlib
import copy
import json
from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.tickets import as_asked
from rlenvs.errors import StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["StudyAsAsked", "join_study"]

IDENTITY = "rlenvs:identity"
SHOWN_VALUE = 60


class StudyAsAsked(optuna.Study):
    """A study as samplers are to see it: without lost trials, and with retries in the place of what they retry.

    Samplers weigh trials by their order, and would propose something else after a worker has died than without it.
    Whoever asks by the public name, as objectives do, gets the trials as they are.
    """

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """Return the trials of the study, lost ones and retries under numbers of their own."""
        return super()._get_trials(deepcopy, states)

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        everything = super()._get_trials(deepcopy=False, use_cache=use_cache)
        asked = [trial for trial in as_asked(everything) if states is None or trial.state in states]
        return copy.deepcopy(asked) if deepcopy else asked


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from telling what we tell ourselves."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(level, optuna.logging.WARNING))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def join_study(plan: StudyPlan, storage: "BaseStorage", *, resume: bool) -> optuna.Study:
    """Make the study, or join the one of that name.

    Args:
        plan: what the study is.
        storage: where it is kept.
        resume: join a study that exists already.

    Raises:
        StudyError: it exists and is not to be resumed, is another one, or was not made here.
    """
    with quiet():
        if resume and _exists(plan.name, storage):
            study = optuna.load_study(study_name=plan.name, storage=storage)
        else:
            try:
                study = optuna.create_study(
                    study_name=plan.name,
                    storage=storage,
                    directions=[StudyDirection[direction.upper()] for direction in plan.directions],
                    load_if_exists=resume,
                )
            except DuplicatedStudyError as error:
                raise StudyError(
                    f"study {plan.name!r} exists already in {_shown(plan)}: resume it, or choose another name"
                ) from error
    check_identity(study, plan)
    return study


def check_identity(study: optuna.Study, plan: StudyPlan) -> None:
    """See to it that a study is the one of the plan; sign it when it is new.

    Raises:
        StudyError: it is another one; the message says what differs.
    """
    mine = json.loads(json.dumps(plan.identity()))
    there = study.user_attrs.get(IDENTITY)
    if there is None:
        if study.get_trials(deepcopy=False) or list(_direction_names(study)) != mine["directions"]:
            raise StudyError(
                f"study {plan.name!r} in {_shown(plan)} was not made by rlenvs, so that nobody knows what its trials "
                "searched: choose another name"
            )
        study.set_user_attr(IDENTITY, mine)
        there = study.user_attrs.get(IDENTITY)  # another one may have been quicker, or slower
    difference = first_difference(there, mine)
    if difference is not None:
        raise StudyError(
            f"study {plan.name!r} exists in {_shown(plan)} with another {difference}; "
            "choose another name, or go back to what it was"
        )


def first_difference(there: Any, here: Any, at: str = "") -> str | None:
    """Say where two plain values differ first; None: they are equal.

    Example:
        >>> first_difference({"lr": {"high": 0.1}}, {"lr": {"high": 0.2}})
        'lr.high: 0.1 there, 0.2 here'
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in [*there, *(key for key in here if key not in there)]:
            place = f"{at}.{key}" if at else str(key)
            if key not in here:
                return f"{place}: {_short(there[key])} there, nothing here"
            if key not in there:
                return f"{place}: nothing there, {_short(here[key])} here"
            difference = first_difference(there[key], here[key], place)
            if difference is not None:
                return difference
        return None
    return None if there == here else f"{at}: {_short(there)} there, {_short(here)} here"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= SHOWN_VALUE else f"{text[:SHOWN_VALUE]}..."


def _exists(name: str, storage: "BaseStorage") -> bool:
    try:
        storage.get_study_id_from_name(name)
    except KeyError:
        return False
    return True


def _direction_names(study: optuna.Study) -> Iterator[str]:
    return (direction.name.lower() for direction in study.directions)


def _shown(plan: StudyPlan) -> str:
    """Name the storage without a password."""
    if not isinstance(plan.storage, str):
        return type(plan.storage).__name__
    head, at, host = plan.storage.rpartition("@")
    return f"{head.rpartition(':')[0]}:***@{host}" if at and head.count(":") > 1 else plan.storage
