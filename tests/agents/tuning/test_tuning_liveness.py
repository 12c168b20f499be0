"""Who is there: by the process on the same machine, by signs of life elsewhere."""

import dataclasses
import os
import subprocess
import sys

import optuna
import pytest
from optuna.trial import TrialState

from rlenvs.agents.tuning.engine.liveness import BEAT, OWNER, Observer, Worker, started_at


def running_trial(owner=None, beat=None):
    attributes = {} if owner is None else {OWNER: dataclasses.asdict(owner)}
    if beat is not None:
        attributes[BEAT] = beat
    return optuna.trial.create_trial(state=TrialState.RUNNING, system_attrs=attributes)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_process_and_what_is_left_of_it():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    worker = dataclasses.replace(Worker.here(), pid=child.pid, started=started_at(child.pid))
    assert not worker.is_gone()
    assert dataclasses.replace(worker, started=worker.started - 1).is_gone()  # the number was given to another process
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert worker.is_gone()  # though the kernel still lists it
    child.communicate()
    assert worker.is_gone()


def test_a_worker_of_this_process_is_there_while_its_loop_runs():
    worker = Worker.here()
    assert worker.is_gone()
    with worker.at_work():
        assert not worker.is_gone()
    assert worker.is_gone()


def test_a_process_of_another_machine_is_never_certainly_gone():
    worker = dataclasses.replace(Worker.here(), machine="another boot", pid=2**22 + 1)
    assert not worker.is_gone()


def test_signs_of_life_are_compared_with_what_the_observer_saw_by_its_own_clock():
    clock = Clock()
    observer = Observer(10.0, clock)
    far = dataclasses.replace(Worker.here(), machine="elsewhere", host="far", pid=7)
    assert observer.cause_of_death(running_trial(far)) is None
    clock.now += 9
    assert observer.cause_of_death(running_trial(far, beat=1)) is None
    clock.now += 9
    assert observer.cause_of_death(running_trial(far, beat=1)) is None
    clock.now += 2
    assert observer.cause_of_death(running_trial(far, beat=1)) == "no sign of life from process 7 on far for 11 s"
    assert observer.cause_of_death(running_trial(far, beat=2)) is None


def test_a_claim_that_was_never_signed():
    clock = Clock()
    observer = Observer(10.0, clock)
    assert observer.cause_of_death(running_trial()) is None
    clock.now += 11
    assert observer.cause_of_death(running_trial()) == "no sign of life from whoever claimed it for 11 s"


def test_a_process_that_is_there_but_gives_no_sign_is_given_up_after_the_grace_period():
    clock = Clock()
    observer = Observer(10.0, clock)
    here = Worker.here()
    with here.at_work():
        assert observer.cause_of_death(running_trial(here)) is None
        clock.now += 11
        assert "no sign of life" in observer.cause_of_death(running_trial(here))


@pytest.mark.parametrize("pid", [0, 2**22 + 1])
def test_no_such_process(pid):
    assert started_at(pid) == -1
