"""Worker processes: what travels to them, how they end, and what is said when they cannot."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
from tuning_studies import assert_nothing_lost, worker_processes

from rlenvs.agents.tuning.engine.job import Job
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.engine.storage import open_storage
from rlenvs.agents.tuning.engine.tickets import LOST, Ledger
from rlenvs.errors import StorageError, StudyError, TuningError

RANDOM = SamplerConfig(name="random")


def plan_in(folder, **changes):
    return StudyPlan("s", f"journal:{folder}/study.log", **{"n_trials": 4, "sampler": RANDOM, **changes})


def helper(x):
    return -x * x


def by_name(trial):
    return helper(trial.suggest_float("x", -1, 1))


def test_functions_closures_and_lambdas_travel(tmp_path):
    factor = 3.0
    spaces = {"x": lambda trial: trial.suggest_float("x", -1, 1)}

    def closure(trial):
        return factor * helper(spaces["x"](trial))

    for number, function in enumerate((by_name, closure, lambda trial: factor * by_name(trial))):
        study = run_study(plan_in(tmp_path / str(number)), function, workers=2)
        assert_nothing_lost(study, 4)
        scale = 1.0 if function is by_name else factor
        assert all(trial.value == pytest.approx(-scale * trial.params["x"] ** 2) for trial in study.trials)


def test_what_cannot_travel(tmp_path):
    lock = threading.Lock()
    with pytest.raises(StudyError, match=r"the objective cannot be sent to workers: .*lock"):
        run_study(plan_in(tmp_path), lambda trial: float(lock.locked()), workers=2)


def test_a_module_that_a_worker_does_not_have(tmp_path):
    data = Job(plan_in(tmp_path), by_name, frozenset(), None).dumps()
    code = "import sys; from rlenvs.agents.tuning.engine.job import Job; print(Job.loads(sys.stdin.buffer.read()).function(None))"
    broken = data.replace(b"test_tuning_workers", b"test_tuning_w0rkers")
    assert broken != data
    result = subprocess.run([sys.executable, "-c", code], input=broken, capture_output=True, check=False)
    assert b"StudyError: a worker cannot import what the objective needs" in result.stderr


def test_when_every_trial_fails_workers_say_the_first_cause(tmp_path):
    def objective(trial):
        raise ValueError("broken from the start")

    with pytest.raises(
        TuningError, match=r"all of the first \d+ trials failed; .*broken from the start \(test_tuning_workers"
    ) as error:
        run_study(plan_in(tmp_path, n_trials=30), objective, workers=2)
    assert "raise ValueError" in error.value.__notes__[0]
    assert worker_processes(os.getpid()) == []


def test_a_trial_that_ends_its_process_is_tried_again_and_then_counts_as_failed(tmp_path):
    def objective(trial):
        if trial.suggest_categorical("deadly", [True, False]):
            os._exit(7)
        return 1.0

    plan = plan_in(tmp_path, n_trials=3, max_retries=1, seed=1)
    study = run_study(plan, objective, workers=2)
    outcomes = Ledger(study.trials, 3, 1).outcomes
    deadly = [trial.params["deadly"] for trial in outcomes]
    assert True in deadly
    assert False in deadly
    assert [trial.state.name for trial in outcomes] == ["FAIL" if one else "COMPLETE" for one in deadly]
    assert all(
        "its worker was lost 2 times" in trial.user_attrs["failure"] for trial in outcomes if trial.params["deadly"]
    )


def test_workers_that_cannot_begin(tmp_path, monkeypatch):
    logs = tmp_path / "logs"
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nprint('no room here', file=sys.stderr, flush=True)\nos._exit(9)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TuningError, match=r"the workers keep dying \(exit code 9\): 11 times") as error:
        run_study(plan_in(tmp_path), by_name, workers=2, log_dir=logs)
    assert "no room here" in error.value.__notes__[0]
    assert "no room here" in (logs / "worker-0.log").read_text()


def test_what_workers_print_is_kept(tmp_path):
    def objective(trial):
        print("trial", trial.number, "reads", repr(sys.stdin.read()))
        return 1.0

    run_study(plan_in(tmp_path, n_trials=2), objective, workers=2, log_dir=tmp_path / "logs")
    printed = "".join(path.read_text() for path in (tmp_path / "logs").iterdir())
    assert "trial 0 reads ''" in printed
    assert "trial 1 reads ''" in printed
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["worker-0.log", "worker-1.log"]


@pytest.mark.slow
@pytest.mark.ci
def test_a_stop_lets_running_trials_finish(tmp_path):
    def objective(trial):
        time.sleep(0.3)
        return 1.0

    told = []
    study = run_study(
        plan_in(tmp_path, n_trials=40),
        objective,
        workers=2,
        stop=lambda: len(told) >= 2,
        on_trial=lambda _, trial: told.append(trial),
    )
    states = [trial.state.name for trial in study.trials]
    assert 2 <= states.count("COMPLETE") < 10
    assert set(states) == {"COMPLETE", "WAITING"}
    assert (
        run_study(plan_in(tmp_path, n_trials=40, timeout_s=0.1), objective, workers=2, resume=True)
        .trials[-1]
        .state.name
        == "WAITING"
    )


SESSION = """
import sys, time
from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig

