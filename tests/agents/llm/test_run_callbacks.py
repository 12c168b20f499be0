"""Callbacks in whole runs: when they are called, how they end a run, what they leave, how they resume."""

import io
import json

import pytest
import torch
from bare_runs import bare_config, numbers, quiet, rows
from transformers import AutoModelForCausalLM

from rlenvs.agents.llm import resume, train
from rlenvs.agents.llm.callbacks import BestModel, Callback, KLEarlyStop, RunState, SampleLogger
from rlenvs.agents.llm.callbacks.base import HOOKS
from rlenvs.agents.runs.checkpoint import load_latest_checkpoint
from rlenvs.errors import CallbackError, ConfigError, RunFolderError


class Diary(Callback):
    """Remembers which hooks were called, and what they saw."""

    def __init__(self) -> None:
        self.entries: list[list[object]] = []

    def state_dict(self):
        return {"entries": self.entries}

    def load_state_dict(self, state):
        self.entries = [list(entry) for entry in state["entries"]]


def _hook(name):
    def called(self, state: RunState) -> None:
        self.entries.append([name.removeprefix("on_"), state.iteration])

    return called


for _name in HOOKS:
    setattr(Diary, _name, _hook(_name))


class StopAt(Callback):
    def __init__(self, iteration: int, hook: str = "on_iteration_end") -> None:
        setattr(self, hook, lambda state: state.stop("enough") if state.iteration == iteration else None)


class Fails(Callback):
    def __init__(self, hook: str, iteration: int) -> None:
        self.calls = 0

        def fail(state: RunState) -> None:
            if state.iteration == iteration:
                self.calls += 1
                raise ZeroDivisionError("division by zero")

        setattr(self, hook, fail)


def test_hooks_are_called_in_their_order(tmp_path):
    diary = Diary()
    train(bare_config(tmp_path, "ppo.iterations=2"), callbacks=[diary], view=quiet())
    assert diary.entries == [
        ["train_begin", 0],
        ["evaluation_end", 0],
        ["checkpoint_saved", 0],
        ["iteration_begin", 1],
        ["rollout_end", 1],
        ["update_end", 1],
        ["iteration_end", 1],
        ["iteration_begin", 2],
        ["rollout_end", 2],
        ["update_end", 2],
        ["evaluation_end", 2],
        ["iteration_end", 2],
        ["checkpoint_saved", 2],
        ["train_end", 2],
    ]


def test_hooks_see_what_there_is_so_far(tmp_path):
    seen = {}

    class Looks(Callback):
        def on_rollout_end(self, state):
            seen["rollout"] = set(state.metrics), len(state.records), state.trainer.iteration

        def on_update_end(self, state):
            seen["update"] = set(state.metrics), len(state.records), state.trainer.iteration
            state.metrics["mine"] = 4.0

    run = train(bare_config(tmp_path, "ppo.iterations=1"), callbacks=[Looks()], view=quiet()).run_dir
    metrics, turns, done = seen["rollout"]
    assert {"reward/total", "accuracy/train"} <= metrics
    assert not {"policy_loss", "kl"} & metrics
    assert (turns, done) == (6, 0)
    metrics, turns, done = seen["update"]
    assert {"reward/total", "policy_loss", "kl"} <= metrics
    assert (turns, done) == (6, 1)
    assert rows(run)[1]["mine"] == 4.0  # what is added is logged


@pytest.mark.parametrize("hook", ["on_rollout_end", "on_update_end", "on_evaluation_end", "on_iteration_end"])
def test_a_stop_ends_the_run_cleanly_and_for_good(tmp_path, hook):
    out = io.StringIO()
    iteration = 2 if hook == "on_evaluation_end" else 3
    result = train(bare_config(tmp_path), callbacks=[StopAt(iteration, hook)], view=quiet(out))
    assert (result.iterations, result.stop_reason, result.interrupted) == (iteration, "enough", False)
    assert "stopped enough" in out.getvalue()
    assert "--resume" not in out.getvalue()
    assert "accuracy/greedy" in rows(result.run_dir)[-1]  # the last iteration is evaluated, whenever it comes
    assert (result.run_dir / "report.html").is_file()
    AutoModelForCausalLM.from_pretrained(result.run_dir / "model")
    before = numbers(result.run_dir)
    again = resume(result.run_dir, view=quiet())
    assert (again.iterations, again.stop_reason) == (iteration, "enough")
    assert numbers(result.run_dir) == before


