"""Objectives that really train: their values are those of ordinary runs, and a pruned run is whole as far as it went."""

import functools
import json
from pathlib import Path

import optuna
import pytest
from bare_runs import bare_config
from sb3_runs import numbers, sb3_config, sb3_data

from rlenvs.agents.llm import TrainConfig, resume, train
from rlenvs.agents.reporting import SilentView, write_report
from rlenvs.agents.runs.checkpoint import list_checkpoints
from rlenvs.agents.sb3 import resume_sb3, train_sb3
from rlenvs.agents.tuning.objectives import llm_objective, sb3_objective
from rlenvs.agents.tuning.objectives.config import SB3Objective
from rlenvs.config_file import parse_config
from rlenvs.errors import ConfigError


class PruneAt(optuna.pruners.BasePruner):
    """Prunes a trial once it has reported this step."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step == self.step


def first_trial(objective, pruner=None, **kwargs):
    study = optuna.create_study(**({"direction": "maximize"} | kwargs), pruner=pruner or optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=1)
    return study.trials[0]


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def plain(config):
    return config.model_dump(mode="json", by_alias=True)


def test_a_trial_of_sb3_is_the_mean_of_ordinary_runs(tmp_path):
    config = {name: sb3_config(tmp_path / name, "ppo", f"seed={name}") for name in ("3", "4")}
    ordinary = [numbers(train_sb3(config[name], view=SilentView()).run_dir)[-1] for name in config]
    data = sb3_data(tmp_path)
    trial = first_trial(
        lambda trial: sb3_objective(
            trial, data, metric="return/sampled", seeds=[3, 4], folder=tmp_path / "study", keep="all"
        )
    )
    measured = trial.user_attrs["measured"]
    assert {"return/shaped", "accuracy/greedy", "entropy"} <= set(ordinary[0])
    for key in ordinary[0]:  # nothing learned says 0 in the metric itself, and much else in others
        assert measured[key] == pytest.approx((ordinary[0][key] + ordinary[1][key]) / 2), key
    assert trial.value == measured["return/sampled"]
    # Six iterations, evaluated after the second, fourth and sixth.
    assert list(trial.intermediate_values) == [6, 13, 20, 26, 33, 40]
    run = tmp_path / "study" / "trials" / "0000" / "seed-3"
    assert (run / "model" / "model.zip").is_file()
    assert (run / "report.html").is_file()
    assert numbers(run) == numbers(tmp_path / "3" / "run")
    assert data == sb3_data(tmp_path)  # what a trial is given is left as it was


def test_a_pruned_run_of_sb3_is_whole_and_can_go_on(tmp_path):
    trial = first_trial(
        lambda trial: sb3_objective(trial, sb3_data(tmp_path), seeds=[3, 4], folder=tmp_path / "study", keep="all"),
        PruneAt(6),
    )
    assert trial.state is optuna.trial.TrialState.PRUNED
    folder = tmp_path / "study" / "trials" / "0000"
    assert [path.name for path in folder.iterdir()] == ["seed-3"]
    run = folder / "seed-3"
    assert rows(run)[-1]["iteration"] == 2
    assert [path.name for path in list_checkpoints(run / "checkpoints")][-1] == "iteration-000002"
    write_report(run)
    resume_sb3(run, view=SilentView())
    whole = train_sb3(sb3_config(tmp_path / "whole", "ppo", "seed=3"), view=SilentView())
    assert numbers(run) == numbers(whole.run_dir)


def test_runs_that_nobody_wants_leave_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    first_trial(lambda trial: sb3_objective(trial, sb3_data(tmp_path), seeds=1))
    assert list(tmp_path.iterdir()) == []


def test_a_metric_that_the_algorithm_has_not_is_named_at_once(tmp_path):
    data = sb3_data(tmp_path, "dqn")
    trial = optuna.trial.FixedTrial({})
    with pytest.raises(ConfigError, match="metric 'return/sampled' was not measured by the run"):
        sb3_objective(trial, data, metric=["return/sampled", "return/greedy"], seeds=2, folder=tmp_path, keep="all")
    (run,) = (tmp_path / "trials" / "0000").iterdir()
    assert rows(run)[-1]["iteration"] == 1  # of six


def test_a_metric_that_the_environment_has_not_is_named_at_once(tmp_path):
    config = plain(bare_config(tmp_path))  # one turn: there is no first message of several
    with pytest.raises(ConfigError, match=r"metric 'accuracy/first' was not measured.*accuracy/greedy"):
        llm_objective(optuna.trial.FixedTrial({}), config, metric="accuracy/first", folder=tmp_path / "study")
    assert rows(tmp_path / "study" / "trials" / "0000" / "seed-0")[-1]["iteration"] == 0


def test_a_fresh_seed_is_measured_as_a_trial_is(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = sb3_data(Path("unused"))
    objective = parse_config(SB3Objective, {"kind": "sb3", "seeds": [5]})
    measured = dict(objective.measure(tmp_path)(data, 5))
    trial = first_trial(functools.partial(sb3_objective, config=data, seeds=[5]))
    assert list(tmp_path.iterdir()) == []
    known = {key: value for key, value in trial.user_attrs["measured"].items() if not key.startswith("time/")}
    assert len(known) > 20
    assert known == {key: measured[key] for key in known}


def test_a_trial_of_a_language_model_is_an_ordinary_run(tmp_path):
    config = bare_config(tmp_path, "seed=7")
    ordinary = train(config, view=SilentView())
    trial = first_trial(
        lambda trial: llm_objective(trial, plain(config), metric="return/sampled", seeds=[7], folder=tmp_path / "study")
    )
    assert trial.value == ordinary.after["return/sampled"]
    assert list(trial.intermediate_values) == [6, 13, 20]
    assert trial.user_attrs["measured"]["length/mean"] == rows(ordinary.run_dir)[-1]["length/mean"]
    run = tmp_path / "study" / "trials" / "0000" / "seed-7"
    assert [row["reward/total"] for row in rows(run)[1:]] == [row["reward/total"] for row in rows(ordinary.run_dir)[1:]]


def test_a_pruned_run_of_a_language_model_is_whole(tmp_path):
    config = bare_config(tmp_path)
    trial = first_trial(
        lambda trial: llm_objective(trial, plain(config), seeds=2, folder=tmp_path / "study", keep="all"), PruneAt(13)
    )
    assert trial.state is optuna.trial.TrialState.PRUNED
    folder = tmp_path / "study" / "trials" / "0000"
    assert [path.name for path in folder.iterdir()] == ["seed-0"]
    run = folder / "seed-0"
    assert rows(run)[-1]["iteration"] == 4
    assert (run / "model").is_dir()
    assert (run / "report.html").is_file()
    # It ended for good; whoever wants it after all goes on with more iterations.
    assert resume(
        run, config=TrainConfig.load(plain(config) | {"output": {"dir": str(run)}}), view=SilentView()
    ).run_dir


def test_several_metrics_of_a_language_model(tmp_path):
    config = plain(bare_config(tmp_path))
    trial = first_trial(
        lambda trial: llm_objective(trial, config, metric=["accuracy/greedy", "length/mean"]),
        direction=None,
        directions=["maximize", "minimize"],
    )
    assert len(trial.values) == 2
    assert trial.values[1] > 0.0
