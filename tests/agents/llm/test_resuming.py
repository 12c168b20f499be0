"""Going on: with which run, from which checkpoint, with which configuration."""

import io
import json

import pytest
from bare_runs import bare_config, numbers, quiet, rows

from rlenvs.agents.llm import TrainConfig, resume, train
from rlenvs.agents.llm.command import run_cli
from rlenvs.agents.llm.resuming import FIXED
from rlenvs.agents.llm.start import start_of
from rlenvs.agents.runs.changes import plain_config
from rlenvs.agents.runs.checkpoint import MANIFEST_FILE, STATE_FILE, list_checkpoints
from rlenvs.agents.runs.resuming import clear_leftovers, find_run
from rlenvs.agents.runs.run_folder import RunFolder
from rlenvs.config_file import dump_config
from rlenvs.errors import ConfigError, RunFolderError


def stopping_after(iterations: int):
    """A `stop` that ends a run after so many iterations."""
    return iter([False] * iterations + [True]).__next__


def stopped_run(folder, iterations: int = 3, *overrides: str):
    return train(bare_config(folder, *overrides), view=quiet(), stop=stopping_after(iterations)).run_dir


@pytest.fixture
def run_yaml(tmp_path, monkeypatch):
    """A configuration file without a run folder; the working folder is the test's."""
    monkeypatch.chdir(tmp_path)
    config = bare_config(tmp_path)
    config = config.model_copy(update={"output": config.output.model_copy(update={"dir": None})})
    (tmp_path / "run.yaml").write_text(dump_config(config))
    return "run.yaml"


def cli(config, *overrides, resume_dir=None, dry_run=False, output=None, without=()):
    return run_cli(config, overrides, resume_dir, dry_run, output, True, without)


# --- which run


def test_auto_starts_anew_then_goes_on_then_is_done(tmp_path, run_yaml, capsys):
    arguments = {"output": "here", "resume_dir": "auto"}
    assert cli(run_yaml, "ppo.iterations=3", **arguments) == 0
    assert [row["iteration"] for row in rows(tmp_path / "here")] == [0, 1, 2, 3]
    assert cli(run_yaml, "ppo.iterations=5", **arguments) == 0  # more of them: the run goes on
    out = capsys.readouterr().out
    assert "resumed after iteration 3" in out
    assert "changed since the checkpoint: ppo.iterations: 3 -> 5" in out
    assert [row["iteration"] for row in rows(tmp_path / "here")] == [0, 1, 2, 3, 4, 5]
    assert cli(run_yaml, "ppo.iterations=5", **arguments) == 0  # nothing is left to do, and nothing goes wrong
    assert len(rows(tmp_path / "here")) == 6
    assert "ppo:\n  iterations: 5\n" in (tmp_path / "here/config.yaml").read_text()


def test_auto_finds_the_newest_run_of_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = bare_config(tmp_path)
    config = config.model_copy(update={"output": config.output.model_copy(update={"dir": None})})
    assert find_run(config) is None
    names = ["tiny-20261101-235959", "tiny-20261102-000000", "tiny-20261102-000000-2", "tiny-20261102-000000-10"]
    for name in [*names, "tinyer-20271101-000000", "tiny-20281101-000000-mine", "tiny-x"]:
        folder = RunFolder.create(tmp_path / "runs" / name, config)
        (folder.checkpoints / "iteration-000001").mkdir()
    assert find_run(config).name == "tiny-20261102-000000-10"
    (tmp_path / "runs/tiny-20261102-000000-10/checkpoints/iteration-000001").rmdir()
    assert find_run(config) is None  # the newest one had not begun to learn


def test_auto_takes_the_folder_of_a_run_that_never_had_a_checkpoint(tmp_path, run_yaml):
    """Killed while the model was loaded: what is there is not in the way of the next attempt."""
    here = tmp_path / "here"
    for name in ("start", "checkpoints/.draft-000000", "wandb", "best"):
        (here / name).mkdir(parents=True)
    for name in ("metrics.jsonl", "best/best.json", "wandb-run-id.txt", ".config.yaml.x"):
        (here / name).write_text("x")
    assert cli(run_yaml, "ppo.iterations=1", output="here", resume_dir="auto") == 0
    assert [row["iteration"] for row in rows(here)] == [0, 1]


@pytest.mark.parametrize("stranger", ["thesis.tex", "model/config.json"])
def test_auto_removes_nothing_that_no_run_left(tmp_path, stranger):
    file = tmp_path / "run" / stranger
    file.parent.mkdir(parents=True)
    file.write_text("years of work")
    (tmp_path / "run/metrics.jsonl").write_text("")
    with pytest.raises(RunFolderError, match=r"holds no checkpoint, and '(thesis.tex|model)', which no run left there"):
        clear_leftovers(bare_config(tmp_path))
    assert file.read_text() == "years of work"
    assert (tmp_path / "run/metrics.jsonl").exists()


