"""Studies from Python: call forms, what an objective is given, what comes out, and what is refused."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.tuning import BayesianRewardOptimizer, SamplerConfig, SearchSpace
from rlenvs.agents.tuning.objective_call import TrialFunction
from rlenvs.agents.tuning.trial_config import TrialConfigs
from rlenvs.errors import ConfigError, StudyError, TuningError

RECIPE = {
    "composer_settings": {"normalization_strategy": None},
    "reward_components": {"score": {"class": "InfoValueReward", "params": {"info_key": "score"}}},
    "reward_shaping": {"score": {"initial_weight": 1.0}},
}
SPACE = {
    "composer_settings": {"normalization_strategy": {"type": "categorical", "choices": [None, "z_score"]}},
    "reward_shaping": {"score": {"initial_weight": {"type": "float", "low": 0.5, "high": 2.0}}},
}
WEIGHT = "reward_shaping.score.initial_weight"


def weight_of(config: dict) -> float:
    return config["reward_shaping"]["score"]["initial_weight"]


def near_one(trial, config) -> float:
    return -abs(weight_of(config) - 1.25) - (config["composer_settings"]["normalization_strategy"] is None)


def optimizer(objective=near_one, space=SPACE, **options) -> BayesianRewardOptimizer:
    return BayesianRewardOptimizer(RECIPE, space, objective, **{"n_trials": 6, **options})


class TestResult:
    def test_it_unpacks_and_has_names(self):
        result = optimizer(n_trials=25).optimize()
        best_params, best_value, study = result
        assert best_params == result.best_params == study.best_params
        assert best_value == result.best_value == result.best_trial.value == study.best_value
        assert isinstance(study, optuna.Study)
        assert len(study.trials) == 25
        assert best_params["composer_settings.normalization_strategy"] == "z_score"
        assert json.loads(json.dumps(best_params)) == best_params

    def test_the_best_configuration_is_the_one_that_the_objective_saw(self):
        seen = {}

        def objective(trial, config):
            seen[trial.number] = copy.deepcopy(config)
            return near_one(trial, config)

        result = optimizer(objective, n_trials=10).optimize()
        assert result.best_config == seen[result.best_trial.number]
        assert {trial.number: result.config_of(trial) for trial in result.study.trials} == seen

    def test_several_objectives_have_no_single_best(self):
        result = optimizer(
            lambda trial, config: (weight_of(config), -weight_of(config)),
            directions=["maximize", "maximize"],
            n_trials=5,
        ).optimize()
        assert len(result.best_trials) == 5
        with pytest.raises(TuningError, match="a study of 2 objectives has no single best trial: look at best_trials"):
            _ = result.best_trial

    def test_no_trial_with_a_value(self):
        def pruned(trial):
            raise optuna.TrialPruned

        result = optimizer(pruned, n_trials=3).optimize()
        with pytest.raises(TuningError, match=r"no trial of study 'rewards' has a value \(3 pruned\)"):
            _ = result.best_params
        assert result.best_trials == []

    def test_constraints_are_kept(self):
        def objective(trial, config):
            trial.set_constraint("light", weight_of(config) - 0.8)
            return weight_of(config)

        assert optimizer(objective, n_trials=20).optimize().best_value <= 0.8
        everything = optimizer(lambda trial: trial.set_constraint("never", 1.0) or 1.0, n_trials=2).optimize()
        with pytest.raises(TuningError, match=r"kept every constraint \(2 finished\)"):
            _ = everything.best_trial


class TestObjective:
    def test_it_gets_its_arguments(self):
        def objective(trial, base_config, search_space, *, scale=1.0):
            assert base_config is RECIPE
            assert search_space is SPACE
            return scale * trial.suggest_float(WEIGHT, 0.5, 2.0)

        given = {"base_config": RECIPE, "search_space": SPACE, "scale": -1.0}
        result = optimizer(objective, objective_kwargs=given).optimize()
        assert result.best_value == -result.best_params[WEIGHT]

    def test_it_may_ask_for_the_configuration(self):
        def objective(trial):
            return near_one(trial, study.generate_trial_config(trial))

        study = optimizer(objective)
        assert study.optimize().best_value == optimizer().optimize().best_value

    def test_a_config_of_its_own_is_not_replaced(self):
        assert optimizer(lambda trial, config: config, objective_kwargs={"config": 3.0}).optimize().best_value == 3.0

    def test_every_trial_has_the_parameters_of_the_space(self):
        study = optimizer(lambda trial: 1.0).optimize().study
        assert all(set(trial.params) == {WEIGHT, "composer_settings.normalization_strategy"} for trial in study.trials)

    @pytest.mark.parametrize(
        ("objective", "kwargs", "message"),
        [
            ("text", None, "objective_function: expected a function of the trial, got 'text'"),
            (lambda trial, scale: 1.0, {"sclae": 1}, r"objective_kwargs: <lambda>\(\) has no parameter 'sclae'; did you mean 'scale'\? \(known: scale\)"),
            (lambda trial, scale: 1.0, None, r"<lambda>\(trial, \*\*objective_kwargs\) cannot be called: missing a required argument: 'scale'"),
            (lambda: 1.0, None, r"cannot be called: too many positional arguments"),
        ],
    )  # fmt: skip
    def test_that_cannot_be_called(self, objective, kwargs, message):
        with pytest.raises(ConfigError, match=message):
            optimizer(objective, objective_kwargs=kwargs)

    def test_that_takes_anything(self):
        assert (
            optimizer(lambda trial, **rest: float(rest == {"a": 1}), objective_kwargs={"a": 1}).optimize().best_value
            == 1.0
        )

    def test_a_callable_object(self):
        class Objective:
            def __call__(self, trial, config):
                return weight_of(config)

        assert TrialFunction(Objective(), None, TrialConfigs(RECIPE, SPACE)).takes_config

    def test_one_failure_is_recorded_and_the_study_goes_on(self):
        def objective(trial, config):
            if trial.number == 1:
                raise ZeroDivisionError("once")
            return float("nan") if trial.number == 2 else 1.0

        study = optimizer(objective).optimize().study
        failed = [trial for trial in study.trials if trial.state is optuna.trial.TrialState.FAIL]
        assert [trial.number for trial in failed] == [1, 2]
        assert failed[0].user_attrs["failure"] == "ZeroDivisionError: once"
        assert "nan" in failed[1].user_attrs["failure"]

    def test_all_failing_stops_with_the_first_cause(self):
        def objective(trial):
            raise KeyError("no such thing")

        with pytest.raises(TuningError, match="no such thing"):
            optimizer(objective).optimize()


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"direction": "maximise"}, "direction: expected 'maximize' or 'minimize', got 'maximise'; did you mean 'maximize'?"),
            ({"sampler": "tep"}, "sampler: name: expected 'tpe', 'gp', 'cmaes', 'random' or 'qmc', got 'tep'; did you mean 'tpe'?"),
            ({"pruner": {"name": "median", "startup": 3}}, "pruner: startup: unknown key 'startup'; did you mean 'startup_trials'? "),
            ({"n_trials": 0}, "n_trials must be an integer >= 1, got 0"),
            ({"space": {}}, "search_space: has no parameter to tune"),
            ({"space": {"reward_shaping.scor.initial_weight": {"type": "float", "low": 0, "high": 1}}}, "search_space: reward_shaping.scor: no component has this name; did you mean 'score'?"),
        ],
    )  # fmt: skip
    def test_by_the_constructor(self, options, message):
        with pytest.raises((ConfigError, StudyError)) as caught:
            optimizer(**options)
        assert str(caught.value).startswith(message)

    def test_a_sampler_that_is_an_object(self):
        with pytest.raises(
            ConfigError,
            match="sampler: expected a name or a SamplerConfig, got RandomSampler: every trial gets one of its own",
        ):
            optimizer(sampler=optuna.samplers.RandomSampler())

    def test_by_the_dry_run_before_any_trial(self):
        ran = []
        space = {
            **SPACE,
            "reward_shaping": {"score": {"decay_schedule": {"type": "categorical", "choices": ["none", "linear"]}}},
        }
        study = optimizer(lambda trial: ran.append(1) or 1.0, space=space)
        with pytest.raises(ConfigError, match="'linear' needs 'decay_steps' beside it"):
            study.optimize()
        assert ran == []

    def test_workers_without_a_storage_to_share(self):
        with pytest.raises(StudyError, match="cannot be shared"):
            optimizer(workers=2).optimize()


class TestStorage:
    def test_a_study_goes_on_where_it_was_asked_to(self, tmp_path):
        url = f"journal:{tmp_path / 'study.log'}"
        first = [trial.params for trial in optimizer(storage=url, study_name="s", n_trials=4).optimize().study.trials]
        with pytest.raises(StudyError, match="'s'"):
            optimizer(storage=url, study_name="s").optimize()
        more = optimizer(storage=url, study_name="s", n_trials=7, resume=True).optimize()
        assert [trial.params for trial in more.study.trials[:4]] == first
        whole = optimizer(n_trials=7).optimize()
        assert [trial.params for trial in more.study.trials] == [trial.params for trial in whole.study.trials]

    @pytest.mark.parametrize(
        ("base", "space", "message"),
        [
            (RECIPE, {WEIGHT: {"type": "float", "low": 0.5, "high": 3.0}}, "search_space"),
            ({**RECIPE, "mine": 1}, SPACE, "base_config"),
        ],
    )
    def test_another_space_or_base_is_refused(self, tmp_path, base, space, message):
        url = f"journal:{tmp_path / 'study.log'}"
        optimizer(storage=url, n_trials=2).optimize()
        with pytest.raises(StudyError, match=message):
            BayesianRewardOptimizer(base, space, near_one, n_trials=4, storage=url, resume=True).optimize()

    def test_objects_of_ones_own_in_the_base_do_not_change_it(self, tmp_path):
        url = f"journal:{tmp_path / 'study.log'}"
        for resume in (False, True):
            base = {**RECIPE, "mine": {"function": lambda: 1, "object": object()}}
            result = BayesianRewardOptimizer(base, SPACE, near_one, n_trials=2, storage=url, resume=resume).optimize()
            assert len(result.study.trials) == 2  # the second time none is run: the study is the same

    @pytest.mark.slow
    @pytest.mark.ci
    def test_workers_get_functions_of_this_module(self, tmp_path):
        offset = 1.0
        space = {WEIGHT: lambda trial: offset * trial.suggest_float("w", 0.5, 2.0)}
        result = optimizer(
            lambda trial, config: -weight_of(config) * offset,
            space=space,
            storage=f"journal:{tmp_path / 's.log'}",
            workers=2,
        ).optimize()
        assert len(result.study.trials) == 6
        assert result.best_value == -weight_of(result.best_config)


class TestOptions:
    def test_callbacks_hear_of_every_trial(self):
        heard = []
        optimizer(callbacks=[lambda study, trial: heard.append(trial.number)]).optimize()
        assert heard == list(range(6))

    def test_stop_begins_no_further_trial(self):
        done = []
        optimizer(lambda trial: done.append(1) or 1.0, stop=lambda: len(done) >= 3, n_trials=9).optimize()
        assert len(done) == 3

    def test_the_seed_decides(self):
        def drawn(seed, sampler):
            return [trial.params for trial in optimizer(seed=seed, sampler=sampler).optimize().study.trials]

        assert drawn(1, "tpe") == drawn(1, SamplerConfig(name="tpe")) != drawn(2, {"name": "tpe"})

    def test_minimize(self):
        result = optimizer(
            lambda trial, config: weight_of(config), direction="minimize", n_trials=12, sampler="random"
        ).optimize()
        assert result.best_value == min(trial.value for trial in result.study.trials)

    def test_the_space_may_be_read_before(self):
        space = SearchSpace.parse(SPACE)
        study = optimizer(space=space)
        assert study.search_space is space
        assert [parameter.when for parameter in study.check()] == ["always", "always"]
        assert study.base_config == RECIPE


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1))
def test_a_trial_is_made_of_its_parameters_alone(seed):
    result = optimizer(seed=seed, n_trials=3, sampler="random").optimize()
    for trial in result.study.trials:
        assert result.config_of(trial) == result.configs.generate(optuna.trial.FixedTrial(trial.params))
        assert near_one(trial, result.config_of(trial)) == trial.value


def test_importing_needs_neither_torch_nor_optuna():
    script = (
        "import sys, rlenvs.agents.tuning as t; assert 'torch' not in sys.modules and 'optuna' not in sys.modules; "
        "t.SearchSpace.parse({'a': {'type': 'int', 'low': 0, 'high': 2}}); assert 'optuna' not in sys.modules; "
        "t.BayesianRewardOptimizer; assert 'torch' not in sys.modules"
    )
    root = Path(__file__).parents[3]
    ended = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
