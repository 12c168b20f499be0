"""One trial from claim to end, and what is left behind when a worker dies in between.

At every moment the study is in one of these states, and whoever looks next knows what to do:

| the worker died | what is seen | what is done |
|---|---|---|
| before it claimed the ticket | a waiting ticket | it is claimed |
| after the claim, before it signed | running, no owner | lost after the grace period |
| while the objective ran, or before its result was written | running, the owner is gone | lost at once |
| after the result was written | finished | nothing: it counts |
| having declared another trial lost, before it made the retry | a lost trial without a retry | the retry is made |
"""

import math
import numbers
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import optuna
from optuna.exceptions import TrialPruned, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.joining import StudyAsAsked
from rlenvs.agents.tuning.engine.liveness import Heart, Worker
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.storage import storage_failures
from rlenvs.agents.tuning.engine.tickets import BLAMELESS, FAILURE, LOST, OWNER, Ticket, add_retry, attempt_of
from rlenvs.errors import StorageError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["Objective", "attempt", "claim", "reap"]

Objective = Callable[[optuna.Trial], float | Sequence[float]]

PLACE = "failure_place"
TRACEBACK = "failure_traceback"
LONGEST_TRACEBACK = 4000
"""Characters of a traceback that are kept, its end: databases bound the length of a value."""

LIBRARIES = tuple({str(Path(path)) for path in (sys.prefix, sys.base_prefix)})


def claim(storage: "BaseStorage", waiting: Iterable[Ticket], worker: Worker) -> Ticket | None:
    """Make the first ticket that nobody else takes this worker's own; None: others took them all."""
    for ticket in waiting:
        trial_id = ticket.trial._trial_id
        try:
            if not storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                continue
            storage.set_trial_system_attr(trial_id, OWNER, {**asdict(worker), "index": ticket.index})
        except UpdateFinishedTrialError:
            continue
        return ticket
    return None


def attempt(
    plan: StudyPlan, storage: "BaseStorage", ticket: Ticket, function: Objective, stop: Interrupts, heart: Heart
) -> None:
    """Run one trial that this worker has claimed, and write down what came of it.

    A trial that others took away meanwhile, because this worker seemed dead, is theirs: what came of it is dropped.

    Raises:
        KeyboardInterrupt: the worker is to end; the trial was given back.
        StorageError: the storage is gone; the trial will be found abandoned.
    """
    trial_id = ticket.trial._trial_id
    study = StudyAsAsked(
        study_name=plan.name,
        storage=storage,
        sampler=plan.sampler.build(plan.seed, ticket.index),
        pruner=plan.pruner.build(plan.directions),
    )
    try:
        with heart.beats_for(trial_id):
            trial = optuna.Trial(study, trial_id)
            with stop.exposed():
                result = function(trial)
    except KeyboardInterrupt:
        _give_back(study, trial_id, "its worker was asked to end")
        raise
    except TrialPruned:
        _finish(study, trial_id, TrialState.PRUNED, _last_report(storage.get_trial(trial_id)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - other people's code
        _record_failure(study, trial_id, error)
    else:
        values = _values(result, len(plan.directions))
        if isinstance(values, str):
            _finish(study, trial_id, TrialState.FAIL, attributes={FAILURE: values})
        else:
            _finish(study, trial_id, TrialState.COMPLETE, values)


def reap(study: optuna.Study, trial: FrozenTrial, cause: str, max_retries: int) -> bool:
    """Declare a running trial lost and ask for it again; False: it ended meanwhile, or another one did this first.

    Args:
        study: of the trial.
        trial: one whose worker is gone.
        cause: how that was seen.
        max_retries: after so many retries it counts as failed.
    """
    exhausted = attempt_of(trial) >= max_retries
    attributes = {LOST: cause}
    if exhausted:
        attributes[FAILURE] = f"its worker was lost {attempt_of(trial) + 1} times, the last time: {cause}"
    try:
        _set(study._storage, trial._trial_id, attributes)
        study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return False
    if not exhausted:
        add_retry(study, study._storage.get_trial(trial._trial_id))
    return True


def _give_back(study: optuna.Study, trial_id: int, cause: str) -> None:
    storage = study._storage
    try:
        storage.set_trial_system_attr(trial_id, BLAMELESS, True)
        storage.set_trial_user_attr(trial_id, LOST, cause)
        storage.set_trial_state_values(trial_id, TrialState.FAIL)
    except UpdateFinishedTrialError:
        return
    add_retry(study, storage.get_trial(trial_id))


def _finish(
    study: optuna.Study,
    trial_id: int,
    state: TrialState,
    values: Sequence[float] | None = None,
    attributes: dict[str, str] | None = None,
) -> None:
    storage = study._storage
    frozen = storage.get_trial(trial_id)
    if frozen.state.is_finished():
        return
    try:
        _set(storage, trial_id, attributes or {})
        study.sampler.after_trial(study, frozen, state, values)
        storage.set_trial_state_values(trial_id, state, values)
    except UpdateFinishedTrialError:
        return


def _set(storage: "BaseStorage", trial_id: int, attributes: dict[str, str]) -> None:
    for key, value in attributes.items():
        storage.set_trial_user_attr(trial_id, key, value)


def _record_failure(study: optuna.Study, trial_id: int, error: BaseException) -> None:
    """Write down that the objective failed, unless it was the storage that did.

    An objective may well use a database or studies of its own, so what was raised does not tell them apart.
    """
    try:
        study._storage.get_trial(trial_id)
    except storage_failures() as gone:
        raise StorageError(f"the storage of study {study.study_name!r} is gone: {gone}") from error
    text = str(error).strip().partition("\n")[0]
    name = type(error).__name__
    attributes = {
        FAILURE: f"{name}: {text}" if text else name,
        PLACE: place_of(error.__traceback__),
        TRACEBACK: "".join(traceback.format_exception(error))[-LONGEST_TRACEBACK:],
    }
    _finish(study, trial_id, TrialState.FAIL, attributes=attributes)


def place_of(trace: TracebackType | None) -> str:
    """Say where in the user's own code something was raised: the innermost frame outside of installed packages."""
    frames = traceback.extract_tb(trace)
    mine = str(Path(__file__).parent)
    own = [frame for frame in frames if not frame.filename.startswith((*LIBRARIES, mine, "<"))]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}"


def _values(result: Any, count: int) -> list[float] | str:
    """Return the values of a trial, or what is wrong with what the objective returned."""
    single = isinstance(result, numbers.Real) or getattr(result, "ndim", None) == 0
    if isinstance(result, str | bytes) or not (single or isinstance(result, Sequence) or hasattr(result, "tolist")):
        return f"the objective returned {result!r}, not {'a number' if count == 1 else f'{count} numbers'}"
    several = [result] if single else list(result)
    if len(several) != count:
        return f"the objective returned {len(several)} values, and the study has {count} directions"
    try:
        values = [float(value) for value in several]
    except (TypeError, ValueError):
        return f"the objective returned {result!r}, not {'a number' if count == 1 else f'{count} numbers'}"
    if not all(math.isfinite(value) for value in values):
        return f"the objective returned {values[0] if count == 1 else values}, which no trial can be compared with"
    return values


def _last_report(trial: FrozenTrial) -> list[float] | None:
    """Return what a pruned trial is worth: the last value that it reported."""
    last = trial.last_step
    if last is None or not math.isfinite(trial.intermediate_values[last]):
        return None
    return [trial.intermediate_values[last]]