def test_a_dry_run_of_auto_changes_nothing(tmp_path, run_yaml, capsys):
    (tmp_path / "here").mkdir()
    (tmp_path / "here/metrics.jsonl").write_text("x")
    assert cli(run_yaml, output="here", resume_dir="auto", dry_run=True) == 0
    assert (tmp_path / "here/metrics.jsonl").exists()
    run = stopped_run(tmp_path)
    capsys.readouterr()
    assert cli(None, "ppo.iterations=9", resume_dir=str(run), dry_run=True) == 0
    out = capsys.readouterr().out
    assert "iterations: 9" in out
    assert f"# goes on with {run} after iteration 3" in out
    assert "iterations: 6" in (run / "config.yaml").read_text()
    assert len(rows(run)) == 4


def test_a_run_of_another_kind_is_not_gone_on_with(tmp_path):
    run = stopped_run(tmp_path)
    with pytest.raises(ConfigError, match="leave out CONFIG, --output and --no-reward"):
        cli("run.yaml", resume_dir=str(run))
    with pytest.raises(RunFolderError, match="not a run folder"):
        cli(None, resume_dir=str(tmp_path))


# --- which checkpoint


@pytest.mark.parametrize("damage", [lambda content: content[:1000], lambda content: bytes(len(content))])
def test_a_damaged_checkpoint_costs_the_iterations_since_the_one_before(tmp_path, damage):
    run = stopped_run(tmp_path, 5)
    newest = list_checkpoints(run / "checkpoints")[-1]
    assert newest.name == "iteration-000005"
    (newest / STATE_FILE).write_bytes(damage((newest / STATE_FILE).read_bytes()))
    out = io.StringIO()
    assert resume(run, view=quiet(out)).iterations == 6
    assert "checkpoint iteration-000005 is damaged (state.pt " in out.getvalue()
    assert "resumed after iteration 4" in out.getvalue()
    whole = train(bare_config(tmp_path, f"output.dir={tmp_path / 'whole'}"), view=quiet()).run_dir
    assert numbers(run) == numbers(whole)
    assert (run / "rollouts.jsonl").read_bytes() == (whole / "rollouts.jsonl").read_bytes()


def test_a_run_whose_checkpoints_are_all_damaged_is_left_as_it_is(tmp_path):
    run = stopped_run(tmp_path)
    for checkpoint in list_checkpoints(run / "checkpoints"):
        (checkpoint / MANIFEST_FILE).unlink()
    before = sorted(path.name for path in run.rglob("*"))
    with pytest.raises(
        RunFolderError, match=r"each of the 2 checkpoints in .* is damaged \(iteration-000003: no manif"
    ):
        resume(run, view=quiet())
    assert sorted(path.name for path in run.rglob("*")) == before


def test_checkpoints_may_lie_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = stopped_run(tmp_path, 3, "output.checkpoint_dir=big/disk")
    assert [path.name for path in list_checkpoints(tmp_path / "big/disk")] == ["iteration-000002", "iteration-000003"]
    assert not (run / "checkpoints").exists()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert resume(run, view=quiet()).iterations == 6
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunFolderError, match=r"'big/disk' holds the checkpoints of another run"):
        train(bare_config(tmp_path, "output.checkpoint_dir=big/disk", "output.dir=other"), view=quiet())
    assert not (tmp_path / "other").exists()


# --- which configuration


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("env.kwargs.digits=2", "env"),
        ("seed=1", "seed"),
        ("name=other", "name"),
        ("rewards.reward_shaping.form.initial_weight=0.1", "rewards"),
        ("policy.model=elsewhere", "policy"),
        ("rollout.episodes=8", "rollout.episodes"),
        ("rollout.samples_per_prompt=2", "rollout.samples_per_prompt"),
        ("rollout.context_tokens=20", "rollout.context_tokens"),
        ("ppo.critic=copy", "ppo.critic"),
        ("ppo.estimator=reinforce", "ppo.estimator"),
        ("ppo.kl_target=0.1", "ppo.kl_target"),
        ("memory.optimizer=adamw_8bit", "memory.optimizer"),
    ],
)
def test_what_would_break_a_run_is_refused(tmp_path, shared_run, override, key):
    before = (shared_run / "config.yaml").read_text()
    with pytest.raises(
        ConfigError, match=rf"--resume: {override.partition('=')[0]}: .* cannot change in a run"
    ) as caught:
        cli(None, override, resume_dir=str(shared_run))
    assert FIXED[key] in str(caught.value)
    assert (shared_run / "config.yaml").read_text() == before


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory):
    return stopped_run(tmp_path_factory.mktemp("shared"))


