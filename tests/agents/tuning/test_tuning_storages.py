"""Storages by URL: what they are, and what is said when they are none."""

import socket
import subprocess
import sys
import threading
import time

import optuna
import pytest
from optuna.trial import TrialState
from tuning_studies import free_port

from rlenvs.agents.tuning.engine.storage import close_storage, open_storage, serve_storage
from rlenvs.errors import StorageError


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://localhost", "unknown storage 'redis://localhost': use one of journal:PATH"),
        ("study.txt", "unknown storage 'study.txt'"),
        ("journal:", "names no file"),
        ("grpc://localhost", "use grpc://host:port"),
        ("grpc://localhost:many", "use grpc://host:port"),
        ("sqlite://", "use 'memory'"),
        ("sqlite:///:memory:", "use 'memory'"),
        (
            "sqlite:////nowhere/at/all/study.db",
            "storage sqlite:////nowhere/at/all/study.db: unable to open database file",
        ),
        ("mysql://user@localhost/db", "driver is not installed"),
    ],
)
def test_what_is_no_storage(url, message):
    with pytest.raises(StorageError) as error:
        open_storage(url)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "study.db"
    path.write_text("this is text, and long enough to be looked at as a database" * 20)
    with pytest.raises(StorageError, match="file is not a database"):
        open_storage(f"sqlite:///{path}")


def test_a_database_server_that_is_down_is_said_within_seconds_and_without_its_password():
    pytest.importorskip("psycopg")
    began = time.monotonic()
    with pytest.raises(StorageError) as error:
        open_storage(f"postgresql://tuner:secret@127.0.0.1:{free_port()}/studies")
    assert time.monotonic() - began < 8
    assert "connection" in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.slow
def test_servers_that_do_not_answer():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for url in (f"postgresql://tuner@127.0.0.1:{port}/studies", f"grpc://127.0.0.1:{port}"):
            began = time.monotonic()
            with pytest.raises(StorageError):
                open_storage(url)
            assert time.monotonic() - began < 15


@pytest.mark.parametrize("kind", ["journal", "sqlite"])
def test_one_of_many_claims_a_trial(tmp_path, kind):
    url = {"journal": f"journal:{tmp_path}/study.log", "sqlite": f"sqlite:///{tmp_path}/study.db"}[kind]
    study = optuna.create_study(storage=open_storage(url), study_name="s")
    trials = 10
    for _ in range(trials):
        study.add_trial(optuna.trial.create_trial(state=TrialState.WAITING))
    ids = [trial._trial_id for trial in study.trials]
    claims = []
    ready = threading.Barrier(4)

    def claim_all():
        mine = open_storage(url)
        mine.get_all_trials(study._study_id)
        ready.wait()
        claims.extend(number for number in ids if mine.set_trial_state_values(number, TrialState.RUNNING))
        close_storage(mine)

    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claims) == ids
    close_storage(study._storage)


SERVER = "import sys; from rlenvs.agents.tuning.engine.storage import serve_storage; serve_storage(sys.argv[1], port=int(sys.argv[2]))"


@pytest.mark.slow
@pytest.mark.ci
def test_a_storage_server_in_front_of_a_database(tmp_path):
    pytest.importorskip("grpc")
    port, url = free_port(), f"sqlite:///{tmp_path}/study.db"
    server = subprocess.Popen([sys.executable, "-c", SERVER, url, str(port)])
    try:
        storage = open_within(f"grpc://localhost:{port}", 30)
        study = optuna.create_study(storage=storage, study_name="s")
        study.tell(study.ask(), 1.0)
        close_storage(storage)
        there = open_storage(url)
        assert [trial.value for trial in optuna.load_study(study_name="s", storage=there).trials] == [1.0]
        close_storage(there)
    finally:
        server.kill()
        server.wait()


def open_within(url, seconds):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return open_storage(url)
        except StorageError:
            if time.monotonic() > deadline:
                raise


def test_a_journal_is_not_served(tmp_path):
    with pytest.raises(StorageError, match="name a database"):
        serve_storage(f"journal:{tmp_path}/study.log")
