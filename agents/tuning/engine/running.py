"""Running a study: in this process, in worker processes, or on a Ray cluster."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial

from rlenvs.agents.tuning.engine.attempt import Objective
from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.joining import join_study, quiet
from rlenvs.agents.tuning.engine.loop import work
from rlenvs.agents.tuning.engine.plan import MEMORY, StudyPlan
from rlenvs.agents.tuning.engine.storage import close_storage, open_storage, storage_failures
from rlenvs.agents.tuning.engine.tickets import AHEAD, Ledger, add_tickets
from rlenvs.errors import StorageError, StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["run_study"]

OnTrial = Callable[[optuna.Study, FrozenTrial], None]


class Watch:
    """Tells of each trial of this session once, when it is finished.

    Args:
        study: the study.
        plan: what it is.
        on_trial: called with the study and the finished trial, in the order of their ends.
    """

    def __init__(self, study: optuna.Study, plan: StudyPlan, on_trial: OnTrial | None) -> None:
        self.study, self.plan, self.on_trial = study, plan, on_trial
        self.finished_before = frozenset(trial.number for trial in self.ledger().outcomes)
        self._told = set(self.finished_before)

    def ledger(self) -> Ledger:
        """Return what became of the trials asked for, now."""
        return Ledger(self.study.get_trials(deepcopy=False), self.plan.n_trials, self.plan.max_retries)

    def look(self) -> Ledger:
        """Tell of trials that have finished since the last look."""
        ledger = self.ledger()
        news = [trial for trial in ledger.outcomes if trial.number not in self._told]
        for trial in sorted(news, key=lambda trial: (str(trial.datetime_complete), trial.number)):
            self._told.add(trial.number)
            if self.on_trial is not None:
                self.on_trial(self.study, trial)
        return ledger

    @property
    def count(self) -> int:
        """How many trials have been finished, before and now."""
        return len(self._told)


def run_study(
    plan: StudyPlan,
    function: Objective,
    *,
    workers: int = 1,
    ray_address: str | None = None,
    resume: bool = False,
    stop: Callable[[], bool] | None = None,
    on_trial: OnTrial | None = None,
    log_dir: Path | None = None,
) -> optuna.Study:
    """Work on a study until as many trials as asked for are finished.

    Several machines may do so at once, each with a call of its own with `resume=True` and the same storage.

    Args:
        plan: what the study is.
        function: the objective; takes a trial, returns one value or one for each direction. With workers it travels by
            cloudpickle, so that closures and lambdas work.
        workers: 1: in this process; more: so many processes.
        ray_address: of a Ray cluster (`auto`: the one of this machine); the workers are its tasks then.
        resume: go on with the study if it exists, whoever works on it. Without, an existing one is an error.
        stop: asked again and again; once it is true no new trial begins, and running ones finish.
        on_trial: called in this process with the study and each trial that finishes while this runs.
        log_dir: folder for what the worker processes print; None: shown only of a worker that cannot start.

    Returns:
        The study, also when it was stopped before its end.

    Raises:
        StudyError: it exists and is another one or is not to be resumed, or it cannot be run like that.
        StorageError: the storage is down or cannot be read.
        TuningError: every trial fails, or the workers keep dying.
        KeyboardInterrupt: after SIGINT or SIGTERM; running trials were given back and are run first after a resume.

    Example:
        >>> from rlenvs.agents.tuning.engine.samplers import SamplerConfig
        >>> plan = StudyPlan("parabola", n_trials=8, sampler=SamplerConfig(name="random"))
        >>> len(run_study(plan, lambda trial: -(trial.suggest_float("x", -1, 1) ** 2)).trials)
        8
    """
    _check_sharing(plan, workers, ray_address)
    with _told_when_gone(plan), _opened(plan) as storage:
        study = join_study(plan, storage, resume=resume)
        watch = Watch(study, plan, on_trial)
        ledger = watch.ledger()
        add_tickets(study, min(ledger.missing, max(0, AHEAD - len(ledger.waiting))))
        began = time.monotonic()
        deadline = None if plan.timeout_s is None else began + plan.timeout_s

        def until() -> bool:
            return (deadline is not None and time.monotonic() >= deadline) or (stop is not None and stop())

        with Interrupts() as interrupts:
            if ray_address is not None:
                from rlenvs.agents.tuning.engine.ray_workers import run_on_ray

                run_on_ray(plan, function, watch, until, interrupts, workers=workers, address=ray_address)
            elif workers > 1:
                from rlenvs.agents.tuning.engine.workers import run_in_processes

                run_in_processes(plan, function, watch, until, interrupts, workers=workers, log_dir=log_dir)
            else:
                with quiet():
                    work(
                        plan,
                        study,
                        function,
                        interrupts=interrupts,
                        until=until,
                        finished_before=watch.finished_before,
                        after_trial=watch.look,
                    )
        watch.look()
    return study


def _check_sharing(plan: StudyPlan, workers: int, ray_address: str | None) -> None:
    if workers < 1:
        raise StudyError(f"workers must be >= 1, got {workers}")
    if workers == 1 and ray_address is None:
        return
    if not isinstance(plan.storage, str) or plan.storage == MEMORY:
        raise StudyError(
            f"a storage of one process ({plan.storage if plan.storage == MEMORY else type(plan.storage).__name__}) "
            "cannot be shared with workers: name a storage by its URL, such as journal:study.log"
        )


@contextlib.contextmanager
def _opened(plan: StudyPlan) -> Iterator["BaseStorage"]:
    """Open the storage of a study, and close it if the body fails: nobody has the study then to do so."""
    storage = open_storage(plan.storage)
    try:
        yield storage
    except BaseException:
        if isinstance(plan.storage, str):
            with contextlib.suppress(*storage_failures()):
                close_storage(storage)
        raise


@contextlib.contextmanager
def _told_when_gone(plan: StudyPlan) -> Iterator[None]:
    """Say in one line that the storage is gone."""
    try:
        yield
    except StorageError:
        raise
    except storage_failures() as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise StorageError(f"the storage of study {plan.name!r} is gone: {reason}") from error