def test_a_run_that_a_callback_ended_goes_on_once_callbacks_are_changed(tmp_path):
    stopped = train(
        bare_config(tmp_path, "callbacks=[{class: TargetStop, value: 0.0}, {class: KLEarlyStop}]"), view=quiet()
    )
    assert stopped.stop_reason.startswith("accuracy/greedy reached 0")
    assert stopped.iterations == 0  # the model was good enough from the start
    config = bare_config(tmp_path, "callbacks=[]")
    out = io.StringIO()
    assert resume(stopped.run_dir, config=config, view=quiet(out)).iterations == 6
    assert "changed since the checkpoint: callbacks: " in out.getvalue()
    whole = train(bare_config(tmp_path, f"output.dir={tmp_path / 'whole'}"), view=quiet())
    assert numbers(stopped.run_dir) == numbers(whole.run_dir)


def test_callbacks_and_logs_resume_to_what_they_would_have_been(tmp_path):
    """Everything with a state at once, killed (as far as its files go) between two checkpoints, and resumed."""
    entries = [
        {"class": "KLEarlyStop", "threshold": 1e-9, "patience": 50},
        {"class": "BestModel"},
        {"class": "SampleLogger", "every": 1},
        {"class": "ParameterSchedule", "parameter": "entropy_coef", "start": 0.1, "end": 0.0},
        {"class": "ParameterSchedule", "parameter": "kl_coef", "start": 0.1, "end": 0.01},
        {"class": "HackMonitor", "window": 2},
    ]
    whole_diary, cut_diary = Diary(), Diary()
    whole = train(bare_config(tmp_path, callbacks=entries), callbacks=[whole_diary], view=quiet()).run_dir

    class Dies(Callback):
        def on_update_end(self, state):
            if state.iteration == 4:
                raise KeyboardInterrupt  # ends the process at once, as a second Ctrl-C does

    config = bare_config(tmp_path, f"output.dir={tmp_path / 'cut'}", callbacks=entries)
    with pytest.raises(KeyboardInterrupt):
        train(config, callbacks=[cut_diary, Dies()], view=quiet())
    cut_diary = Diary()
    resume(tmp_path / "cut", callbacks=[cut_diary], view=quiet())
    assert numbers(tmp_path / "cut") == numbers(whole)
    for name in ("samples.txt", "rollouts.jsonl", "best/best.json"):
        assert (tmp_path / "cut" / name).read_text() == (whole / name).read_text()
    called = [entry for entry in cut_diary.entries if entry != ["train_begin", 2]]
    # What happened after a checkpoint was written is not in it.
    assert called == [entry for entry in whole_diary.entries if entry != ["checkpoint_saved", 2]]
    values = [row["schedule/entropy_coef"] for row in rows(whole)[1:]]
    assert values == pytest.approx([0.1, 0.08, 0.06, 0.04, 0.02, 0.0])
    assert [row["kl_coef"] for row in rows(whole)[1:]] == [row["schedule/kl_coef"] for row in rows(whole)[1:]]


def test_an_entropy_bonus_that_is_scheduled_is_the_one_that_is_used(tmp_path):
    """A constant schedule gives the run of the constant itself."""
    schedule = [{"class": "ParameterSchedule", "parameter": "entropy_coef", "start": 0.3, "end": 0.3}]
    scheduled = train(bare_config(tmp_path, callbacks=schedule), view=quiet()).run_dir
    plain = train(bare_config(tmp_path, "ppo.entropy_coef=0.3", f"output.dir={tmp_path / 'b'}"), view=quiet()).run_dir
    without = train(bare_config(tmp_path, f"output.dir={tmp_path / 'c'}"), view=quiet()).run_dir
    kept = [{k: v for k, v in row.items() if not k.startswith("schedule/")} for row in numbers(scheduled)]
    assert kept == numbers(plain)
    assert kept != numbers(without)


