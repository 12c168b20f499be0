"""The loop of a worker: claim a ticket, run it, look after the others, until nothing is left to do."""

import contextlib
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState

from rlenvs.agents.tuning.engine.attempt import PLACE, TRACEBACK, Objective, attempt, claim, reap
from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.liveness import Heart, Observer, Worker
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.tickets import AHEAD, FAILURE, LOW, SURPLUS, Ledger, add_retry, add_tickets
from rlenvs.errors import TuningError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["work"]

FIRST_IDLE_S, LONGEST_IDLE_S = 0.02, 0.5
"""Seconds between two looks of a worker that waits for others to finish, or to die."""

HOPELESS = 5
"""So many first trials that all fail end the study: the objective is broken."""


def work(
    plan: StudyPlan,
    study: optuna.Study,
    function: Objective,
    *,
    interrupts: Interrupts,
    until: Callable[[], bool],
    finished_before: Collection[int] = (),
    after_trial: Callable[[], object] | None = None,
) -> None:
    """Work on a study until every trial asked for is finished.

    A worker that finds nothing to claim stays until the others have finished: one of them may die.

    Args:
        plan: what the study is.
        study: the study.
        function: the objective.
        interrupts: asks the worker to end.
        until: begin no new trial once this is true.
        finished_before: numbers of trials that had finished when the session began.
        after_trial: called after each trial of this worker.

    Raises:
        KeyboardInterrupt: the worker was asked to end; its trial was given back.
        TuningError: every trial of this session has failed.
        StorageError: the storage is gone.
    """
    storage = study._storage
    worker = Worker.here()
    observer = Observer(plan.grace_s)
    idle = FIRST_IDLE_S
    with worker.at_work(), Heart(storage, plan.heartbeat_s) as heart:
        while True:
            interrupts.check()
            if until():
                return
            ledger = Ledger(study.get_trials(deepcopy=False), plan.n_trials, plan.max_retries)
            if ledger.done:
                _retire(storage, ledger.surplus_retries)
                return
            if _look_after(study, ledger, observer, plan):
                continue
            ticket = claim(storage, ledger.waiting, worker)
            if ticket is None:
                time.sleep(idle)
                idle = min(2 * idle, LONGEST_IDLE_S)
                continue
            idle = FIRST_IDLE_S
            attempt(plan, storage, ticket, function, interrupts, heart)
            if after_trial is not None:
                after_trial()
            if storage.get_trial(ticket.trial._trial_id).state == TrialState.FAIL:
                check_hope(study, plan, finished_before)


def _look_after(study: optuna.Study, ledger: Ledger, observer: Observer, plan: StudyPlan) -> bool:
    """Give lost trials a retry, declare lost what is, make tickets that are missing; say whether anything changed."""
    changed = False
    for ticket in ledger.orphans:
        add_retry(study, ticket.trial)
        changed = True
    for ticket in ledger.running:
        cause = observer.cause_of_death(ticket.trial)
        if cause is not None:
            changed = reap(study, ticket.trial, cause, plan.max_retries) or changed
    waiting = len(ledger.waiting)
    if ledger.missing and waiting < LOW:
        add_tickets(study, min(AHEAD - waiting, ledger.missing))
        changed = True
    return changed


def _retire(storage: "BaseStorage", surplus: list[FrozenTrial]) -> None:
    """Take retries that were made twice out of the queue. They count nowhere; this is for whoever reads the study."""
    for trial in surplus:
        if trial.state.is_finished():
            continue
        with contextlib.suppress(UpdateFinishedTrialError):
            storage.set_trial_user_attr(trial._trial_id, SURPLUS, True)
            storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)


def check_hope(study: optuna.Study, plan: StudyPlan, finished_before: Collection[int]) -> None:
    """See to it that not every trial of this session fails.

    Raises:
        TuningError: it does; the message has the first cause, and a note its traceback.
    """
    outcomes = Ledger(study.get_trials(deepcopy=False), plan.n_trials, plan.max_retries).outcomes
    ours = [trial for trial in outcomes if trial.number not in finished_before]
    if len(ours) < min(plan.n_trials - len(outcomes) + len(ours), HOPELESS):
        return
    if any(trial.state != TrialState.FAIL for trial in outcomes):
        return
    first = min(ours, key=lambda trial: (trial.datetime_complete is None, trial.datetime_complete, trial.number))
    attributes = first.user_attrs
    place = f" ({attributes[PLACE]})" if PLACE in attributes else ""
    many = f"all of the first {len(ours)} trials" if len(ours) > 1 else "the only trial"
    error = TuningError(f"{many} failed; the first: {attributes.get(FAILURE, 'its worker was lost')}{place}")
    if TRACEBACK in attributes:
        error.add_note(attributes[TRACEBACK])
    raise error
