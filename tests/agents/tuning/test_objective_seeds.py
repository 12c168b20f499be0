"""Several runs of one trial: what is averaged, what a study is told and when, what is pruned, what stays on disk."""

import functools

import optuna
import pytest

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.pruners import PrunerConfig
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.objectives.folders import Standing, trial_path
from rlenvs.agents.tuning.objectives.metrics import Constraint, check_metrics, metric_problem, pick
from rlenvs.agents.tuning.objectives.seeds import RUNGS, SeedReports, training_seeds
from rlenvs.agents.tuning.objectives.trials import run_trial
from rlenvs.errors import ConfigError


class Runs:
    """Stands in for training: seed s ends with `level + s`, after evaluations at given shares of the run.

    It notes which runs there were, and how far each went.
    """

    def __init__(self, shares=(0.5, 1.0), noise=1.0):
        self.shares, self.noise, self.done = shares, noise, []

    def __call__(self, task, watch):
        task.folder.mkdir()
        (task.folder / "config.yaml").write_text("seed: 0\n")
        for share in self.shares:
            value = share * (task.config["level"] + self.noise * task.seed)
            watch.see({"step": share, "return/greedy": value, "length/mean": 10.0 + task.seed, "time/elapsed": 3.0})
            if watch.evaluated(share):
                break
        self.done.append((task.seed, share))
        return watch.metrics


class PruneAt(optuna.pruners.BasePruner):
    """Prunes a trial once it has reported this step."""

    def __init__(self, step):
        self.step = step

    def prune(self, study, trial):
        return trial.last_step == self.step


def study_of(objective, pruner=None, n_trials=1, **kwargs):
    study = optuna.create_study(**({"direction": "maximize"} | kwargs), pruner=pruner or optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=n_trials)
    return study


def objective(trial, *, train, level=4.0, metric="return/greedy", seeds=2, folder=None, constraints=(), keep="best"):
    return run_trial(trial, {"level": level}, train, metric, seeds, folder, False, constraints, keep)


def test_seeds_are_those_asked_for():
    assert training_seeds(1) == (0,)
    assert training_seeds([5, 2]) == (5, 2)


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 1], [-1], [2**31], [0.5], [True], "01"])
def test_seeds_that_are_none_are_refused(seeds):
    with pytest.raises(ConfigError, match="seeds: expected at least one"):
        training_seeds(seeds)


def test_the_value_is_the_mean_over_the_seeds():
    train = Runs()
    (trial,) = study_of(functools.partial(objective, train=train, seeds=[3, 10])).trials
    assert trial.value == pytest.approx((4 + 3 + 4 + 10) / 2)
    assert train.done == [(3, 1.0), (10, 1.0)]
    assert trial.user_attrs["measured"]["length/mean"] == pytest.approx(16.5)


def test_a_report_says_how_much_is_done_and_averages_the_seeds():
    (trial,) = study_of(functools.partial(objective, train=Runs())).trials
    assert trial.intermediate_values == {
        RUNGS // 2: pytest.approx(2.0),
        RUNGS: pytest.approx(4.0),
        RUNGS + RUNGS // 2: pytest.approx((4.0 + 2.5) / 2),
        2 * RUNGS: pytest.approx((4.0 + 5.0) / 2),
    }


def test_a_step_means_the_same_however_often_a_trial_evaluates():
    # 40 evaluations and 3: the steps that both report are at the same shares of training.
    often = study_of(functools.partial(objective, train=Runs([k / 40 for k in range(1, 41)]), seeds=1)).trials[0]
    rarely = study_of(functools.partial(objective, train=Runs([0.35, 0.7, 1.0]), seeds=1)).trials[0]
    assert sorted(often.intermediate_values) == list(range(1, RUNGS + 1))
    assert sorted(rarely.intermediate_values) == [7, 14, 20]
    for step, value in rarely.intermediate_values.items():
        assert value == pytest.approx(4.0 * step / RUNGS)
        assert often.intermediate_values[step] == pytest.approx(value)


@pytest.mark.parametrize(
    ("step", "done"),
    [(10, [(0, 0.5)]), (20, [(0, 1.0)]), (30, [(0, 1.0), (1, 0.5)])],
    ids=["within the first run", "between the runs", "within the second run"],
)
def test_a_pruned_trial_ends_its_run_early(step, done, tmp_path):
    train = Runs()
    (trial,) = study_of(functools.partial(objective, train=train, folder=tmp_path), PruneAt(step)).trials
    assert trial.state is optuna.trial.TrialState.PRUNED
    assert train.done == done
    assert trial.last_step == step
    assert not trial_path(tmp_path, 0).exists()