def test_the_best_model_is_that_of_the_best_evaluation(tmp_path):
    """Judged by a metric that is made up here, so that the best is known: iteration 4, in a run of 6."""
    weights = {}

    class Grades(Callback):
        def on_evaluation_end(self, state):
            state.metrics["grade"] = {0: 0.1, 2: 0.5, 4: 0.9, 6: 0.9}[state.iteration]
            weights[state.iteration] = {k: v.clone() for k, v in state.trainer.policy.model.state_dict().items()}

    out = io.StringIO()
    run = train(bare_config(tmp_path), callbacks=[Grades(), BestModel("grade")], view=quiet(out)).run_dir
    assert json.loads((run / "best/best.json").read_text()) == {"metric": "grade", "value": 0.9, "iteration": 4}
    best = AutoModelForCausalLM.from_pretrained(run / "best").state_dict()
    assert all(torch.equal(best[name], weights[4][name]) for name in best)
    assert f"best model {run}/best (grade 0.9 at iteration 4)" in out.getvalue()
    assert not [path.name for path in run.iterdir() if path.name.startswith(".")]


def test_a_killed_replacement_of_the_best_model_is_put_back(tmp_path):
    class Stops(Callback):
        def on_iteration_end(self, state):
            if state.iteration == 2:
                state.folder.path.joinpath("best").rename(state.folder.path / ".best-before")

    with pytest.raises(RuntimeError, match="killed"):
        train(bare_config(tmp_path), callbacks=[BestModel(), Stops()], view=quiet(), stop=_raise_at(3))
    assert not (tmp_path / "run/best").exists()
    resume(tmp_path / "run", callbacks=[BestModel()], view=quiet())
    assert (tmp_path / "run/best/best.json").is_file()
    assert not (tmp_path / "run/.best-before").exists()


def _raise_at(call):
    calls = iter(range(100))

    def stop():
        if next(calls) == call:
            raise RuntimeError("killed")
        return False

    return stop


@pytest.mark.parametrize("hook", ["on_iteration_begin", "on_rollout_end", "on_update_end", "on_iteration_end"])
def test_a_callback_that_raises_is_named_and_nothing_is_lost(tmp_path, hook):
    out = io.StringIO()
    diary = Diary()
    with pytest.raises(
        CallbackError, match=f"callback Fails failed in {hook} at iteration 3: ZeroDivisionError"
    ) as caught:
        train(bare_config(tmp_path), callbacks=[Fails(hook, 3), diary], view=quiet(out))
    run = tmp_path / "run"
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    hint = f"failed at iteration 3; go on after iteration 3: rlenvs train --resume {run}"
    assert hint in out.getvalue()
    assert caught.value.__notes__ == [hint]
    assert load_latest_checkpoint(run / "checkpoints")["iteration"] == 3  # the iteration was finished and saved
    assert (run / "report.html").is_file()
    assert ["checkpoint_saved", 3] in diary.entries  # the others went on
    resume(run, callbacks=[Diary()], view=quiet())
    whole = train(bare_config(tmp_path, f"output.dir={tmp_path / 'whole'}"), view=quiet()).run_dir
    assert numbers(run) == numbers(whole)


def test_a_callback_that_fails_before_training_leaves_a_run_to_go_on_with(tmp_path):
    fails = Fails("on_train_begin", 0)
    with pytest.raises(CallbackError, match="Fails failed in on_train_begin before the first iteration"):
        train(bare_config(tmp_path), callbacks=[fails], view=quiet())
    assert fails.calls == 1
    assert resume(tmp_path / "run", view=quiet()).iterations == 6


def test_a_callback_that_cannot_work_in_this_run_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ConfigError, match="callback KLEarlyStop: metric 'kl' needs a reference model"):
        train(bare_config(tmp_path, "ppo.kl_coef=0.0"), callbacks=[KLEarlyStop()], view=quiet())
    assert not (tmp_path / "run").exists()


def test_resuming_without_a_callback_that_has_a_state_is_refused(tmp_path):
    run = train(
        bare_config(tmp_path), callbacks=[Diary()], view=quiet(), stop=iter([False, False, True]).__next__
    ).run_dir
    with pytest.raises(RunFolderError, match="the checkpoint holds the state of a callback Diary"):
        resume(run, view=quiet())
    assert resume(run, callbacks=[Diary()], view=quiet()).iterations == 6


def test_samples_of_a_run_are_the_episodes_of_its_rollouts(tmp_path):
    run = train(
        bare_config(tmp_path, "ppo.iterations=1"), callbacks=[SampleLogger(top=1, bottom=1)], view=quiet()
    ).run_dir
    rewards = [row["reward"] for row in rows(run, "rollouts.jsonl")]
    text = (run / "samples.txt").read_text()
    assert f"top 1 of {len(rewards)} episodes, reward {max(rewards):+.3f}" in text
    assert f"bottom 1 of {len(rewards)} episodes, reward {min(rewards):+.3f}" in text
