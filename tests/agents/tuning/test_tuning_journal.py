"""The journal under many writers, torn ends and foreign lines."""

import fcntl
import json
import multiprocessing
import os
import threading

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage

from rlenvs.agents.tuning.engine import journal as journal_module
from rlenvs.agents.tuning.engine.journal import LockedJournal
from rlenvs.agents.tuning.engine.storage import open_storage
from rlenvs.errors import StorageError


def record(number):
    return {"op_code": 8, "worker_id": "w", "n": number}


def small_study(path, trials=3):
    study = optuna.create_study(storage=JournalStorage(LockedJournal(path)), study_name="s")
    for number in range(trials):
        study.tell(study.ask(), float(number))
    return study


def test_optuna_and_we_read_each_others_files(tmp_path):
    path = tmp_path / "study.log"
    small_study(path)
    theirs = JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="s", storage=theirs)
    study.tell(study.ask(), 7.0)
    again = optuna.load_study(study_name="s", storage=open_storage(str(path)))
    assert [trial.value for trial in again.trials] == [0.0, 1.0, 2.0, 7.0]


@given(cut=st.integers(1, 400))
def test_a_torn_end_is_cut_off_by_the_next_writer_and_ignored_until_then(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("torn") / "study.log"
    journal = LockedJournal(path)
    journal.append_logs([record(number) for number in range(5)])
    whole = path.read_bytes()
    torn = whole[: max(0, len(whole) - cut)]
    path.write_bytes(torn)
    left = torn.count(b"\n")
    assert [log["n"] for log in LockedJournal(path).read_logs(0)] == list(range(left))
    journal = LockedJournal(path)
    journal.append_logs([record(99)])
    assert [log["n"] for log in journal.read_logs(0)] == [*range(left), 99]
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize(
    "tail", [b'{"op_code":5,"worker_i', b"\0" * 70_000, b"x" * 200_000], ids=["half", "zeros", "long"]
)
def test_a_torn_journal_is_repaired_and_not_lost(tmp_path, tail):
    path = tmp_path / "study.log"
    small_study(path)
    with path.open("ab") as file:
        file.write(tail)
    study = optuna.load_study(study_name="s", storage=open_storage(f"journal:{path}"))
    assert [trial.value for trial in study.trials] == [0.0, 1.0, 2.0]
    study.tell(study.ask(), 3.0)
    assert [json.loads(line)["op_code"] for line in path.read_text().splitlines()]
    again = optuna.load_study(study_name="s", storage=open_storage(f"journal:{path}"))
    assert [trial.value for trial in again.trials] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    "foreign", [b"hello\n", b"\n", b"[1]\n", b'{"op_code": "x", "worker_id": "y"}\n', b'{"a": 1}\n']
)
def test_a_foreign_line_is_named(tmp_path, foreign):
    path = tmp_path / "study.log"
    small_study(path, trials=1)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], foreign, *lines[2:]]))
    with pytest.raises(StorageError, match=r"study\.log:3: not a line of an Optuna journal"):
        open_storage(f"journal:{path}")


def test_lines_that_do_not_follow_from_each_other(tmp_path):
    path = tmp_path / "study.log"
    path.write_text('{"op_code": 77, "worker_id": "w"}\n')
    with pytest.raises(StorageError, match="do not follow from each other"):
        open_storage(f"journal:{path}")


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    journal = LockedJournal(path)
    journal.append_logs([record(1)])
    before = path.read_bytes()

    def half(descriptor, data):
        os.write(descriptor, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(journal_module, "_write", half)
    with pytest.raises(StorageError, match="No space left on device"):
        journal.append_logs([record(2)])
    assert path.read_bytes() == before


def test_a_holder_that_does_not_let_go_is_named(tmp_path, monkeypatch):
    path = tmp_path / "study.log"
    journal = LockedJournal(path)
    monkeypatch.setattr(journal_module, "LOCK_DEADLINE_S", 0.05)
    with path.open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(StorageError, match=f"by (process {os.getpid()}|another process): is it stopped"):
            journal.append_logs([record(1)])
    journal.append_logs([record(1)])
    assert [log["n"] for log in journal.read_logs(0)] == [1]


def test_reading_goes_on_where_it_ended(tmp_path):
    journal = LockedJournal(tmp_path / "study.log")
    seen = 0
    for number in range(20):
        journal.append_logs([record(number), record(number + 100)])
        news = [log["n"] for log in journal.read_logs(seen)]
        assert news == [number, number + 100]
        seen += 2
    assert [log["n"] for log in LockedJournal(journal.path).read_logs(39)] == [119]
    assert list(journal.read_logs(40)) == []


def append(path, writer, count):
    journal = LockedJournal(path)
    for number in range(count):
        journal.append_logs([{"op_code": 8, "worker_id": str(writer), "n": number, "filling": "x" * 5000}])


def test_writers_side_by_side_lose_nothing(tmp_path):
    path = tmp_path / "study.log"
    threads = [threading.Thread(target=append, args=(path, f"t{n}", 30)) for n in range(2)]
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=append, args=(path, f"p{n}", 30)) for n in range(2)]
    for one in (*processes, *threads):
        one.start()
    for one in (*processes, *threads):
        one.join()
    logs = list(LockedJournal(path).read_logs(0))
    for writer in ("t0", "t1", "p0", "p1"):
        assert [log["n"] for log in logs if log["worker_id"] == writer] == list(range(30))


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"journal .*file/study\.log: "):
        open_storage(f"journal:{tmp_path}/file/study.log")