def test_a_trial_that_has_its_value_is_not_pruned():
    train = Runs()
    (trial,) = study_of(functools.partial(objective, train=train), PruneAt(2 * RUNGS)).trials
    assert trial.state is optuna.trial.TrialState.COMPLETE
    assert trial.value == pytest.approx(4.5)


def test_the_median_pruner_ends_the_worse_trials():
    train = Runs()
    levels = [10.0, 9.0, 1.0, 11.0]
    study = study_of(
        lambda trial: objective(trial, train=train, level=levels[trial.number]),
        optuna.pruners.MedianPruner(n_startup_trials=2),
        n_trials=4,
    )
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]
    assert train.done[4] == (0, 0.5)


def test_the_wilcoxon_pruner_gets_a_report_for_each_seed():
    train = Runs(noise=0.1)
    levels = [10.0, 1.0]
    study = study_of(
        lambda trial: objective(trial, train=train, level=levels[trial.number], seeds=8),
        PrunerConfig(name="wilcoxon", p_threshold=0.1).build(["maximize"]),
        n_trials=2,
    )
    best, worse = study.trials
    assert best.intermediate_values == {k: pytest.approx(10.0 + 0.1 * k) for k in range(8)}
    # Worse by 9 on each seed: k wins of k have a one-sided p of 2^-k, below 0.1 from the fourth seed on.
    assert len(worse.intermediate_values) == 4
    assert worse.state is optuna.trial.TrialState.COMPLETE
    assert worse.value == pytest.approx(1.0 + 0.1 * (0 + 1 + 2 + 3) / 4)


def test_several_metrics_are_a_tuple_and_are_not_reported():
    train = Runs()
    metrics = ["return/greedy", "length/mean"]
    study = study_of(
        functools.partial(objective, train=train, metric=metrics), direction=None, directions=["maximize", "minimize"]
    )
    assert study.trials[0].values == [pytest.approx(4.5), pytest.approx(10.5)]
    assert study.trials[0].intermediate_values == {}


def test_constraints_are_by_how_much_the_mean_misses_them():
    constraints = [Constraint("length/mean", 10.0), Constraint("return/greedy", 4.0, at_least=True)]
    (trial,) = study_of(functools.partial(objective, train=Runs(), constraints=constraints)).trials
    assert trial.constraints == {"length/mean <= 10": pytest.approx(0.5), "return/greedy >= 4": pytest.approx(-0.5)}


def test_a_trial_that_misses_a_constraint_is_not_the_best():
    levels = [4.0, 9.0]
    study = study_of(
        lambda trial: objective(
            trial, train=Runs(), level=levels[trial.number], constraints=[Constraint("return/greedy", 6.0)]
        ),
        n_trials=2,
    )
    assert study.best_trial.number == 0


def test_a_trial_without_a_study_has_its_value_too(tmp_path):
    trial = optuna.trial.FixedTrial({}, number=3)
    assert objective(trial, train=Runs(), folder=tmp_path) == pytest.approx(4.5)
    assert (trial_path(tmp_path, 3) / "seed-1").is_dir()


@pytest.mark.parametrize(("keep", "left"), [("best", [1]), ("all", [0, 1, 2]), ("none", [])])
def test_runs_that_stay(keep, left, tmp_path):
    levels = [4.0, 9.0, 5.0]
    study_of(
        lambda trial: objective(trial, train=Runs(), level=levels[trial.number], folder=tmp_path, keep=keep),
        n_trials=3,
    )
    assert sorted(int(path.name) for path in (tmp_path / "trials").iterdir()) == left


def test_runs_of_a_front_stay(tmp_path):
    levels = [4.0, 9.0, 5.0]
    study_of(
        lambda trial: objective(
            trial,
            # The better return is the longer answer; the last trial is surpassed by the second.
            train=lambda task, watch: {
                "return/greedy": levels[trial.number],
                "length/mean": [1.0, 2.0, 3.0][trial.number],
            },
            metric=["return/greedy", "length/mean"],
            folder=tmp_path,
        ),
        n_trials=3,
        direction=None,
        directions=["maximize", "minimize"],
    )
    assert sorted(path.name for path in (tmp_path / "trials").iterdir()) == ["0000", "0001"]


