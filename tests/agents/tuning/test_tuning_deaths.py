"""Workers that die at any write: no trial is lost, none is counted twice, and the next worker needs no help."""

import random
import threading
import time

import optuna
import pytest
from dying_storage import Killed, dying
from optuna.trial import TrialState

from rlenvs.agents.tuning.engine.attempt import reap
from rlenvs.agents.tuning.engine.interrupts import Interrupts
from rlenvs.agents.tuning.engine.joining import join_study
from rlenvs.agents.tuning.engine.liveness import BEAT, Worker
from rlenvs.agents.tuning.engine.loop import work
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.engine.storage import open_storage
from rlenvs.agents.tuning.engine.tickets import LOST, RETRY_OF, Ledger, add_retry, add_tickets, trial_index

ASKED = 3


def plan_for(storage, **changes):
    values = {"n_trials": ASKED, "sampler": SamplerConfig(name="random"), "heartbeat_s": 0.02, "grace_s": 0.05}
    return StudyPlan("deaths", storage, **{**values, **changes})


def objective(trial):
    x = trial.suggest_float("x", -1, 1)
    trial.report(x, 0)
    trial.set_user_attr("seen", trial.number)
    return x + trial.suggest_float("y", 0, 1)


def work_on(plan, storage):
    study = join_study(plan, storage, resume=True)
    work(plan, study, objective, interrupts=Interrupts(), until=lambda: False)
    return study


def assert_whole(study, plan):
    trials = study.get_trials(deepcopy=False)
    ledger = Ledger(trials, plan.n_trials, plan.max_retries)
    assert ledger.done
    assert len(ledger.outcomes) == plan.n_trials
    assert [trial.state for trial in ledger.outcomes] == [TrialState.COMPLETE] * plan.n_trials
    assert [trial_index(trial) for trial in ledger.outcomes] == list(range(plan.n_trials))
    assert sum(trial.state == TrialState.COMPLETE for trial in trials) == plan.n_trials  # none counted twice
    assert not any(trial.state == TrialState.RUNNING for trial in trials)
    by_number = {trial.number: trial for trial in trials}
    for trial in trials:
        if trial.state == TrialState.COMPLETE and RETRY_OF in trial.user_attrs:
            drawn = by_number[trial.user_attrs[RETRY_OF]].params
            assert drawn.items() <= trial.params.items()
            assert trial_index(trial) == trial_index(ledger.tickets[trial_index(trial)].trial)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_a_worker_may_die_at_any_write(before):
    deaths = 0
    for at in range(200):
        storage = open_storage("memory")
        plan = plan_for(storage)
        try:
            study = work_on(plan, dying(storage, at, before=before))
        except Killed:
            deaths += 1
            study = work_on(plan, storage)
        else:
            assert_whole(study, plan)
            break
        assert_whole(study, plan)
    # The identity, the tickets, and of each trial claim, signature, two draws, report, attribute, result.
    assert deaths >= 1 + ASKED + 7 * ASKED


@pytest.mark.parametrize(
    "sampler", [SamplerConfig(name="random"), SamplerConfig(startup_trials=2)], ids=["random", "tpe"]
)
def test_a_study_whose_workers_die_draws_what_it_draws_without_that(sampler):
    fatal = {2, 12, 15}

    def mortal(trial):
        value = objective(trial)
        if trial.number in fatal and lives:
            lives.pop()
            raise Killed
        return value

    outcomes = []
    for lives in ([], [1, 2, 3]):
        storage = open_storage("memory")
        plan = plan_for(storage, n_trials=30, sampler=sampler)
        study = join_study(plan, storage, resume=True)
        while lives:
            with pytest.raises(Killed):
                work(plan, study, mortal, interrupts=Interrupts(), until=lambda: False)
        work(plan, study, mortal, interrupts=Interrupts(), until=lambda: False)
        assert_whole(study, plan)
        outcomes.append([(trial.params, trial.values) for trial in Ledger(study.trials, 30).outcomes])
    assert len(study.trials) == 33
    assert outcomes[0] == outcomes[1]


def test_workers_that_die_all_the_time_side_by_side(tmp_path):
    asked, workers = 12, 4
    plan = plan_for(f"journal:{tmp_path}/study.log", n_trials=asked, max_retries=1000, grace_s=0.2, heartbeat_s=0.05)
    join_study(plan, open_storage(plan.storage), resume=True)
    deaths = []
    failures = []

    def live_and_die(number):
        draw = random.Random(number)
        while True:
            storage = open_storage(plan.storage)
            try:
                work_on(plan, dying(storage, draw.randrange(4, 40), before=draw.random() < 0.5))
            except Killed:
                deaths.append(number)
            except BaseException as error:  # noqa: BLE001
                failures.append(error)
                return
            else:
                return

    threads = [threading.Thread(target=live_and_die, args=(number,)) for number in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(deaths) >= workers
    assert_whole(optuna.load_study(study_name=plan.name, storage=open_storage(plan.storage)), plan)


def test_two_who_see_a_lost_trial_at_once_make_two_retries_and_one_counts():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=1)
    study = join_study(plan, storage, resume=False)
    add_tickets(study, 1)
    storage.set_trial_state_values(0, TrialState.RUNNING)
    assert reap(study, study.trials[0], "seen by the first", 3)
    assert not reap(study, study.trials[0], "seen by the second", 3)
    assert [trial.user_attrs.get(RETRY_OF) for trial in study.trials] == [None, 0]
    add_retry(study, study.trials[0])  # a third one saw the loss before the retry was there
    assert [ticket.trial.number for ticket in Ledger(study.trials, 1).waiting] == [1]
    work_on(plan, storage)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "FAIL"]
    assert study.trials[2].user_attrs == {RETRY_OF: 0, "surplus": True}
    assert [trial.number for trial in Ledger(study.trials, 1).outcomes] == [1]


