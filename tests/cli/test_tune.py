"""`rlenvs tune`: a study from its file to its best configuration, its refusals, its exit codes."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rlenvs.agents.tuning.config import TuneConfig
from rlenvs.cli import main

RECIPE = """
reward_components:
  form: {class: FormattingReward, format: regex, pattern: "(?s).*A: [0-9]+"}
  short: {class: LengthPenalty, max_length: 12, penalty_per_token: -0.1, unit: words}
reward_shaping:
  form: {initial_weight: 1.0}
  short: {initial_weight: 0.1}
"""
STUDY = """
name: guides
base: base.yaml
search_space:
  reward_shaping:
    form.initial_weight: {type: float, low: 0.1, high: 10, log: true}
    short.initial_weight: {type: float, low: 0.1, high: 10, log: true}
objective: {kind: offline, rollouts: answers.jsonl, truth: is_correct}
n_trials: 6
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a study that trains nothing."""
    dice = random.Random(0)
    rows = []
    for number in range(400):
        right = dice.random() < 0.45
        words = dice.randint(1, 6) if right else dice.randint(2, 14)
        response = " ".join(["so"] * words) + ("\nA: 7" if dice.random() < (0.8 if right else 0.5) else " 7")
        rows.append({"prompt": f"problem {number}", "response": response, "is_correct": right})
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "base.yaml").write_text(RECIPE)
    (tmp_path / "study.yaml").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def values(folder: str | Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (Path(folder) / "trials.jsonl").read_text().splitlines()]
    return {row["trial"]: row["values"]["auc"] for row in rows if row["state"] == "complete"}


def trials_of(folder: str | Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (Path(folder) / "trials.jsonl").read_text().splitlines()]


class TestAStudy:
    def test_it_leaves_a_better_configuration_its_comparison_and_a_page(self, place, capsys):
        assert main(["tune", "study.yaml", "--output", "out", "--trials", "12"]) == 0
        printed = capsys.readouterr().out.splitlines()
        assert printed[0].startswith("study guides: 12 trials, 2 parameters, sampler tpe, pruner median, 1 worker")
        assert sum(line.startswith("trial ") for line in printed) == 12
        best = yaml.safe_load(Path("out/best_config.yaml").read_text())
        base = yaml.safe_load(RECIPE)
        ratio = best["reward_shaping"]["short"]["initial_weight"] / best["reward_shaping"]["form"]["initial_weight"]
        assert ratio > 0.1
        assert best["reward_components"] == base["reward_components"]
        compared = json.loads(Path("out/comparison.json").read_text())
        assert compared["metric"] == "auc"
        assert len(compared["seeds"]) == len(compared["base"]) == len(compared["best"]) == 10
        assert max(values("out").values()) == pytest.approx(
            float(Path("out/best_config.yaml").read_text().split("auc ")[1].split()[0]), abs=1e-5
        )
        page = Path("out/report.html").read_text()
        assert "Against the base configuration" in page
        assert "12</dd>" in page or "12<small>" in page
        assert main(["rewards", "check", "out/best_config.yaml"]) == 0

    def test_a_dry_run_writes_nothing_and_says_what_is_tuned(self, place, capsys):
        before = sorted(place.iterdir())
        assert main(["tune", "study.yaml", "--dry-run", "--workers", "3"]) == 0
        printed = capsys.readouterr().out
        assert sorted(place.iterdir()) == before
        assert "# 6 trials by 3 workers to maximize auc; sampler tpe, pruner median" in printed
        assert "reward_shaping.form.initial_weight   float 0.1 to 10.0, by factors; always" in printed
        resolved = TuneConfig.load(yaml.safe_load(printed))
        assert resolved.base["reward_shaping"]["short"] == {"initial_weight": 0.1}
        assert resolved.objective.rollouts == str(place / "answers.jsonl")

    def test_settings_reach_the_study_and_its_base(self, place, capsys):
        assert main(["tune", "study.yaml", "base.reward_shaping.form.initial_weight=3", "seed=5", "--dry-run"]) == 0
        resolved = yaml.safe_load(capsys.readouterr().out)
        assert resolved["base"]["reward_shaping"]["form"]["initial_weight"] == 3
        assert resolved["seed"] == 5

    @pytest.mark.parametrize("storage", ["journal:trials.log", "trials.log", "sqlite:///trials.db"])
    def test_a_storage_beside_the_study_is_found_from_elsewhere(self, place, capsys, monkeypatch, storage):
        settings = ["--storage", storage, "--trials", "1", "fresh_seeds=0", "--output", "out"]
        assert main(["tune", "study.yaml", *settings]) == 0
        assert Path("trials.db" if "sqlite" in storage else "trials.log").exists()
        elsewhere = place / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        assert main(["tune", "--resume", "../out", "--trials", "2"]) == 0
        assert len(values("../out")) == 2
        assert list(elsewhere.iterdir()) == []

    def test_several_objectives_leave_a_front(self, place, capsys):
        metrics = "objective.metrics=[{name: auc}, {name: kendall, direction: minimize}]"
        assert main(["tune", "study.yaml", metrics, "--output", "out"]) == 0
        assert "on the Pareto front" in capsys.readouterr().out
        found = sorted(Path("out/front").iterdir())
        assert found
        assert not Path("out/best_config.yaml").exists()
        assert "<h2>Pareto front</h2>" in Path("out/report.html").read_text()

    def test_the_default_folder_is_dated_and_found_again(self, place, capsys):
        assert main(["tune", "study.yaml", "fresh_seeds=0"]) == 0
        (folder,) = Path("runs").iterdir()
        assert folder.name.startswith("guides-")
        assert main(["tune", "study.yaml", "fresh_seeds=0", "--resume", "auto", "--trials", "8"]) == 0
        assert list(Path("runs").iterdir()) == [folder]
        assert len(values(folder)) == 8

    @pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "random", "qmc"])
    def test_every_sampler_proposes(self, place, capsys, sampler):
        assert main(["tune", "study.yaml", f"sampler.name={sampler}", "--trials", "3", "fresh_seeds=0"]) == 0
        (folder,) = Path("runs").iterdir()
        assert len({json.dumps(row["params"]) for row in trials_of(folder)}) == 3

    @pytest.mark.parametrize("pruner", ["none", "median", "percentile", "halving", "hyperband", "wilcoxon"])
    def test_every_pruner_is_taken(self, place, capsys, pruner):
        assert main(["tune", "study.yaml", f"pruner.name={pruner}", "--trials", "2", "fresh_seeds=0"]) == 0

    def test_a_trial_outside_the_constraints_is_not_the_best(self, place, capsys):
        free, bound = "objective.constraints=[]", "objective.constraints=[{metric: kendall, at_most: 0.3}]"
        assert main(["tune", "study.yaml", free, "--output", "free", "fresh_seeds=0"]) == 0
        assert main(["tune", "study.yaml", bound, "--output", "bound", "fresh_seeds=0"]) == 1
        assert "keeps the constraints" in capsys.readouterr().out
        assert not Path("bound/best_config.yaml").exists()
        assert all(row["violated"] for row in trials_of("bound"))


class TestResuming:
    def test_more_trials_come_on_top_and_are_those_of_a_study_in_one_go(self, place, capsys):
        assert main(["tune", "study.yaml", "--output", "whole", "--trials", "9"]) == 0
        assert main(["tune", "study.yaml", "--output", "parts", "--trials", "4"]) == 0
        capsys.readouterr()
        assert main(["tune", "--resume", "parts", "--trials", "9"]) == 0
        assert "study guides: 9 trials (4 of them done)" in capsys.readouterr().out
        whole, parts = ([(row["params"], row["values"]) for row in trials_of(name)] for name in ("whole", "parts"))
        assert whole == parts
        assert yaml.safe_load(Path("parts/config.yaml").read_text())["n_trials"] == 9

    def test_a_comparison_that_still_holds_is_not_made_again(self, place, capsys):
        assert main(["tune", "study.yaml", "--output", "out"]) == 0
        assert "measuring base and best" in capsys.readouterr().out
        assert main(["tune", "--resume", "out"]) == 0
        again = capsys.readouterr().out
        assert "measuring" not in again
        assert "unseen parts" in again

    def test_a_comparison_of_a_trial_that_was_surpassed_is_not_shown(self, place, capsys):
        assert main(["tune", "study.yaml", "--output", "out"]) == 0
        assert "Against the base configuration" in Path("out/report.html").read_text()
        stored = json.loads(Path("out/comparison.json").read_text())
        Path("out/comparison.json").write_text(json.dumps(stored | {"trial": 77}))
        assert main(["report", "out"]) == 0
        assert "Against the base configuration" not in Path("out/report.html").read_text()

    def test_it_is_no_run_to_train_on(self, place, capsys):
        assert main(["tune", "study.yaml", "--output", "out", "--trials", "1", "fresh_seeds=0"]) == 0
        assert main(["train", "--resume", "out"]) == 2
        assert "'out' is a study, not a run: go on with it by `rlenvs tune --resume out`" in capsys.readouterr().err

    @pytest.mark.slow
    @pytest.mark.ci
    def test_workers_join_it(self, place, capsys):
        assert main(["tune", "study.yaml", "--output", "out", "--trials", "3", "fresh_seeds=0"]) == 0
        assert main(["tune", "--resume", "out", "--trials", "8", "--workers", "2"]) == 0
        assert len(values("out")) == 8
        assert len(list(Path("out/workers").iterdir())) == 2

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("seed=4", "--resume: seed: 0 -> 4 cannot change in a run that goes on (the trials so far were proposed"),
            (
                "base.reward_shaping.form.initial_weight=2",
                "--resume: base.reward_shaping.form.initial_weight: 1.0 -> 2",
            ),
            ("sampler.name=random", "--resume: sampler.name: 'tpe' -> 'random' cannot change"),
        ],
    )
    def test_what_would_make_it_another_study_is_refused(self, place, capsys, setting, message):
        assert main(["tune", "study.yaml", "--output", "out", "--trials", "1", "fresh_seeds=0"]) == 0
        before = Path("out/config.yaml").read_bytes()
        capsys.readouterr()
        assert main(["tune", "--resume", "out", setting]) == 2
        assert message in capsys.readouterr().err
        assert Path("out/config.yaml").read_bytes() == before

    def test_a_study_in_a_database_is_joined_from_another_folder_and_not_begun_twice(self, place, capsys):
        store = ["--storage", f"sqlite:///{place}/s.db", "fresh_seeds=0"]
        assert main(["tune", "study.yaml", "--output", "a", "--trials", "2", *store]) == 0
        capsys.readouterr()
        assert main(["tune", "study.yaml", "--output", "b", "--trials", "5", *store]) == 2
        assert "study 'guides' exists already" in capsys.readouterr().err
        assert not Path("b").exists()
        assert main(["tune", "study.yaml", "--output", "b", "--trials", "5", "--resume", "auto", *store]) == 0
        assert len(values("b")) == 5
        assert main(["tune", "study.yaml", "seed=3", "--output", "c", "--resume", "auto", *store]) == 2
        assert "seed: 0 there, 3 here" in capsys.readouterr().err
        assert not Path("c").exists()


class TestStopping:
    """Signals are sent to a process of its own, while its trials run."""

    SLOW = """