def objective(trial):
    x = trial.suggest_float("x", 0, 1)
    if len(sys.argv) > 3:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            time.sleep(60)
    time.sleep(float(sys.argv[2]))
    return x

if __name__ == "__main__":
    plan = StudyPlan("s", sys.argv[1], n_trials=4, sampler=SamplerConfig(name="random"))
    run_study(plan, objective, workers=2, resume=True)
"""


def running_session(folder, *arguments):
    script = folder / "session.py"
    script.write_text(SESSION)
    storage = f"journal:{folder}/study.log"
    session = subprocess.Popen([sys.executable, str(script), storage, *arguments], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if Path(folder, "study.log").exists():
            trials = (
                open_storage(storage).get_all_trials(0)
                if b'"op_code":4' in Path(folder, "study.log").read_bytes()
                else []
            )
            if sum(trial.state.name == "RUNNING" and bool(trial.params) for trial in trials) == 2:
                return session, storage, worker_processes(session.pid)
        time.sleep(0.05)
    raise AssertionError(session.communicate())


def gone_within(pids, seconds):
    deadline = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_ctrl_c_gives_running_trials_back_and_ends_clean(tmp_path):
    session, storage, workers = running_session(tmp_path, "30")
    assert len(workers) == 2
    session.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in session.communicate(timeout=20)[1]
    assert gone_within(workers, 1)
    trials = open_storage(storage).get_all_trials(0)
    assert [trial.state.name for trial in trials] == ["FAIL", "FAIL", "WAITING", "WAITING", "WAITING", "WAITING"]
    assert {trial.user_attrs[LOST] for trial in trials[:2]} == {"its worker was asked to end"}
    study = run_study(
        StudyPlan("s", storage, n_trials=4, sampler=RANDOM), lambda trial: trial.suggest_float("x", 0, 1), resume=True
    )
    assert_nothing_lost(study, 4)


@pytest.mark.slow
@pytest.mark.ci
def test_a_second_ctrl_c_ends_at_once(tmp_path):
    session, _, workers = running_session(tmp_path, "30", "deaf")
    session.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert session.poll() is None  # it waits for trials that do not end
    session.send_signal(signal.SIGINT)
    session.communicate(timeout=5)
    assert gone_within(workers, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel ends them there")
def test_workers_die_with_whoever_started_them_and_a_resume_finds_their_trials_at_once(tmp_path):
    session, storage, workers = running_session(tmp_path, "30")
    session.kill()
    session.communicate()
    assert gone_within(workers, 5)
    began = time.monotonic()
    study = run_study(
        StudyPlan("s", storage, n_trials=4, sampler=RANDOM), lambda trial: trial.suggest_float("x", 0, 1), resume=True
    )
    assert time.monotonic() - began < 5
    assert_nothing_lost(study, 4)
    assert [trial.user_attrs[LOST].startswith("process ") for trial in study.trials[:2]] == [True, True]


@pytest.mark.slow
@pytest.mark.ci
def test_two_sessions_share_one_study(tmp_path):
    def objective(trial):
        time.sleep(0.1)
        return trial.suggest_float("x", 0, 1)

    plan = plan_in(tmp_path, n_trials=16)
    studies = []
    sessions = [
        threading.Thread(target=lambda: studies.append(run_study(plan, objective, workers=2, resume=True)))
        for _ in range(2)
    ]
    for session in sessions:
        session.start()
    for session in sessions:
        session.join()
    assert len(studies) == 2
    assert_nothing_lost(studies[0], 16)
    owners = {trial.system_attrs["rlenvs:owner"]["pid"] for trial in Ledger(studies[0].trials, 16).outcomes}
    assert len(owners) >= 3


def test_a_journal_that_breaks_while_workers_run_is_said(tmp_path):
    def objective(trial):
        if trial.number == 1:
            with open(tmp_path / "study.log", "a") as file:
                file.write("somebody else writes here\n")
        time.sleep(0.2)
        return 1.0

    with pytest.raises(StorageError, match="not a line of an Optuna journal"):
        run_study(plan_in(tmp_path), objective, workers=2)
    assert worker_processes(os.getpid()) == []


@pytest.mark.slow
def test_four_workers_finish_sleeping_trials_at_least_three_and_a_half_times_as_fast(tmp_path):
    asked, seconds = 160, 0.75

    def objective(trial):
        time.sleep(seconds)
        return trial.suggest_float("x", 0, 1)

    began = time.monotonic()
    study = run_study(plan_in(tmp_path, n_trials=asked), objective, workers=4)
    took = time.monotonic() - began
    assert_nothing_lost(study, asked)
    assert asked * seconds / took >= 3.5
    assert optuna.trial.TrialState.RUNNING not in {trial.state for trial in study.trials}