def test_a_run_folder_that_was_edited_is_refused_as_well(tmp_path, shared_run):
    config = (shared_run / "config.yaml").read_text()
    assert "digits: 1" in config
    (shared_run / "config.yaml").write_text(config.replace("digits: 1", "digits: 2"))
    try:
        with pytest.raises(ConfigError, match=r"env.kwargs.digits: 1 -> 2 cannot change"):
            resume(shared_run, view=quiet())
    finally:
        (shared_run / "config.yaml").write_text(config)


def test_a_moved_run_is_the_same_run(tmp_path):
    run = stopped_run(tmp_path)
    moved = tmp_path / "archive"
    run.rename(moved)
    assert resume(moved, view=quiet()).iterations == 6
    assert (
        resume(moved, config=TrainConfig.load(moved / "config.yaml", ["ppo.iterations=7"]), view=quiet()).iterations
        == 7
    )


def test_what_may_change_changes_and_is_told(tmp_path, capsys):
    run = stopped_run(tmp_path)
    assert cli(None, "ppo.learning_rate=1e-5", "evaluation.every=1", resume_dir=str(run)) == 0
    out = capsys.readouterr().out
    assert "changed since the checkpoint: ppo.learning_rate: 0.001 -> 1e-05, evaluation.every: 2 -> 1" in out
    assert [row["iteration"] for row in rows(run) if "accuracy/greedy" in row] == [0, 2, 4, 5, 6]
    assert rows(run)[-1]["learning_rate"] <= 1e-5
    assert TrainConfig.load(run / "config.yaml").ppo.learning_rate == 1e-5  # and is what a further resume goes on with


def test_unchanged_configurations_differ_in_nothing(tmp_path):
    config = bare_config(tmp_path, callbacks=[{"class": "HackMonitor"}, {"class": "TargetStop", "value": 1}])
    plain = plain_config(config)
    assert json.loads(json.dumps(plain)) == plain
    assert plain_config(TrainConfig.load(plain)) == plain


# --- rewards on and off


def test_reward_components_can_be_left_out(tmp_path, run_yaml):
    assert cli(run_yaml, "ppo.iterations=1", output="here", without=["form", "guide"]) == 0
    assert set(rows(tmp_path / "here", "rollouts.jsonl")[0]["components"]) == {"right"}
    rewards = TrainConfig.load(tmp_path / "here/config.yaml").rewards
    assert (list(rewards.reward_components), list(rewards.reward_shaping)) == (["right"], [])


def test_leaving_out_works_in_either_dialect(tmp_path):
    guide = {"right": {"class": "CorrectnessReward"}, "long": {"class": "LengthPenalty", "max_length": 3}}
    base = {"env": {"id": "rlenvs/Arithmetic-v0"}, "rewards": {"reward_shaping": guide}}
    assert list(TrainConfig.load(base, (), ["long"]).rewards.reward_components) == ["right"]
    assert list(TrainConfig.load(base).rewards.reward_components) == ["right", "long"]  # the data are as they were


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["forn"], r"no reward component 'forn'; did you mean 'form'\? \(known: right, form, guide\)"),
        (["right", "form", "guide"], "rewards.reward_components: expected at least 1 item, got 0|at least"),
    ],
)
def test_leaving_out_what_is_not_there_or_everything_is_refused(run_yaml, names, message):
    with pytest.raises(ConfigError, match=message):
        cli(run_yaml, without=names)


# --- from elsewhere, and without what it takes


def test_a_run_goes_on_from_another_folder_and_by_the_same_file(tmp_path, run_yaml, monkeypatch):
    relative = "policy.model=random"
    assert cli(run_yaml, relative, "ppo.iterations=1", output="run") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert cli(None, "ppo.iterations=2", resume_dir="../run") == 0
    monkeypatch.chdir(tmp_path)
    assert cli(run_yaml, relative, "ppo.iterations=3", output="run", resume_dir="auto") == 0
    assert [row["iteration"] for row in rows(tmp_path / "run")] == [0, 1, 2, 3]


def test_the_model_that_an_embedded_run_began_with_is_missed(tmp_path):
    with pytest.raises(RunFolderError, match=r"/start', the model that the run began with, is gone: put it back, or"):
        start_of(tmp_path)
    (tmp_path / "start").mkdir()
    assert start_of(tmp_path) == tmp_path / "start"


def test_a_folder_for_checkpoints_that_cannot_be_made_leaves_nothing(tmp_path):
    config = bare_config(tmp_path, "output.checkpoint_dir=/proc/none/here")
    with pytest.raises(RunFolderError, match=r"cannot write to '/proc/none/here'.*output.checkpoint_dir=") as caught:
        RunFolder.create(tmp_path / "run", config)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_run_that_cannot_begin_to_go_on_does_not_promise_that_it_can(tmp_path):
    run = stopped_run(tmp_path)
    (run / "metrics.jsonl").write_text("")
    out = io.StringIO()
    with pytest.raises(RunFolderError, match="not the run's own") as caught:
        resume(run, view=quiet(out))
    assert "--resume" not in out.getvalue()
    assert not hasattr(caught.value, "__notes__")