import sys, time
from rlenvs.agents.tuning.objectives import config
real = config.offline_objective
def slow(trial, config, **kwargs):
    time.sleep(0.4)
    return real(trial, config, **kwargs)
config.offline_objective = slow
from rlenvs.cli import main
sys.exit(main(sys.argv[1:]))
"""

    @pytest.mark.slow
    @pytest.mark.ci
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGUSR1, 75)])
    def test_a_signal_gives_the_trial_back_and_the_study_goes_on(self, place, number, code, capsys):
        command = [sys.executable, "-c", self.SLOW, "tune", "study.yaml", "--output", "out", "fresh_seeds=0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            printed = [process.stdout.readline() for _ in range(3)]  # headline and two trials
            time.sleep(0.1)
            process.send_signal(number)
            rest = process.stdout.read()
            assert process.wait(timeout=20) == code
        assert [line.split(" | ")[1] for line in printed[1:]] == ["1/6", "2/6"]
        assert "go on with: rlenvs tune --resume out" in rest
        assert Path("out/report.html").exists()
        assert main(["tune", "--resume", "out"]) == 0
        assert "(2 of them done)" in capsys.readouterr().out
        assert len(values("out")) == 6


class TestRefusals:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["tune"], "name a CONFIG.yaml"),
            (["tune", "none.yaml"], "none.yaml: no such file"),
            (["tune", "study.yaml", "--trials", "0"], "must be >= 1, got 0"),
            (["tune", "study.yaml", "--timeout", "0"], "must be finite and >= 0.001"),
            (["tune", "study.yaml", "--wrokers", "2"], "did you mean '--workers'"),
            (["tune", "study.yaml", "n_trial=2"], "did you mean 'n_trials'"),
            (["tune", "study.yaml", "sampler.name=cma"], "did you mean 'cmaes'"),
            (["tune", "study.yaml", "sampler.sigma=1"], "sampler 'tpe' has no such option"),
            (["tune", "study.yaml", "base=bse.yaml"], "base: no such file, and no shipped configuration"),
            (["tune", "study.yaml", "objective.rollouts=none.jsonl"], "none.jsonl: no such file"),
            (["tune", "study.yaml", "objective.kind=online"], "did you mean 'offline'"),
            (["tune", "study.yaml", "objective.kind=sb3"], "rollouts"),
            (["tune", "study.yaml", "search_space={}"], "no parameter to tune"),
            (
                ["tune", "study.yaml", "search_space={reward_shaping.fom.initial_weight: {type: float, low: 0, high: 1}}"],
                "did you mean 'form'",
            ),
            (
                ["tune", "study.yaml", "search_space={reward_shaping.form.initial_weight: {type: float, low: 2, high: 1}}"],
                "must be <= high",
            ),
            (["tune", "study.yaml", "--storage", "postgresql://me@localhost:1/no"], "Connection refused"),
            (["tune", "study.yaml", "--storage", "redis://here"], "unknown storage"),
            (["tune", "--resume", "nowhere"], "'nowhere' is not the folder of a study"),
            (["tune", "study.yaml", "--resume", "nowhere"], "leave 'study.yaml' out"),
            (["tune", "--resume", "nowhere", "--output", "x"], "leave --output out"),
            (["tune", "study.yaml", "--output", "full"], "output folder 'full' is not empty"),
            (["tune", "study.yaml", "--output", "base.yaml"], "output folder 'base.yaml' is not empty"),
            (["report", "full"], "is not a run folder"),
        ],
    )  # fmt: skip
    def test_one_line_exit_code_2_and_nothing_written(self, place, capsys, arguments, message):
        (place / "full").mkdir()
        (place / "full" / "something").touch()
        before = sorted(place.rglob("*"))
        assert main(arguments) == 2
        errors = capsys.readouterr().err
        assert message in errors
        assert all(line.startswith("rlenvs: ") for line in errors.splitlines())
        assert sorted(place.rglob("*")) == before

    def test_the_place_of_a_mistake_is_that_of_its_own_file(self, place, capsys):
        (place / "study.yaml").write_text(STUDY.replace("form.initial_weight", "form.initial_wight"))
        assert main(["tune", "study.yaml"]) == 2
        assert "study.yaml:6:5: " in capsys.readouterr().err
        (place / "study.yaml").write_text(STUDY)
        (place / "base.yaml").write_text(RECIPE.replace("LengthPenalty", "LengthPenlty"))
        assert main(["tune", "study.yaml"]) == 2
        errors = capsys.readouterr().err
        assert "base.yaml:4:11: reward_components.short: unknown 'class' 'LengthPenlty'; did you mean" in errors
        assert errors.count("rlenvs: ") == 1

    def test_a_study_is_not_a_configuration_to_train_with_and_the_other_way_round(self, place, capsys):
        assert main(["train", "study.yaml"]) == 2
        assert "study.yaml: is a study, which `rlenvs tune` runs" in capsys.readouterr().err
        for name in ("base.yaml", "sb3_ppo.yaml"):
            text = (Path(__file__).parents[2] / "configs" / "train" / "sb3_ppo.yaml").read_text()
            (place / "sb3_ppo.yaml").write_text(text)
            assert main(["tune", name]) == 2
            errors = capsys.readouterr().err
            assert f"{name}:" in errors
            assert "is what can be tuned, not a study" in errors
            assert errors.count("\n") == 1

    def test_a_run_is_not_a_study(self, place, capsys):
        (place / "run").mkdir()
        (place / "run" / "config.yaml").write_text("name: a")
        assert main(["tune", "--resume", "run"]) == 2
        assert "is a run, not a study" in capsys.readouterr().err

    def test_a_study_whose_every_trial_fails_ends_with_the_first_cause(self, place, capsys, monkeypatch):
        from rlenvs.agents.tuning.objectives import config

        def broken(trial, config, **kwargs):
            raise ZeroDivisionError("of the objective")

        monkeypatch.setattr(config, "offline_objective", broken)
        assert main(["tune", "study.yaml", "--output", "out", "--trials", "20"]) == 1
        output = capsys.readouterr()
        assert "ZeroDivisionError: of the objective" in output.err
        assert sum(line.startswith("trial ") for line in output.out.splitlines()) == 5
        assert "ZeroDivisionError: of the objective" in Path("out/report.html").read_text()


def test_the_report_of_a_study_that_is_not_begun(place, capsys):
    assert main(["tune", "study.yaml", "--output", "out", "--trials", "1", "fresh_seeds=0"]) == 0
    Path("out/journal.log").unlink()
    assert main(["report", "out"]) == 2
    assert "no trial has begun" in capsys.readouterr().err
    assert not Path("out/journal.log").exists()


def test_the_schema_names_what_the_file_may_hold(capsys):
    assert main(["schema", "tune"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert {"base", "search_space", "objective", "sampler", "pruner", "storage"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("name", ["llm.yaml", "planted.yaml"])
def test_shipped_studies_can_be_tried_without_running(name, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", name, "--dry-run"]) == 0
    assert f"name: {name.removesuffix('.yaml')}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
