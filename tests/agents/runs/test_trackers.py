"""Trackers: what they are told, what of it survives a resume, what becomes of one that fails or is not there."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from rlenvs.agents.runs.log_file import LogFile
from rlenvs.agents.runs.trackers import JsonLines, Trackers, check_trackers, open_trackers
from rlenvs.agents.runs.trackers.weights_and_biases import WeightsAndBiases
from rlenvs.errors import MissingExtraError, RunFolderError


def test_metrics_are_one_line_per_iteration(tmp_path):
    tracker = JsonLines(LogFile(tmp_path / "metrics.jsonl"))
    for iteration in (0, 1):
        tracker.log({"iteration": iteration, "kl": 0.5}, iteration)
    tracker.close()
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"iteration": 0, "kl": 0.5}, {"iteration": 1, "kl": 0.5}]


def test_a_log_is_cut_back_to_what_it_was_at_the_checkpoint(tmp_path):
    log = LogFile(tmp_path / "log")
    log.write("before\n")
    size = log.sync()
    log.write("after\nhalf a li")
    log.close()
    again = LogFile(tmp_path / "log", size)
    again.write("again\n")
    again.close()
    assert (tmp_path / "log").read_text() == "before\nagain\n"


def test_a_log_that_is_shorter_than_at_the_checkpoint_is_not_filled_up_with_nothing(tmp_path):
    (tmp_path / "log").write_text("short\n")
    with pytest.raises(RunFolderError, match="log has 6 bytes, and had 100 when the checkpoint was written"):
        LogFile(tmp_path / "log", 100)
    assert (tmp_path / "log").read_text() == "short\n"


def test_a_log_takes_whatever_a_model_wrote(tmp_path):
    log = LogFile(tmp_path / "log")
    log.write("\ud800 \0 é\n")
    log.close()
    assert (tmp_path / "log").read_text(encoding="utf-8") == "\\ud800 \0 é\n"


def test_a_log_on_a_full_disk_is_one_clear_line(tmp_path):
    log = LogFile(tmp_path / "log")
    log.file.close()
    log.file = Path("/dev/full").open("ab", buffering=0)  # noqa: SIM115 - closed below
    with pytest.raises(RunFolderError, match=r"cannot write to .*/log: No space left on device"):
        log.write("x")
    log.close()  # nothing was waiting in a buffer


def test_a_log_that_cannot_be_made_is_one_clear_line(tmp_path):
    with pytest.raises(RunFolderError, match=r"cannot write to .*/none/log: No such file or directory"):
        LogFile(tmp_path / "none" / "log")


class Recorder:
    def __init__(self, name, fails_at=None):
        self.name = name
        self.fails_at = fails_at
        self.logged = []
        self.closed = 0

    def log(self, metrics, iteration):
        if iteration == self.fails_at:
            raise ConnectionError("the server\nis gone")
        self.logged.append(iteration)

    def close(self):
        self.closed += 1
        if self.name == "bad end":
            raise OSError("not now")


def test_a_tracker_that_fails_costs_nothing_but_itself():
    notes = []
    good, bad = Recorder("good"), Recorder("bad", fails_at=1)
    trackers = Trackers([bad, good], notes.append)
    for iteration in range(3):
        trackers.log({}, iteration)
    trackers.close()
    trackers.close()
    assert (good.logged, bad.logged) == ([0, 1, 2], [0])
    assert good.closed == 1
    assert notes == [
        "tracker bad failed at iteration 1 and gets nothing more (ConnectionError: the server is gone); "
        "metrics.jsonl goes on"
    ]


def test_a_tracker_that_fails_when_it_is_closed_is_told():
    notes = []
    good = Recorder("good")
    Trackers([good, Recorder("bad end")], notes.append).close()
    assert good.closed == 1
    assert notes == ["tracker bad end failed when it was closed (OSError: not now)"]


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_shows_each_iteration_once_after_a_resume(tmp_path):
    pytest.importorskip("tensorboard")
    for first, last, value in ((0, 6, 1.0), (4, 8, 2.0)):  # killed after 6, resumed from the checkpoint of 3
        trackers = open_trackers(["tensorboard"], tmp_path, "run", {}, first)
        for iteration in range(first, last + 1):
            trackers.log({"iteration": iteration, "reward/total": value}, iteration)
        trackers.close()
    expected = [(iteration, 1.0 if iteration < 4 else 2.0) for iteration in range(9)]
    assert scalars(tmp_path / "tensorboard") == {"reward/total": expected}


def test_a_run_goes_without_tensorboard_where_it_is_not_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    notes = []
    check_trackers(["tensorboard"])
    trackers = open_trackers(["tensorboard"], tmp_path, "run", {}, note=notes.append)
    assert trackers.trackers == []
    assert notes == ["tensorboard is not installed, so it gets no metrics: pip install 'rlenvs[report]'"]


def test_wandb_that_is_not_installed_is_refused_before_the_run(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r"wandb is not installed: tracker 'wandb' needs it.*rlenvs\[wandb\]"):
        check_trackers(["tensorboard", "wandb"])


class FakeWandb:
    """The part of wandb that is used, and how it was used."""

    def __init__(self, logged_in=False):
        self.logged_in = logged_in
        self.inits = []
        self.logged = []
        self.finished = 0

    def login(self, prompt, verify):
        assert not prompt
        assert not verify
        return self.logged_in

    def Settings(self, **settings):  # noqa: N802 - its name
        return settings

    def init(self, **arguments):
        self.inits.append(arguments)
        offline = arguments["mode"] == "offline"
        return SimpleNamespace(
            offline=offline,
            url=None if offline else "https://host/run",
            settings=SimpleNamespace(sync_dir="/runs/wandb/offline"),
            log=lambda metrics, step: self.logged.append((step, metrics)),
            finish=lambda: setattr(self, "finished", self.finished + 1),
        )


@pytest.fixture
def wandb(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return fake


def test_a_resumed_run_goes_on_in_the_same_wandb_run(tmp_path, wandb):
    for _ in range(2):
        tracker = WeightsAndBiases(tmp_path, "chains", {"seed": 0})
        tracker.log({"iteration": 3, "kl": 0.5}, 3)
        tracker.close()
    first, second = wandb.inits
    assert first["id"] == second["id"]
    assert (first["resume"], first["name"], first["project"], first["config"]) == (
        "allow",
        "chains",
        "rlenvs",
        {"seed": 0},
    )
    assert first["dir"] == str(tmp_path)
    assert wandb.logged == [(3, {"kl": 0.5})] * 2
    assert wandb.finished == 2
    other = tmp_path / "other"
    other.mkdir()
    WeightsAndBiases(other, "chains", {})
    assert wandb.inits[-1]["id"] != first["id"]


def test_where_nobody_is_logged_in_wandb_is_offline_and_says_how_to_upload(tmp_path, wandb):
    notes = []
    WeightsAndBiases(tmp_path, "run", {}, notes.append)
    assert wandb.inits[0]["mode"] == "offline"
    assert notes == ["W&B: offline; upload with: wandb sync /runs/wandb/offline"]


def test_where_somebody_is_logged_in_or_has_chosen_wandb_decides(tmp_path, wandb, monkeypatch):
    notes = []
    wandb.logged_in = True
    WeightsAndBiases(tmp_path, "run", {}, notes.append)
    wandb.logged_in = False
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    WeightsAndBiases(tmp_path, "run", {}, notes.append)
    assert [arguments["mode"] for arguments in wandb.inits] == [None, None]
    assert wandb.inits[1]["project"] == "mine"
    assert notes == ["W&B: https://host/run"] * 2


REAL = """
import sys
from pathlib import Path
from rlenvs.agents.runs.trackers import open_trackers
for first in (0, 3):
    trackers = open_trackers(["wandb"], Path(sys.argv[1]), "offline-run", {"seed": 7}, first, print)
    for iteration in range(first, first + 4):
        trackers.log({"iteration": iteration, "accuracy/greedy": 0.5 + iteration}, iteration)
    trackers.close()
"""


def test_the_real_wandb_works_without_account_and_network(tmp_path):
    if importlib.util.find_spec("wandb") is None:
        pytest.skip("wandb is not installed")
    home = tmp_path / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    environment |= {"HOME": str(home), "NETRC": str(home / "none"), "https_proxy": "http://127.0.0.1:1"}
    command = [sys.executable, "-c", REAL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(
        line.startswith(f"W&B: offline; upload with: wandb sync {tmp_path}/wandb/offline-run-") for line in lines
    )
    run_id = (tmp_path / "wandb-run-id.txt").read_text().strip()
    files = sorted(tmp_path.glob(f"wandb/offline-run-*-{run_id}/run-{run_id}.wandb"))
    assert len(files) == 2
    assert all(b"accuracy/greedy" in file.read_bytes() for file in files)
