"""A study in this process: how many trials, which failures, who may join, when it stops."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from rlenvs.agents.tuning.engine.plan import StudyPlan
from rlenvs.agents.tuning.engine.pruners import PrunerConfig
from rlenvs.agents.tuning.engine.running import run_study
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.engine.storage import open_storage
from rlenvs.agents.tuning.engine.tickets import RETRY_OF, Ledger, attempt_of, trial_index, trial_seed
from rlenvs.errors import ConfigError, StudyError, TuningError

RANDOM = SamplerConfig(name="random")


def parabola(trial):
    return -(trial.suggest_float("x", -1, 1) ** 2)


def results(study, asked=None):
    return [(trial.params, trial.values, trial.state) for trial in Ledger(study.trials, asked).outcomes]


def test_as_many_trials_as_asked_for_and_each_is_told_of_once():
    told = []
    study = run_study(
        StudyPlan("s", n_trials=100, sampler=RANDOM), parabola, on_trial=lambda _, trial: told.append(trial.number)
    )
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 100
    assert told == list(range(100))
    assert len({trial.params["x"] for trial in study.trials}) == 100


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "the objective returned None, not a number"),
        ("0.5", "the objective returned '0.5', not a number"),
        (float("nan"), "the objective returned nan, which no trial can be compared with"),
        (float("inf"), "the objective returned inf, which no trial can be compared with"),
        ((1.0, 2.0), "the objective returned 2 values, and the study has 1 directions"),
        ({"a": 1}, "the objective returned {'a': 1}, not a number"),
        ([None], "the objective returned [None], not a number"),
    ],
)
def test_what_is_no_value_is_a_failure_that_says_so(returned, said):
    def objective(trial):
        return returned if trial.number == 1 else 1.0

    study = run_study(StudyPlan("s", n_trials=3, sampler=RANDOM), objective)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[1].user_attrs["failure"] == said


@pytest.mark.parametrize("returned", [2, np.float32(2), np.array(2.0), [2.0], (np.float64(2),), np.array([2.0])])
def test_whatever_holds_one_number_is_a_value(returned):
    assert run_study(StudyPlan("s", n_trials=1, sampler=RANDOM), lambda trial: returned).best_value == 2.0


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_processes_that_an_objective_forks_end_as_they_would_without_us():
    def objective(trial):
        child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(30,))
        child.start()
        time.sleep(0.2)
        child.terminate()
        child.join(5)
        return float(child.exitcode)

    assert run_study(StudyPlan("s", n_trials=1, sampler=RANDOM), objective).best_value == -signal.SIGTERM


def test_a_failing_objective_is_recorded_and_the_study_goes_on():
    def objective(trial):
        if trial.number in (0, 2):
            raise TypeError("no such\nthing")
        if trial.number == 3:
            raise SystemExit(2)
        return 1.0

    study = run_study(StudyPlan("s", n_trials=6, sampler=RANDOM), objective)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    attributes = study.trials[0].user_attrs
    assert attributes["failure"] == "TypeError: no such"
    assert attributes["failure_place"].startswith("test_tuning_running.py:")
    assert attributes["failure_place"].endswith(" in objective")
    assert 'raise TypeError("no such\\nthing")' in attributes["failure_traceback"]
    assert study.trials[3].user_attrs["failure"] == "SystemExit: 2"


@pytest.mark.parametrize(
    ("asked", "ran", "said"),
    [(20, 5, "all of the first 5 trials failed"), (2, 2, "all of the first 2 trials"), (1, 1, "the only trial failed")],
)
def test_when_every_trial_fails_the_first_cause_is_said(asked, ran, said):
    storage = open_storage()

    def objective(trial):
        raise KeyError(f"number {trial.number}")

    plan = StudyPlan("s", storage, n_trials=asked, sampler=RANDOM)
    with pytest.raises(
        TuningError, match=rf"{said}.*KeyError: 'number 0' \(test_tuning_running\.py:\d+ in objective\)"
    ) as error:
        run_study(plan, objective)
    assert "raise KeyError" in error.value.__notes__[0]
    assert sum(trial.state == TrialState.FAIL for trial in storage.get_all_trials(0)) == ran
    if asked > ran:  # mended and resumed, it goes on
        study = run_study(plan, parabola, resume=True)
        assert sum(trial.state == TrialState.COMPLETE for trial in study.trials) == asked - ran


def test_pruned_trials_count_and_are_worth_their_last_report():
    def objective(trial):
        trial.report(float(trial.number), 3)
        if trial.number >= 2:
            assert trial.should_prune()
            raise optuna.TrialPruned
        return float(trial.number)

    plan = StudyPlan("s", n_trials=4, directions=("minimize",), sampler=RANDOM, pruner=PrunerConfig(startup_trials=1))
    study = run_study(plan, objective)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "PRUNED", "PRUNED"]
    assert study.trials[3].value == 3.0


def test_several_directions():
    study = run_study(
        StudyPlan("s", n_trials=12, directions=("maximize", "minimize")),
        lambda trial: (trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)),
    )
    assert len(study.trials) == 12
    assert study.best_trials


SAMPLERS = [
    SamplerConfig(),
    SamplerConfig(group=True, startup_trials=3),
    RANDOM,
    SamplerConfig(name="qmc"),
    SamplerConfig(name="qmc", sequence="halton", scramble=False),
    SamplerConfig(name="cmaes", startup_trials=2, population=4),
]


def tree(trial):
    x = trial.suggest_float("x", -1, 1)
    n = trial.suggest_int("n", 1, 100, log=True)
    extra = trial.suggest_float("x.more", 0, 1) if trial.suggest_categorical("kind", ["a", "b"]) == "a" else 0.0
    for step in range(3):
        trial.report(x + step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return x * x + n / 100 + extra


@pytest.mark.parametrize("pruner", ["median", "hyperband"])
@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda config: f"{config.name}-{config.sequence}-{config.group}")
def test_stopped_and_resumed_it_is_bit_equal_to_a_study_that_was_not(tmp_path, sampler, pruner):
    config = PrunerConfig(name=pruner, max_resource=3) if pruner == "hyperband" else PrunerConfig(name=pruner)
    plan = StudyPlan("s", n_trials=20, seed=7, sampler=sampler, pruner=config)
    whole = run_study(plan, tree)
    journal = f"journal:{tmp_path}/study.log"
    run_study(plan.replace(storage=journal, n_trials=6), tree)  # more are asked for later
    done = []
    run_study(
        plan.replace(storage=journal),
        tree,
        resume=True,
        stop=lambda: len(done) >= 7,
        on_trial=lambda *_: done.append(1),
    )
    resumed = run_study(plan.replace(storage=journal), tree, resume=True)
    assert len(done) == 7
    assert results(resumed) == results(whole)
    assert [trial.number for trial in resumed.trials] == list(range(20))
    other = run_study(plan.replace(seed=8), tree)
    assert results(other) != results(whole) or (sampler.name == "qmc" and not sampler.scramble)


@pytest.mark.slow
def test_a_gaussian_process_resumed_is_bit_equal(tmp_path):
    pytest.importorskip("torch")
    plan = StudyPlan("s", n_trials=14, sampler=SamplerConfig(name="gp", startup_trials=5))
    whole = run_study(plan, parabola)
    run_study(plan.replace(storage=f"journal:{tmp_path}/s.log", n_trials=8), parabola)
    assert results(run_study(plan.replace(storage=f"journal:{tmp_path}/s.log"), parabola, resume=True)) == results(
        whole
    )


def test_an_existing_study_is_not_taken_for_a_new_one():
    plan = StudyPlan("s", open_storage(), n_trials=2, sampler=RANDOM)
    run_study(plan, parabola)
    with pytest.raises(
        StudyError, match="study 's' exists already in InMemoryStorage: resume it, or choose another name"
    ):
        run_study(plan, parabola)
    assert len(run_study(plan, parabola, resume=True).trials) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fingerprint": {"space": {"lr": {"high": 0.2}}}}, r"with another space\.lr\.high: 0\.1 there, 0\.2 here"),
        ({"fingerprint": {"space": {}}}, r"space\.lr: .* there, nothing here"),
        ({"seed": 1}, "with another seed: 0 there, 1 here"),
        ({"directions": ("minimize",)}, "with another directions"),
        ({"sampler": SamplerConfig()}, r"sampler\.name"),
    ],
)
def test_a_study_of_that_name_with_something_else(changes, said):
    plan = StudyPlan("s", open_storage(), n_trials=2, sampler=RANDOM, fingerprint={"space": {"lr": {"high": 0.1}}})
    run_study(plan, parabola)
    with pytest.raises(StudyError, match=said):
        run_study(plan.replace(**changes), parabola, resume=True)


def test_a_study_that_somebody_else_made():
    storage = open_storage()
    optuna.create_study(storage=storage, study_name="s", direction="maximize").optimize(parabola, n_trials=1)
    with pytest.raises(StudyError, match="was not made by rlenvs"):
        run_study(StudyPlan("s", storage), parabola, resume=True)


def test_a_study_whose_maker_died_before_it_was_signed():
    storage = open_storage()
    optuna.create_study(storage=storage, study_name="s", direction="maximize")
    assert len(run_study(StudyPlan("s", storage, n_trials=2, sampler=RANDOM), parabola, resume=True).trials) == 2


def test_time_that_is_up_begins_no_new_trial():
    def objective(trial):
        time.sleep(0.05)
        return 1.0

    began = time.monotonic()
    study = run_study(StudyPlan("s", n_trials=1000, timeout_s=0.3, sampler=RANDOM), objective)
    assert time.monotonic() - began < 2
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    assert 1 <= len(done) <= 6
    assert not any(trial.state == TrialState.RUNNING for trial in study.trials)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_gives_the_running_trial_back(number):
    plan = StudyPlan("s", open_storage(), n_trials=4, sampler=RANDOM)
    interrupted = []
    seeds = {}

    def objective(trial):
        x = trial.suggest_float("x", 0, 1)
        seeds.setdefault(trial_index(trial), set()).add(trial_seed(trial))
        if trial.number == 1 and not interrupted:
            interrupted.append(x)
            os.kill(os.getpid(), number)
            time.sleep(5)
        return x

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        run_study(plan, objective)
    assert signal.getsignal(number) is before
    study = run_study(plan, objective, resume=True)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "COMPLETE"]
    assert study.trials[4].user_attrs == {RETRY_OF: 1}
    assert study.trials[4].params == {"x": interrupted[0]}
    assert [len(one) for one in seeds.values()] == [1, 1, 1, 1]
    assert len({one.pop() for one in seeds.values()}) == 4


def test_giving_back_is_not_held_against_a_trial():
    plan = StudyPlan("s", open_storage(), n_trials=1, max_retries=0, sampler=RANDOM)
    asked = []

    def objective(trial):
        if len(asked) < 5:
            asked.append(1)
            raise KeyboardInterrupt
        return 1.0

    for _ in range(5):
        with pytest.raises(KeyboardInterrupt):
            run_study(plan, objective, resume=True)
    study = run_study(plan, objective, resume=True)
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 5 + ["COMPLETE"]
    assert [attempt_of(trial) for trial in study.trials] == [0] * 6


def test_in_a_thread_of_its_own():
    studies = []
    thread = threading.Thread(
        target=lambda: studies.append(run_study(StudyPlan("s", n_trials=3, sampler=RANDOM), parabola))
    )
    thread.start()
    thread.join()
    assert len(studies[0].trials) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": ""}, "name must have"),
        ({"n_trials": 0}, "n_trials must be an integer >= 1, got 0"),
        ({"n_trials": True}, "n_trials must be"),
        ({"timeout_s": 0}, "timeout must be > 0"),
        ({"directions": ("up",)}, "directions must be 'maximize' or 'minimize'"),
        ({"directions": ()}, "directions must be"),
        ({"seed": -1}, "seed must be"),
        ({"grace_s": 1.0}, "grace_s must be at least 2"),
        (
            {"directions": ("maximize", "minimize"), "sampler": SamplerConfig(name="cmaes")},
            "'cmaes' takes one objective",
        ),
    ],
)
def test_plans_that_cannot_be_run(changes, said):
    with pytest.raises(StudyError, match=said):
        StudyPlan(**{"name": "s", **changes})


def test_options_that_a_sampler_or_pruner_does_not_have():
    with pytest.raises(ValueError, match="sampler 'random' has no such option"):
        SamplerConfig(name="random", startup_trials=3)
    with pytest.raises(ValueError, match="pruner 'none' has no such option"):
        PrunerConfig(name="none", warmup_steps=3)
    with pytest.raises(ValueError, match="must be >= min_resource"):
        PrunerConfig(name="hyperband", min_resource=4, max_resource=2)
    assert issubclass(StudyError, ValueError)
    assert issubclass(ConfigError, ValueError)


@pytest.mark.parametrize("name", ["none", "median", "percentile", "halving", "hyperband", "wilcoxon"])
def test_every_pruner_is_built(name):
    assert isinstance(PrunerConfig(name=name).build(["maximize"]), optuna.pruners.BasePruner)
    assert isinstance(PrunerConfig(name=name).build(["maximize", "minimize"]), optuna.pruners.NopPruner)


def test_a_storage_of_one_process_is_not_for_workers():
    for storage in ("memory", open_storage()):
        with pytest.raises(StudyError, match="cannot be shared with workers"):
            run_study(StudyPlan("s", storage), parabola, workers=2)
