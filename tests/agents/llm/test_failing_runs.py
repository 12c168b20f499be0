"""Runs that fail or are told to end: what they leave, what they say, and that nothing is lost."""

import io
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bare_runs import bare_config, numbers, quiet, rows

from rlenvs.agents.llm import resume, train
from rlenvs.agents.llm.callbacks import Callback
from rlenvs.agents.llm.engines import GenerateEngine
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.runs.checkpoint import list_checkpoints
from rlenvs.agents.runs.signals import INTERRUPTED, REQUEUE, stop_on_signal
from rlenvs.config_file import dump_config
from rlenvs.errors import ComponentError, EngineError, RunFolderError, TrainingDivergedError
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward


class Count:
    """Wraps a method so that its n-th call in a run raises."""

    def __init__(self, monkeypatch, owner, name, error, at):
        real = getattr(owner, name)
        self.calls = 0

        def wrapped(instance, *args, **kwargs):
            self.calls += 1
            if self.calls == at:
                raise error
            return real(instance, *args, **kwargs)

        monkeypatch.setattr(owner, name, wrapped)


# In a bare run the engine is asked twice to evaluate the start, then once an iteration and twice more every second one.
FAILURES = {
    "engine": (GenerateEngine, "generate", EngineError("engine 'generate' died"), 8, 3),
    "component": (VectorShapedReward, "step", ComponentError("component 'right' failed"), 5, 3),
    "divergence": (Learner, "learn", TrainingDivergedError("a loss is not finite"), 4, 2),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_run_that_fails_leaves_what_to_go_on_from(tmp_path, monkeypatch, kind):
    """A rollout that fails costs nothing; an update that fails costs what came after the last checkpoint."""
    owner, name, error, call, saved = FAILURES[kind]
    out = io.StringIO()
    with monkeypatch.context() as patch:
        Count(patch, owner, name, error, call)
        with pytest.raises(type(error), match=str(error)) as caught:
            train(bare_config(tmp_path), view=quiet(out))
    run = tmp_path / "run"
    hint = f"failed at iteration 4; go on after iteration {saved}: rlenvs train --resume {run}"
    assert hint in out.getvalue()
    assert caught.value.__notes__ == [hint]
    assert [row["iteration"] for row in rows(run)] == [0, 1, 2, 3]
    assert (run / "report.html").is_file()
    assert list_checkpoints(run / "checkpoints")[-1].name == f"iteration-{saved:06d}"
    resume(run, view=quiet())
    whole = train(bare_config(tmp_path, f"output.dir={tmp_path / 'whole'}"), view=quiet()).run_dir
    assert numbers(run) == numbers(whole)
    assert (run / "rollouts.jsonl").read_bytes() == (whole / "rollouts.jsonl").read_bytes()


def test_what_callbacks_did_in_an_iteration_that_failed_is_not_in_its_checkpoint(tmp_path, monkeypatch):
    class Begun(Callback):
        def __init__(self):
            self.begun = []

        def on_iteration_begin(self, state):
            self.begun.append(state.iteration)

        def state_dict(self):
            return {"begun": self.begun}

        def load_state_dict(self, state):
            self.begun = list(state["begun"])

    with monkeypatch.context() as patch:
        Count(patch, *FAILURES["engine"][:4])
        with pytest.raises(EngineError):
            train(bare_config(tmp_path), callbacks=[Begun()], view=quiet())
    again = Begun()
    resume(tmp_path / "run", callbacks=[again], view=quiet())
    assert again.begun == [1, 2, 3, 4, 5, 6]


def test_a_run_that_fails_before_its_first_checkpoint_promises_nothing(tmp_path, monkeypatch):
    out = io.StringIO()
    Count(monkeypatch, GenerateEngine, "generate", EngineError("died"), 1)
    with pytest.raises(EngineError) as caught:
        train(bare_config(tmp_path), view=quiet(out))
    assert "--resume" not in out.getvalue()
    assert not hasattr(caught.value, "__notes__")


FULL = """
import io, resource, sys, torch
from pathlib import Path
torch.set_num_threads(1)
from rlenvs.agents.llm import TrainConfig, train, resume
from rlenvs.agents.llm.callbacks import Callback
from rlenvs.agents.reporting import make_view
from rlenvs.errors import RunFolderError

class Fills(Callback):
    def on_iteration_end(self, state):
        if state.iteration == 4:
            limit = int(sys.argv[2])
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

try:
    train(TrainConfig.load(sys.argv[1]), callbacks=[Fills()], view=make_view(plain=True, stream=io.StringIO()))
except RunFolderError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.ci
@pytest.mark.parametrize(
    ("limit", "message"),
    [
        pytest.param(20_000, "cannot write checkpoint {run}/checkpoints/iteration-000004: File too large"),
        pytest.param(1_000, "cannot write to {run}/rollouts.jsonl: File too large", marks=pytest.mark.slow),
    ],
)
def test_a_full_disk_is_one_clear_line_and_the_run_goes_on_afterwards(tmp_path, limit, message):
    """For real: from iteration 4 on the kernel refuses to let files grow beyond a limit."""
    config = tmp_path / "run.yaml"
    config.write_text(dump_config(bare_config(tmp_path, "ppo.iterations=6")))
    command = [sys.executable, "-c", FULL, str(config), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    run = tmp_path / "run"
    assert done.stdout == message.format(run=run) + "\n"
    assert "Traceback" not in done.stderr
    assert [path.name for path in list_checkpoints(run / "checkpoints")] == ["iteration-000000", "iteration-000002"]
    assert not list((run / "checkpoints").glob(".*"))
    resume(run, view=quiet())
    whole = train(bare_config(tmp_path, f"output.dir={tmp_path / 'whole'}"), view=quiet()).run_dir
    assert numbers(run) == numbers(whole)
    assert (run / "rollouts.jsonl").read_bytes() == (whole / "rollouts.jsonl").read_bytes()


def test_logs_that_are_not_the_runs_own_are_refused(tmp_path):
    run = train(bare_config(tmp_path), view=quiet(), stop=iter([False, False, True]).__next__).run_dir
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(RunFolderError, match=r"metrics.jsonl has 0 bytes, and had \d+ when the checkpoint was written"):
        resume(run, view=quiet())


# --- signals


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, INTERRUPTED), (signal.SIGUSR1, REQUEUE)]
)
def test_the_first_signal_asks_and_the_second_ends(number, code):
    lines = []
    before = signal.getsignal(number)
    with stop_on_signal(lines.append) as stop:
        assert not stop()
        signal.raise_signal(number)
        assert stop()
        assert stop.exit_code == code
        assert len(lines) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_a_signal_before_there_is_anything_to_save_ends_at_once():
    with stop_on_signal(print), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)
    with stop_on_signal(print), pytest.raises(SystemExit) as caught:
        signal.raise_signal(signal.SIGUSR1)
    assert caught.value.code == REQUEUE == 75


@pytest.mark.slow
@pytest.mark.ci
def test_a_run_that_is_to_be_requeued_goes_on_by_auto(tmp_path):
    """As a batch script does it: the signal, the exit code, the same command again."""
    config = tmp_path / "run.yaml"
    config.write_text(dump_config(bare_config(tmp_path, "ppo.iterations=40")))
    command = [sys.executable, "-m", "rlenvs", "train", str(config), "--resume", "auto", "--plain"]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for_lines(tmp_path / "run/metrics.jsonl", 4, first)
    first.send_signal(signal.SIGUSR1)
    output, _ = first.communicate(timeout=120)
    assert first.returncode == REQUEUE, output
    assert "stopping after this iteration to be requeued" in output
    done = rows(tmp_path / "run")[-1]["iteration"]
    assert 3 <= done < 40
    second = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert second.returncode == 0, second.stderr
    assert f"resumed after iteration {done}" in second.stdout
    assert [row["iteration"] for row in rows(tmp_path / "run")] == list(range(41))


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until a run has logged so many iterations."""
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if path.is_file() and path.read_text().count("\n") >= count:
            return
        time.sleep(0.01)
    process.kill()
    raise AssertionError(f"the run did not get going: {process.communicate()[0]}")
