"""SIGKILL of worker processes at random moments, on every storage."""

import os
import signal
import subprocess
import sys
import threading
import time

import optuna
import pytest
from tuning_studies import (
    NOBODY_TO_RUN_IT,
    POSTGRES,
    Killer,
    assert_nothing_lost,
    free_port,
    postgres_server,
    worker_processes,
)

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.engine.storage import close_storage, open_storage
from rlenvs.agents.tuning.engine.tickets import LOST, RETRY_OF, Ledger
from rlenvs.errors import StorageError

KILLS = 20


def sleeper(seconds):
    def objective(trial):
        x = trial.suggest_float("x", -1, 1)
        trial.report(x, 0)
        time.sleep(seconds)
        return x

    return objective


def killed_study(storage, *, asked, kills, workers, seconds, seed):
    plan = StudyPlan(
        "killed",
        storage,
        n_trials=asked,
        sampler=SamplerConfig(name="random"),
        heartbeat_s=0.5,
        grace_s=3.0,
        max_retries=kills,  # chance may hit one trial often
    )
    told = []
    with Killer(kills, seed) as killer:
        study = run_study(
            plan, sleeper(seconds), workers=workers, on_trial=lambda study, trial: told.append(trial.number)
        )
    assert len(killer.killed) == kills, "the study ended before every kill: make it longer"
    assert_nothing_lost(study, asked, kills)
    assert sorted(told) == sorted(trial.number for trial in Ledger(study.trials, asked, kills).outcomes)
    assert worker_processes(os.getpid()) == []
    close_storage(study._storage)
    return study


def test_workers_are_killed_and_nothing_is_lost(tmp_path):
    study = killed_study(f"journal:{tmp_path}/study.log", asked=12, kills=3, workers=2, seconds=0.3, seed=1)
    lost = [trial for trial in study.trials if LOST in trial.user_attrs]
    assert all(trial.user_attrs[LOST].endswith(" ended") or "no sign" in trial.user_attrs[LOST] for trial in lost)
    retries = [trial for trial in study.trials if RETRY_OF in trial.user_attrs]
    by_number = {trial.number: trial for trial in study.trials}
    assert all(by_number[trial.user_attrs[RETRY_OF]].params.items() <= trial.params.items() for trial in retries)


@pytest.mark.slow
@pytest.mark.ci
def test_twenty_kills_on_the_journal(tmp_path):
    killed_study(f"journal:{tmp_path}/study.log", asked=60, kills=KILLS, workers=4, seconds=0.4, seed=2)


@pytest.mark.slow
def test_twenty_kills_on_sqlite(tmp_path):
    killed_study(f"sqlite:///{tmp_path}/study.db", asked=60, kills=KILLS, workers=4, seconds=0.4, seed=3)


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.skipif(POSTGRES is None or NOBODY_TO_RUN_IT, reason="no PostgreSQL server is installed")
def test_twenty_kills_on_postgresql(tmp_path):
    pytest.importorskip("psycopg")
    with postgres_server(tmp_path) as url:
        killed_study(url, asked=60, kills=KILLS, workers=4, seconds=0.4, seed=4)


@pytest.mark.slow
@pytest.mark.skipif(POSTGRES is None or NOBODY_TO_RUN_IT, reason="no PostgreSQL server is installed")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_database_that_ends_while_a_study_runs_is_said_in_one_line(tmp_path, workers):
    pytest.importorskip("psycopg")

    def objective(trial):
        if trial.number == 3:
            os.kill(int((tmp_path / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        time.sleep(0.5)
        return trial.suggest_float("x", 0, 1)

    with postgres_server(tmp_path) as url:
        plan = StudyPlan("s", url, n_trials=100, sampler=SamplerConfig(name="random"))
        began = time.monotonic()
        with pytest.raises(StorageError) as error:
            run_study(plan, objective, workers=workers)
        assert time.monotonic() - began < 40
        assert "\n" not in str(error.value)
        assert "gone" in str(error.value) or "storage postgresql" in str(error.value)


SERVER = "import sys; from rlenvs.agents.tuning.engine.storage import serve_storage; serve_storage(sys.argv[1], port=int(sys.argv[2]))"


@pytest.mark.slow
def test_kills_behind_a_storage_server(tmp_path):
    pytest.importorskip("grpc")
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SERVER, f"sqlite:///{tmp_path}/study.db", str(port)])
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                close_storage(open_storage(f"grpc://localhost:{port}"))
                break
            except StorageError:
                assert time.monotonic() < deadline
        killed_study(f"grpc://localhost:{port}", asked=20, kills=5, workers=2, seconds=0.4, seed=5)
    finally:
        server.kill()
        server.wait()


@pytest.mark.slow
@pytest.mark.ci
def test_a_stopped_worker_loses_its_trial_and_nobody_waits_for_it(tmp_path):
    gate = tmp_path / "first"

    def objective(trial):
        if trial.number == 0:
            gate.write_text(str(os.getpid()))
            time.sleep(60.0)  # nobody waits for what was taken away
            return 100.0
        time.sleep(0.1)
        return 1.0

    plan = StudyPlan(
        "stopped",
        f"journal:{tmp_path}/study.log",
        n_trials=4,
        sampler=SamplerConfig(name="random"),
        heartbeat_s=0.1,
        grace_s=0.5,
    )

    def stop_and_go_on():
        while not gate.exists() or not gate.read_text():
            time.sleep(0.01)
        pid = int(gate.read_text())
        os.kill(pid, signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.1)
            trials = optuna.load_study(study_name="stopped", storage=storage).trials if storage else []
            if trials and trials[0].state.is_finished():
                break
        os.kill(pid, signal.SIGCONT)

    storage = open_storage(plan.storage)
    thread = threading.Thread(target=stop_and_go_on)
    thread.start()
    study = run_study(plan, objective, workers=2)
    thread.join()
    assert_nothing_lost(study, 4)
    assert study.best_value == 1.0
    assert "no sign of life from process" in study.trials[0].user_attrs[LOST]