def test_killed_between_loss_and_retry():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=1)
    study = join_study(plan, storage, resume=False)
    add_tickets(study, 1)
    storage.set_trial_state_values(0, TrialState.RUNNING)
    storage.set_trial_user_attr(0, LOST, "gone")
    storage.set_trial_state_values(0, TrialState.FAIL)
    assert [ticket.trial.number for ticket in Ledger(study.trials, 1).orphans] == [0]
    work_on(plan, storage)
    assert_whole(study, plan)


def test_a_retry_has_what_was_drawn_also_when_it_is_lost_before_it_draws_again():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=1)
    study = join_study(plan, storage, resume=False)
    add_tickets(study, 1)
    storage.set_trial_state_values(0, TrialState.RUNNING)
    storage.set_trial_param(0, "x", 0.125, optuna.distributions.FloatDistribution(-1, 1))
    assert reap(study, study.trials[0], "gone", 3)
    storage.set_trial_state_values(1, TrialState.RUNNING)
    assert reap(study, study.trials[1], "gone, too", 3)
    work_on(plan, storage)
    assert study.trials[2].params["x"] == 0.125
    assert_whole(study, plan)


def test_an_objective_sees_the_trials_as_they_are():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=2)
    study = join_study(plan, storage, resume=False)
    add_tickets(study, 2)
    storage.set_trial_state_values(0, TrialState.RUNNING)
    reap(study, study.trials[0], "gone", 3)
    seen = []

    def look(trial):
        seen.append([(one.number, one.state.name) for one in trial.study.get_trials(deepcopy=False)])
        assert [one.number for one in trial.study.trials] == [0, 1, 2]
        return 1.0

    work(plan, study, look, interrupts=Interrupts(), until=lambda: False)
    assert seen == [
        [(0, "FAIL"), (1, "WAITING"), (2, "RUNNING")],
        [(0, "FAIL"), (1, "RUNNING"), (2, "COMPLETE")],
    ]


def test_a_long_trial_gives_signs_of_life_and_is_left_alone(tmp_path, monkeypatch):
    plan = plan_for(f"journal:{tmp_path}/study.log", n_trials=2, heartbeat_s=0.05, grace_s=0.4)
    add_tickets(join_study(plan, open_storage(plan.storage), resume=True), 2)
    monkeypatch.setattr(Worker, "is_gone", lambda worker: False)  # as if each were on another machine
    beats = []

    def slow(trial):
        if trial.number == 0:
            time.sleep(1.5)
            beats.append(trial.storage.get_trial(trial._trial_id).system_attrs[BEAT])
        return 1.0

    def worker():
        study = join_study(plan, open_storage(plan.storage), resume=True)
        work(plan, study, slow, interrupts=Interrupts(), until=lambda: False)

    threads = [threading.Thread(target=worker) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    study = optuna.load_study(study_name=plan.name, storage=open_storage(plan.storage))
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE"]
    assert beats[0] > 10


def test_two_who_make_the_first_tickets_at_once_make_too_many_and_so_many_as_asked_count():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=2)
    study = join_study(plan, storage, resume=False)
    add_tickets(study, 2)
    add_tickets(study, 2)
    work_on(plan, storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "WAITING", "WAITING"]
    more = plan_for(storage, n_trials=3)
    work_on(more, storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "WAITING"]
    assert_whole(study, more)


def test_a_trial_that_kills_every_worker_counts_as_failed_in_the_end():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=2, max_retries=2)

    def deadly(trial):
        if trial_index(trial) == 0:
            raise Killed
        return 1.0

    study = join_study(plan, storage, resume=True)
    for _ in range(3):
        with pytest.raises(Killed):
            work(plan, study, deadly, interrupts=Interrupts(), until=lambda: False)
    work(plan, study, deadly, interrupts=Interrupts(), until=lambda: False)
    outcomes = Ledger(study.trials, 2, 2).outcomes
    assert [trial.state.name for trial in outcomes] == ["FAIL", "COMPLETE"]
    assert outcomes[0].user_attrs["failure"].startswith("its worker was lost 3 times, the last time: process ")
    assert len(study.trials) == 4


def test_a_worker_that_only_seemed_dead_finds_its_trial_taken_and_drops_its_result():
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=1)
    study = join_study(plan, storage, resume=False)

    def slow(trial):
        if trial.number == 0:
            reap(study, study.trials[0], "it seemed dead", 3)
            return 100.0
        return 1.0

    work(plan, study, slow, interrupts=Interrupts(), until=lambda: False)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert study.best_value == 1.0


@pytest.mark.parametrize("how", ["report", "suggest", "raise"])
def test_whatever_a_worker_does_with_a_trial_that_was_taken_is_no_failure(how):
    storage = open_storage("memory")
    plan = plan_for(storage, n_trials=1)
    study = join_study(plan, storage, resume=False)

    def slow(trial):
        if trial.number == 0:
            reap(study, study.trials[0], "it seemed dead", 3)
            if how == "raise":
                raise ValueError("its folder was taken away, too")
            trial.report(1.0, 0) if how == "report" else trial.suggest_float("x", 0, 1)
        return 1.0

    work(plan, study, slow, interrupts=Interrupts(), until=lambda: False)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert "failure" not in study.trials[0].user_attrs