def test_a_failed_trial_keeps_its_runs_and_an_attempt_that_was_cut_short_leaves_none(tmp_path):
    torn = trial_path(tmp_path, 0) / "seed-0" / "checkpoints"
    torn.mkdir(parents=True)

    def fails(task, watch):
        task.folder.mkdir()
        raise ZeroDivisionError

    study = optuna.create_study(direction="maximize")
    study.optimize(functools.partial(objective, train=fails, folder=tmp_path), n_trials=1, catch=ZeroDivisionError)
    study.optimize(functools.partial(objective, train=Runs(), folder=tmp_path), n_trials=1)
    assert not torn.exists()
    assert sorted(path.name for path in (tmp_path / "trials").iterdir()) == ["0000", "0001"]


def test_surpassing_is_being_better_somewhere_and_nowhere_worse():
    assert Standing((2.0,)).surpasses(Standing((1.0,)), [True])
    assert Standing((1.0,)).surpasses(Standing((2.0,)), [False])
    assert not Standing((1.0,)).surpasses(Standing((1.0,)), [True])
    assert not Standing((2.0, 2.0)).surpasses(Standing((1.0, 1.0)), [True, False])
    assert Standing((1.0,)).surpasses(Standing((2.0,), keeps=False), [True])
    assert not Standing((2.0,), keeps=False).surpasses(Standing((1.0,)), [True])


def test_runs_of_the_best_trial_that_keeps_to_its_constraints_stay(tmp_path):
    levels = [4.0, 9.0]
    study_of(
        lambda trial: objective(
            trial,
            train=Runs(),
            level=levels[trial.number],
            folder=tmp_path,
            constraints=[Constraint("return/greedy", 6.0)],
        ),
        n_trials=2,
    )
    assert [path.name for path in (tmp_path / "trials").iterdir()] == ["0000"]


def test_the_engine_prunes_by_what_is_reported():
    levels = [10.0, 9.0, 1.0]
    for name, expected in (("median", [2, 2, 1]), ("wilcoxon", [6, 4, 4])):
        train = Runs(noise=0.1)
        options = {"startup_trials": 2} if name == "median" else {}
        plan = StudyPlan("pruned", n_trials=3, pruner=PrunerConfig(name=name, **options))
        seeds = 2 if name == "median" else 6
        run_study(plan, lambda trial, t=train, n=seeds: objective(trial, train=t, level=levels[trial.number], seeds=n))
        assert [len(runs) for runs in split(train.done)] == expected


def split(done):
    """The runs of each trial: each begins with seed 0."""
    trials = []
    for run in done:
        if run[0] == 0:
            trials.append([])
        trials[-1].append(run)
    return trials


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("return/shaped", "'return/shaped' is paid by the reward that is being tuned"),
        ("reward/total", "larger weights raise it and teach nothing; use return/greedy"),
        ("component/guide/raw", "is paid by the reward"),
        ("weight/guide", "set force: true"),
        ("return/true", "measured on training problems, which can be learned by heart"),
        ("accuracy/train", "measured on training problems"),
        ("length/mean", "says what a run costs, not what it learned"),
        ("acuracy/greedy", "unknown metric 'acuracy/greedy'; did you mean 'accuracy/greedy'"),
    ],
)
def test_metrics_that_mislead_are_refused_with_the_reason(metric, reason):
    with pytest.raises(ConfigError, match=reason) as refused:
        check_metrics([metric])
    assert "\n" not in str(refused.value)
    check_metrics([metric], force=True)


@pytest.mark.parametrize("metric", ["accuracy/greedy", "return/sampled", "held_out/polite/sampled", "accuracy/first"])
def test_held_out_metrics_are_taken(metric):
    assert metric_problem(metric) is None
    check_metrics([metric, "length/mean"])


def test_a_refused_metric_trains_nothing():
    train = Runs()
    with pytest.raises(ConfigError, match="return/shaped"):
        study_of(functools.partial(objective, train=train, metric="return/shaped"))
    assert train.done == []


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"return/greedy": 1.0}, r"'accuracy/greedy' was not measured by the run.*\(measured: return/greedy\)"),
        ({"accuracy/greedy": float("nan")}, "'accuracy/greedy' is nan at the end of the run"),
    ],
)
def test_a_metric_that_is_not_there_is_named(measured, message):
    with pytest.raises(ConfigError, match=message):
        pick(measured, ["accuracy/greedy"])


def test_what_only_one_run_measured_has_no_mean():
    reports = SeedReports(optuna.trial.FixedTrial({}), ["a", "b"])
    reports.finished = [{"a": 1.0, "b": 2.0}, {"a": 3.0}]
    assert reports.means() == {"a": 2.0}
