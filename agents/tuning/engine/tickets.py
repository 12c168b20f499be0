"""Which trials a study was asked for, and what became of each.

Every trial asked for is a *ticket*: a trial of Optuna that waits. A worker makes a ticket its own by the one change of
state that storages guarantee to let a single process win, so that none is run twice. A trial whose worker died fails,
and a new ticket with the same parameters takes its place:

    ticket 3 (lost) <- ticket 20, retry of 3 (lost) <- ticket 21, retry of 20 (complete)

Whoever sees a lost trial without a retry makes one. Two may do so at once, and two may make the first tickets at
once; so what counts is decided by numbers, which never change, and everybody who looks comes to the same answer:

* of several retries of one trial the one with the lowest number counts;
* of the tickets that are no retries the first `n_trials` count.

A `Ledger` is that answer for one moment. The other tickets are surplus: never run, never counted.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from rlenvs.agents.tuning.engine.samplers import seed_of

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["FAILURE", "LOST", "RETRY_OF", "SURPLUS", "Ledger", "Ticket", "trial_index", "trial_seed"]

FAILURE = "failure"
"""User attribute: why the objective failed. A trial that failed without one was lost, and is tried again."""

LOST = "lost"
"""User attribute: how a trial lost its worker."""

RETRY_OF = "retry_of"
"""User attribute: number of the lost trial that this one takes the place of."""

SURPLUS = "surplus"
"""User attribute: this ticket was made twice and is never run."""

OWNER = "rlenvs:owner"
"""System attribute: who claimed the trial, and its `index` among those asked for."""

ATTEMPT = "rlenvs:attempt"
BLAMELESS = "rlenvs:blameless"
"""System attribute of a lost trial: it was given back, and that is not to be held against it."""

FIXED = "fixed_params"
"""Optuna's own: parameters that a waiting trial is to have."""

AHEAD = 64
"""Tickets that are made ahead of the workers: databases read all waiting trials again and again."""

LOW = 16
"""Waiting tickets at which more are made."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """One of the trials asked for.

    Attributes:
        index: its place among them, from 0; a retry has that of the trial it takes the place of.
        first: number of the trial that it began as.
        trial: what stands for it now: itself or its last retry.
    """

    index: int
    first: int
    trial: FrozenTrial


class Ledger:
    """What became of the trials asked for, at one moment.

    Args:
        trials: of the study, all of them.
        n_trials: how many were asked for; None: as many as there are tickets.
        max_retries: how often a lost trial is tried again.

    Attributes:
        tickets: one for each trial asked for that exists, in their order.
        waiting: those that can be run, retries of early ones first.
        running: those that somebody runs, or died over.
        orphans: lost ones that nobody has made a retry for yet.
        outcomes: finished trials, one for each ticket at most: complete, pruned, or failed for good.
        surplus_retries: retries that were made twice; the later ones.
        missing: how many tickets are still to be made.
    """

    def __init__(self, trials: Sequence[FrozenTrial], n_trials: int | None = None, max_retries: int = 3) -> None:
        self.max_retries = max_retries
        firsts: list[FrozenTrial] = []
        retries: dict[int, FrozenTrial] = {}
        self.surplus_retries: list[FrozenTrial] = []
        for trial in sorted(trials, key=attrgetter("number")):
            retry_of = trial.user_attrs.get(RETRY_OF)
            if retry_of is None:
                firsts.append(trial)
            elif retry_of in retries:
                self.surplus_retries.append(trial)
            else:
                retries[retry_of] = trial
        self.missing = 0 if n_trials is None else max(0, n_trials - len(firsts))
        self.tickets: list[Ticket] = []
        self.waiting: list[Ticket] = []
        self.running: list[Ticket] = []
        self.orphans: list[Ticket] = []
        self.outcomes: list[FrozenTrial] = []
        for index, first in enumerate(firsts[:n_trials]):
            trial = first
            while trial.number in retries and is_lost(trial):
                trial = retries[trial.number]
            self._enter(Ticket(index, first.number, trial))

    def _enter(self, ticket: Ticket) -> None:
        self.tickets.append(ticket)
        match ticket.trial.state:
            case TrialState.WAITING:
                self.waiting.append(ticket)
            case TrialState.RUNNING:
                self.running.append(ticket)
            case _ if self._is_orphan(ticket.trial):
                self.orphans.append(ticket)
            case _:
                self.outcomes.append(ticket.trial)

    @property
    def done(self) -> bool:
        """Whether every trial asked for is finished."""
        return self.missing == 0 and len(self.outcomes) == len(self.tickets)

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        return is_lost(trial) and (attempt_of(trial) < self.max_retries or _is_blameless(trial))


def is_lost(trial: FrozenTrial) -> bool:
    """Say whether a trial failed by losing its worker rather than by its objective."""
    return trial.state == TrialState.FAIL and FAILURE not in trial.user_attrs


def attempt_of(trial: FrozenTrial) -> int:
    """Return how many workers were lost over this ticket before this trial of it."""
    return int(trial.system_attrs.get(ATTEMPT, 0))


def _is_blameless(trial: FrozenTrial) -> bool:
    return bool(trial.system_attrs.get(BLAMELESS, False))


def add_tickets(study: "Study", count: int) -> None:
    """Ask for so many trials."""
    for _ in range(count):
        study.add_trial(create_trial(state=TrialState.WAITING))


def add_retry(study: "Study", lost: FrozenTrial) -> None:
    """Ask for a lost trial again, with the parameters it had drawn so far."""
    parameters = {**lost.system_attrs.get(FIXED, {}), **lost.params}
    attempt = attempt_of(lost) + (0 if _is_blameless(lost) else 1)
    attributes: dict[str, Any] = {FIXED: parameters, ATTEMPT: attempt}
    study.add_trial(create_trial(state=TrialState.WAITING, system_attrs=attributes, user_attrs={RETRY_OF: lost.number}))


def trial_index(trial: Trial | FrozenTrial) -> int:
    """Return the place of a trial among those asked for, from 0, the same for all its retries.

    Args:
        trial: one that a worker has begun.
    """
    frozen = trial if isinstance(trial, FrozenTrial) else trial.storage.get_trial(trial._trial_id)
    return int(frozen.system_attrs.get(OWNER, {}).get("index", frozen.number))


def trial_seed(trial: Trial | FrozenTrial, seed: int = 0) -> int:
    """Derive a seed in [0, 2**32) for what an objective does in one trial, the same for all its retries.

    Args:
        trial: one that a worker has begun.
        seed: of the study.
    """
    return seed_of(seed, trial_index(trial), 1)


def as_asked(trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
    """Yield the trials of a study as if no worker had ever died, in the order they were asked for."""
    if not any(RETRY_OF in trial.user_attrs for trial in trials):
        yield from trials  # as ever, and samplers ask several times for each trial
        return
    for ticket in Ledger(trials).tickets:
        if ticket.trial.number == ticket.first:
            yield ticket.trial
        else:
            retry = copy.copy(ticket.trial)
            retry.number = ticket.first
            yield retry
