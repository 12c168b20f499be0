"""Configurations of trials: what a space may set in a base, what is left out, and what each mistake is called."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.tuning.base import BaseConfig, BaseKind
from rlenvs.agents.tuning.space import SearchSpace
from rlenvs.agents.tuning.space.trials import DryTrial, DryValues
from rlenvs.agents.tuning.trial_config import TrialConfigs
from rlenvs.config_file import read_config
from rlenvs.errors import ConfigError
from rlenvs.wrappers.config.rewards import RewardConfig

CONFIGS = Path(__file__).parents[3] / "configs"
relaxed = settings(deadline=None, max_examples=25)

GUIDE = {
    "reward_shaping": {
        "goal": {"class": "GoalReward", "params": {"target_reward": 1.0}, "weight_schedule": {"initial_weight": 10.0, "schedule_type": "constant"}},
        "step": {
            "class": "StepPenalty",
            "params": {"penalty": -0.01},
            "weight_schedule": {"initial_weight": 1.0, "schedule_type": "exponential", "decay_rate": 0.5, "decay_steps": 10, "min_weight": 0.0},
        },
    }
}  # fmt: skip
COOKBOOK = {
    "composer_settings": {"normalization_strategy": None},
    "reward_components": {
        "score": {"class": "InfoValueReward", "params": {"info_key": "score"}},
        "long": {"class": "LengthPenalty", "params": {"max_length": 8}},
    },
    "reward_shaping": {
        "score": {"initial_weight": 1.0},
        "long": {"initial_weight": 0.5, "decay_schedule": "exponential", "decay_rate": 0.5, "decay_steps": 100},
    },
}
SB3 = yaml.safe_load((CONFIGS / "train" / "sb3_ppo.yaml").read_text())
WEIGHT = {"type": "float", "low": 0.1, "high": 5.0}


def said(base, space) -> str:
    with pytest.raises(ConfigError) as caught:
        TrialConfigs(base, space).check()
    return str(caught.value)


def made(base, space, **params):
    return TrialConfigs(base, space).generate(FixedTrial(params))


class TestTheBase:
    @pytest.mark.parametrize(
        ("base", "kind"),
        [
            (GUIDE, BaseKind.RECIPE),
            (COOKBOOK, BaseKind.RECIPE),
            ({**COOKBOOK, "algorithm": {"name": "mine"}, "env": {"id": "x"}}, BaseKind.RECIPE),
            (SB3, BaseKind.SB3),
            (CONFIGS / "train" / "arithmetic.yaml", BaseKind.LLM),
            (CONFIGS / "sft" / "arithmetic.yaml", BaseKind.SUPERVISED),
            (str(CONFIGS / "rewards" / "tuning_base.yaml"), BaseKind.RECIPE),
            ({"agent": {"lr": 1e-3}}, BaseKind.PLAIN),
            ({"env": {"id": "CartPole-v1"}, "algorithm": "mine"}, BaseKind.PLAIN),
            ({}, BaseKind.PLAIN),
        ],
    )
    def test_its_kind(self, base, kind):
        assert BaseConfig.read(base).kind is kind

    def test_a_shipped_one_goes_by_its_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert BaseConfig.read("sb3_ppo.yaml").data == SB3
        with pytest.raises(
            ConfigError,
            match=r"base_config: base: no such file, and no shipped configuration: 'sb3_pp.yaml'; did you mean 'sb3_ppo.yaml'\?",
        ):
            BaseConfig.read("sb3_pp.yaml")

    def test_a_model_gives_its_data(self):
        assert (
            TrialConfigs(RewardConfig.load(GUIDE), {"reward_shaping.goal.initial_weight": WEIGHT}).base[
                "reward_components"
            ]["goal"]["class"]
            == "GoalReward"
        )
        config = SB3TrainConfig.load(SB3)
        configs = TrialConfigs(config, {"algorithm.ent_coef": {"type": "float", "low": 0.0, "high": 0.1}})
        assert SB3TrainConfig.load(configs.base) == config

    def test_what_it_gets_wrong_itself_is_said_of_it(self, tmp_path):
        path = tmp_path / "base.yaml"
        path.write_text("reward_shaping:\n  goal:\n    class: GoalRewrad\n")
        assert (
            said(path, {"a": WEIGHT})
            == f"{path}:3:5: reward_shaping.goal: unknown 'class' 'GoalRewrad'; did you mean 'GoalReward'? (known: {', '.join(known())})"
        )
        wrong = copy.deepcopy(COOKBOOK)
        wrong["reward_shaping"]["score"]["decay_rate"] = 0.5
        assert said(wrong, {"reward_shaping.score.initial_weight": WEIGHT}).startswith(
            "base_config: reward_shaping.score.decay_rate: needs a decay_schedule"
        )
        assert (
            said({**COOKBOOK, "composer_setings": {}}, {"a": WEIGHT})
            == "base_config: composer_setings: unknown key 'composer_setings'; did you mean 'composer_settings'?"
        )

    def test_a_base_inside_of_a_file_has_lines(self, tmp_path):
        path = tmp_path / "tune.yaml"
        path.write_text("name: x\nbase:\n  reward_shaping:\n    goal: {clas: GoalReward}\n")
        data, source = read_config(path)
        with pytest.raises(ConfigError) as caught:
            TrialConfigs(data["base"], {"a": WEIGHT}, source=source, at=("base",))
        assert str(caught.value).startswith(
            f"{path}:4:12: base.reward_shaping.goal.clas: unknown key 'clas'; did you mean 'class'?"
        )


def known() -> list[str]:
    from rlenvs.wrappers.config.component import component_names

    return component_names()


class TestWhatIsMade:
    def test_the_base_with_the_places_of_the_space(self):
        space = {
            "reward_shaping": {
                "goal": {"params.target_reward": {**WEIGHT, "name": "t"}},
                "step": {"weight_schedule": {"decay_rate": lambda trial: trial.suggest_float("r", 0.9, 1.0)}},
            }
        }
        expected = copy.deepcopy(GUIDE)
        expected["reward_shaping"]["goal"]["params"]["target_reward"] = 2.5
        expected["reward_shaping"]["step"]["weight_schedule"]["decay_rate"] = 0.95
        assert made(GUIDE, space, t=2.5, r=0.95) == expected

    def test_sections_of_ones_own_stand_beside_a_recipe(self):
        base = {**GUIDE, "agent_params": {"learning_rate": 0.1, "name": "q"}, "training": {"episodes": 5}}
        configs = TrialConfigs(
            base, {"agent_params": {"learning_rate": lambda trial: trial.suggest_float("lr", 1e-5, 1e-2, log=True)}}
        )
        assert configs.generate(FixedTrial({"lr": 1e-3}))["agent_params"] == {"learning_rate": 1e-3, "name": "q"}
        assert [parameter.name for parameter in configs.check()] == ["lr"]

    def test_items_of_lists_go_by_their_index(self):
        base = {"parts": [{"w": 1.0}, {"w": 2.0}]}
        assert made(base, {"parts.1.w": WEIGHT}, **{"parts.1.w": 0.5}) == {"parts": [{"w": 1.0}, {"w": 0.5}]}

    def test_keys_may_have_dots(self):
        base = {"weights": {"a.b": 1.0, "c": 2.0}}
        assert made(base, {"weights.a.b": WEIGHT}, **{"weights.a.b": 0.5}) == {"weights": {"a.b": 0.5, "c": 2.0}}

    def test_a_section_that_is_null_is_an_empty_one(self):
        assert made({"a": None}, {"a.b": WEIGHT}, **{"a.b": 1.0}) == {"a": {"b": 1.0}}

    def test_an_empty_base_takes_anything(self):
        assert made({}, {"ppo.lr": WEIGHT, "x": WEIGHT}, **{"ppo.lr": 1.0, "x": 2.0}) == {"ppo": {"lr": 1.0}, "x": 2.0}

    def test_a_choice_takes_the_place_of_what_the_base_has(self):
        choices = {
            "still": {"initial_weight": 1.0},
            "ramp": {"decay_schedule": "linear_increase", "initial_weight": WEIGHT, "increase_steps": 10},
        }
        space = {"reward_shaping.long": {"type": "categorical", "choices": choices}}
        assert made(COOKBOOK, space, **{"reward_shaping.long": "still"})["reward_shaping"]["long"] == {
            "initial_weight": 1.0
        }

    def test_the_configuration_of_parameters(self):
        configs = TrialConfigs(COOKBOOK, {"reward_shaping.score.initial_weight": {**WEIGHT, "name": "w"}})
        assert configs.generate_from_params({"w": 2.0, "more": 1})["reward_shaping"]["score"] == {"initial_weight": 2.0}
        with pytest.raises(
            ConfigError, match="no configuration for these parameters: The value of the parameter 'w' is not found"
        ):
            configs.generate_from_params({"v": 2.0})

    def test_its_model(self):
        configs = TrialConfigs(
            {**COOKBOOK, "mine": 1}, {"reward_shaping.score.initial_weight": {**WEIGHT, "name": "w"}}
        )
        model = configs.model(configs.generate_from_params({"w": 2.0}))
        assert isinstance(model, RewardConfig)
        assert model.reward_shaping["score"].initial_weight == 2.0
        with pytest.raises(ConfigError, match="initial_weight"):
            configs.model(
                configs.generate_from_params({"w": 2.0}) | {"reward_shaping": {"score": {"initial_weight": "x"}}}
            )
        assert TrialConfigs({"a": 1}, {"a": WEIGHT}).model({"a": 2}) is None


class TestEveryPartOfARun:
    """A space may reach anywhere: the reward, its schedules, normalisation and potentials, and the learner."""

    def test_of_a_language_model(self):
        space = {
            "rewards": {
                "composer_settings": {
                    "normalization_strategy": {"type": "categorical", "choices": [None, "batch", "ema"]},
                    "norm_decay": {"type": "float", "low": 0.9, "high": 0.999},
                    "norm_clip": {"type": "categorical", "choices": [None, 3.0]},
                },
                "reward_components": {
                    "length.params.max_length": {"type": "int", "low": 2, "high": 6},
                    "difficulty.params.potential_params.scale": {"type": "float", "low": -1.0, "high": 0.0},
                },
                "reward_shaping": {
                    "format": {
                        "decay_schedule": {"type": "categorical", "choices": ["constant", "linear", "cosine"]},
                        "decay_steps": {"type": "int", "low": 1000, "high": 50000, "log": True},
                    },
                },
            },
            "ppo": {"kl_coef": {"type": "float", "low": 1e-3, "high": 0.1, "log": True}, "minibatches": {"type": "categorical", "choices": [2, 4, 8]}},
            "rollout.temperature": {"type": "float", "low": 0.7, "high": 1.3},
            "env.kwargs.digits": {"type": "int", "low": 1, "high": 3},
        }  # fmt: skip
        parameters = TrialConfigs(CONFIGS / "train" / "arithmetic.yaml", space).check()
        assert [parameter.path for parameter in parameters if parameter.when == "always"] == [
            leaf.name for leaf in SearchSpace.parse(space).leaves
        ]

    def test_of_stable_baselines3(self):
        space = {
            "algorithm": {"learning_rate": {"type": "categorical", "choices": [1e-3, "lin_2e-3"]}, "n_epochs": {"type": "int", "low": 1, "high": 8}},
            "policy": {"type": "categorical", "choices": {
                "flat": {"features": "flat", "embedding_dim": {"type": "int", "low": 8, "high": 32, "step": 8}},
                "gru": {"features": "gru", "hidden_dim": 32, "net_arch": [64, 64]},
            }},
            "normalize_reward": {"type": "categorical", "choices": [False]},
        }  # fmt: skip
        names = {parameter.name for parameter in TrialConfigs(SB3, space).check(8)}
        assert names == {
            "algorithm.learning_rate",
            "algorithm.n_epochs",
            "policy",
            "policy.flat.embedding_dim",
            "normalize_reward",
        }


class TestWhatIsLeftOut:
    def weight(self, **extra):
        choice = {"decay_schedule": {"type": "categorical", "choices": ["none", "exponential", "linear"]}, **extra}
        return {"reward_shaping": {"long": choice}}

    @pytest.mark.parametrize(
        ("schedule", "left"),
        [
            ("none", {"initial_weight": 0.5, "decay_schedule": "none"}),
            (
                "exponential",
                {"initial_weight": 0.5, "decay_schedule": "exponential", "decay_rate": 0.7, "decay_steps": 100},
            ),
            ("linear", {"initial_weight": 0.5, "decay_schedule": "linear", "decay_steps": 100}),
        ],
    )
    def test_keys_of_schedules_that_are_not_chosen(self, schedule, left):
        space = self.weight(decay_rate={"type": "float", "low": 0.1, "high": 0.9, "name": "r"})
        config = made(COOKBOOK, space, **{"reward_shaping.long.decay_schedule": schedule, "r": 0.7})
        assert config["reward_shaping"]["long"] == left
        RewardConfig.load(config)

    def test_in_the_guides_dialect_and_with_its_own_word(self):
        space = {
            "reward_shaping.step.weight_schedule": {
                "schedule_type": {"type": "categorical", "choices": ["constant", "exponential"], "name": "s"}
            }
        }
        step = made(GUIDE, space, s="constant")["reward_shaping"]["step"]["weight_schedule"]
        assert step == {"initial_weight": 1.0, "schedule_type": "constant"}
        assert made(GUIDE, space, s="exponential") == GUIDE

    def test_the_base_may_call_the_choice_by_the_other_name(self):
        space = {
            "reward_shaping.step.weight_schedule.decay_schedule": {
                "type": "categorical",
                "choices": ["none", "exponential"],
                "name": "s",
            }
        }
        step = made(GUIDE, space, s="none")["reward_shaping"]["step"]["weight_schedule"]
        assert step == {"initial_weight": 1.0, "decay_schedule": "none"}
        TrialConfigs(GUIDE, space).check()

    def test_under_rewards_of_a_run(self):
        base = copy.deepcopy(SB3)
        base["rewards"]["reward_shaping"]["env"] = {
            "initial_weight": 1.0,
            "decay_schedule": "linear",
            "decay_steps": 50,
        }
        space = {
            "rewards.reward_shaping.env.decay_schedule": {
                "type": "categorical",
                "choices": ["none", "linear"],
                "name": "s",
            }
        }
        assert made(base, space, s="none")["rewards"]["reward_shaping"]["env"] == {
            "initial_weight": 1.0,
            "decay_schedule": "none",
        }
        TrialConfigs(base, space).check(4)

    def test_inside_of_a_choice_only_beside_a_drawn_schedule(self):
        inner = {"type": "categorical", "choices": ["none", "exponential"], "name": "s"}
        choices = {
            "a": {"decay_schedule": inner, "decay_rate": 0.5, "decay_steps": 3},
            "b": {"decay_schedule": "none", "decay_rate": 0.5},
        }
        space = {"reward_shaping.long": {"type": "categorical", "choices": choices, "name": "k"}}
        assert made(COOKBOOK, space, k="a", s="none")["reward_shaping"]["long"] == {"decay_schedule": "none"}
        assert said(COOKBOOK, space) == (
            "search_space: reward_shaping.long.decay_rate: is not used by decay_schedule 'none'; remove it (in 16 of 32 sampled configurations)"
        )

    def test_settings_of_normalisations_that_are_not_chosen(self):
        space = {"composer_settings": {
            "normalization_strategy": {"type": "categorical", "choices": [None, "z_score", "ema"], "name": "s"},
            "norm_window": {"type": "int", "low": 20, "high": 90, "name": "w"},
            "norm_decay": {"type": "float", "low": 0.5, "high": 0.9, "name": "d"},
        }}  # fmt: skip
        drawn = {
            strategy: made(COOKBOOK, space, s=strategy, w=50, d=0.5)["composer_settings"]
            for strategy in (None, "z_score", "ema")
        }
        assert drawn == {
            None: {"normalization_strategy": None},
            "z_score": {"normalization_strategy": "z_score", "norm_window": 50},
            "ema": {"normalization_strategy": "ema", "norm_decay": 0.5},
        }
        TrialConfigs(COOKBOOK, space).check()

    def test_settings_that_a_component_uses_stay(self):
        base = copy.deepcopy(COOKBOOK)
        base["reward_components"]["score"]["normalization"] = "z_score"
        base["composer_settings"]["norm_window"] = 30
        space = {
            "composer_settings.normalization_strategy": {
                "type": "categorical",
                "choices": ["none", "batch"],
                "name": "s",
            }
        }
        assert made(base, space, s="batch")["composer_settings"] == {
            "normalization_strategy": "batch",
            "norm_window": 30,
        }
        TrialConfigs(base, space).check()

    def test_settings_of_a_components_own_normalisation(self):
        base = copy.deepcopy(COOKBOOK)
        base["reward_components"]["score"]["normalization"] = {"strategy": "z_score", "window": 30, "clip": 3.0}
        space = {
            "reward_components.score.normalization.strategy": {
                "type": "categorical",
                "choices": ["z_score", "rank"],
                "name": "s",
            }
        }
        assert made(base, space, s="rank")["reward_components"]["score"]["normalization"] == {
            "strategy": "rank",
            "clip": 3.0,
        }
        TrialConfigs(base, space).check()

    def test_the_older_form_gives_way(self):
        base = {**COOKBOOK, "composer_settings": {"normalize": True, "norm_warmup_steps": 5}}
        space = {
            "composer_settings.normalization_strategy": {"type": "categorical", "choices": [None, "ema"], "name": "s"}
        }
        assert made(base, space, s=None)["composer_settings"] == {"normalization_strategy": None}
        assert made(base, space, s="ema")["composer_settings"] == {
            "normalization_strategy": "ema",
            "norm_warmup_steps": 5,
        }
        TrialConfigs(base, space).check()

    def test_parameters_of_other_reducers(self):
        space = {"composer_settings": {
            "reducer": {"type": "categorical", "choices": ["weighted_sum", "gate"], "name": "r"},
            "reducer_params": {"gate": {"type": "categorical", "choices": ["score", "long"], "name": "g"}, "threshold": {"type": "float", "low": 0.0, "high": 1.0, "name": "t"}},
        }}  # fmt: skip
        assert made(COOKBOOK, space, r="weighted_sum", g="score", t=0.5)["composer_settings"]["reducer_params"] == {}
        assert made(COOKBOOK, space, r="gate", g="score", t=0.5)["composer_settings"]["reducer_params"] == {
            "gate": "score",
            "threshold": 0.5,
        }
        TrialConfigs(COOKBOOK, space).check()

    def test_a_key_beside_a_schedule_that_is_not_drawn_is_refused(self):
        space = {"reward_shaping.score": {"decay_rate": {"type": "float", "low": 0.1, "high": 0.9}}}
        assert said(COOKBOOK, space).startswith(
            "search_space: reward_shaping.score.decay_rate: needs a decay_schedule or schedule_type beside it"
        )


class TestWhatIsWrong:
    @pytest.mark.parametrize(
        ("base", "space", "message"),
        [
            (GUIDE, {"reward_shaping.gaol.params.target_reward": WEIGHT}, "reward_shaping.gaol: no component has this name; did you mean 'goal'? (known: goal, step)"),
            (GUIDE, {"reward_shaping.goal.parms.target_reward": WEIGHT}, "reward_shaping.goal.parms: unknown key 'parms'; did you mean 'params'? (known: class, params, on_error, error_value, timeout_s, timeout_value, normalization, weight_schedule, target_reward, goal_key)"),
            (GUIDE, {"reward_shaping.goal.params.target": WEIGHT}, "reward_shaping.goal.params.target: unknown key 'target'; did you mean 'target_reward'? (known: target_reward, goal_key)"),
            (GUIDE, {"reward_shapin.goal.params.target_reward": WEIGHT}, "reward_shapin: the base has no 'reward_shapin'; did you mean 'reward_shaping'? (it has: reward_shaping)"),
            (GUIDE, {"agent_params.learning_rate": WEIGHT}, "agent_params: the base has no 'agent_params' (it has: reward_shaping)"),
            (COOKBOOK, {"reward_shaping.scroe.initial_weight": WEIGHT}, "reward_shaping.scroe: no component has this name; did you mean 'score'? (known: score, long)"),
            (COOKBOOK, {"reward_shaping.score.inital_weight": WEIGHT}, "reward_shaping.score.inital_weight: unknown key 'inital_weight'; did you mean 'initial_weight'? (known: decay_schedule, initial_weight)"),
            (COOKBOOK, {"composer_settings.normalization_strategy": {"type": "categorical", "choices": [None, "zscore"]}}, "composer_settings.normalization_strategy: expected 'none', 'z_score', 'min_max', 'running', 'ema', 'batch', 'group' or 'rank', got 'zscore'; did you mean 'z_score'? (in 16 of 32 sampled configurations)"),
            (COOKBOOK, {"reward_components.long.params.max_length": {"type": "int", "low": -4, "high": 40}}, "reward_components.long.params.max_length: must be >= 0, got -4 (in 5 of 32 sampled configurations)"),
            (SB3, {"rewards.reward_shaping.progres.initial_weight": WEIGHT}, "rewards.reward_shaping.progres: no component has this name; did you mean 'progress'? (known: env, progress)"),
            (SB3, {"algorithm.entcoef": WEIGHT}, "algorithm.entcoef: unknown key 'entcoef'; did you mean 'ent_coef'? "),
            (SB3, {"algoritm.ent_coef": WEIGHT}, "algoritm: unknown key 'algoritm'; did you mean 'algorithm'? "),
            (SB3, {"algorithm": WEIGHT}, "algorithm: "),
            (SB3, {"env.kwargs.digts": {"type": "int", "low": 1, "high": 2}}, "env.kwargs.digts: unknown parameter 'digts'; did you mean 'digits'? (known: "),
            (SB3, {"env.kwargs.digits": {"type": "int", "low": 0, "high": 1}}, "env.kwargs.digits: must be an int in 1..9, got 0 (in "),
            (SB3, {"env.id": {"type": "categorical", "choices": ["rlenvs/ArithmeticTokens-v0", "rlenvs/ArithmeticToken-v0"]}}, "env.id: 'rlenvs/ArithmeticToken-v0': Environment `ArithmeticToken` doesn't exist in namespace rlenvs"),
            ({"a": {"learning_rate": 1.0}}, {"a.lerning_rate": WEIGHT}, "a.lerning_rate: the base has no 'lerning_rate'; did you mean 'learning_rate'? (it has: learning_rate)"),
            ({"a": {"b": 1.0}}, {"c.b": WEIGHT}, "c: the base has no 'c' (it has: a)"),
            ({"a": 1.0}, {"a.b": WEIGHT}, "a: is 1.0 in the base, which has no key 'b'"),
            ({"a": [1, 2]}, {"a.2": WEIGHT}, "a: is a list of 2; expected an index from 0, got '2'"),
        ],
    )  # fmt: skip
    def test_a_place(self, base, space, message):
        found = said(base, space)
        assert found.startswith(f"search_space: {message}"), found
        assert len(found.splitlines()) == 1

    def test_a_new_key_of_ones_own_section_is_none(self):
        assert made({"a": {"b": 1.0}}, {"a.momentum": WEIGHT}, **{"a.momentum": 0.9}) == {
            "a": {"b": 1.0, "momentum": 0.9}
        }

    def test_a_schedule_that_lacks_a_key(self):
        space = {
            "reward_shaping.score.decay_schedule": {"type": "categorical", "choices": ["none", "exponential", "linear"]}
        }
        assert said(COOKBOOK, space).splitlines() == [
            "search_space: reward_shaping.score.decay_schedule: 'exponential' needs 'decay_rate' beside it (in 11 of 32 sampled configurations)",
            "search_space: reward_shaping.score.decay_schedule: 'exponential' needs 'decay_steps' beside it (in 11 of 32 sampled configurations)",
            "search_space: reward_shaping.score.decay_schedule: 'linear' needs 'decay_steps' beside it (in 10 of 32 sampled configurations)",
        ]

    def test_a_key_of_the_base_that_does_not_go_with_what_is_drawn(self):
        base = copy.deepcopy(SB3)
        base["rewards"]["reward_components"]["progress"]["params"]["gamma"] = 1.0
        found = said(base, {"algorithm.gamma": {"type": "float", "low": 0.9, "high": 0.99}})
        assert found == (
            "search_space: rewards.reward_components.progress.params.gamma: must equal the learner's algorithm.gamma (0.9), got 1.0: "
            "shaping leaves the optimal policy alone only when they are equal; drawn: algorithm.gamma = 0.9"
        )

    def test_one_parameter_in_both_places_keeps_them_equal(self):
        gamma = {"type": "float", "low": 0.9, "high": 1.0, "name": "gamma"}
        potential = copy.deepcopy(SB3)
        potential["rewards"]["reward_components"]["progress"]["params"]["gamma_unit"] = "step"
        configs = TrialConfigs(
            potential, {"algorithm.gamma": gamma, "rewards.reward_components.progress.params.gamma": gamma}
        )
        assert [(parameter.name, parameter.when) for parameter in configs.check()] == [("gamma", "always")]

    def test_a_parameter_that_nothing_ever_uses(self):
        space = {"reward_shaping.long": {
            "decay_schedule": {"type": "categorical", "choices": ["none", "linear"]},
            "decay_rate": {"type": "float", "low": 0.1, "high": 0.9},
        }}  # fmt: skip
        assert said(COOKBOOK, space) == (
            "search_space: reward_shaping.long.decay_rate: no value that is drawn beside it uses it: "
            "it would be tuned and never count; remove it"
        )

    def test_a_parameter_that_only_one_choice_uses_is_fine_and_one_that_none_uses_is_not(self):
        rate = {"type": "float", "low": 0.1, "high": 0.9}
        drawn = {"type": "categorical", "choices": ["none", "linear"]}
        fixed = {"decay_schedule": "exponential", "decay_steps": 5, "decay_rate": rate}
        space = {
            "reward_shaping.long": {
                "type": "categorical",
                "choices": {"a": fixed, "b": {"decay_schedule": drawn, "decay_steps": 5, "decay_rate": rate}},
            }
        }
        assert said(COOKBOOK, space).startswith(
            "search_space: reward_shaping.long.decay_rate: no value that is drawn beside it uses it"
        )
        TrialConfigs(COOKBOOK, {"reward_shaping.long": {"type": "categorical", "choices": {"a": fixed}}}).check()

    def test_both_names_of_a_schedule(self):
        either = {"type": "categorical", "choices": ["none", "constant"]}
        found = said(COOKBOOK, {"reward_shaping.score": {"decay_schedule": either, "schedule_type": either}})
        assert (
            found
            == "search_space: reward_shaping.score.schedule_type: is 'decay_schedule' by another name; give one of them"
        )

    def test_a_function_that_returns_nonsense_is_blamed(self):
        space = {"reward_shaping.score.initial_weight": lambda trial: str(trial.suggest_float("w", 0, 1))}
        assert said(COOKBOOK, space).startswith(
            "search_space: reward_shaping.score.initial_weight: expected a number, got '0.0'"
        )

    def test_yaml_is_told_by_line_and_column(self, tmp_path):
        path = tmp_path / "tune.yaml"
        path.write_text(
            "search_space:\n"
            "  composer_settings:\n"
            "    normalization_strategy:\n"
            "      type: categorical\n"
            "      choices: [z_score, zscore]\n"
            "  reward_shaping.long:\n"
            "    type: categorical\n"
            "    choices:\n"
            "      still: {initial_wieght: 1.0}\n"
            "      gone: {initial_weight: 0.0}\n"
        )
        data, source = read_config(path)
        space = SearchSpace.parse(data["search_space"], source, ("search_space",))
        found = said(COOKBOOK, space).splitlines()
        assert [line.split(": ")[0] for line in found] == [f"{path}:5:26", f"{path}:9:15"]
        path.write_text("search_space:\n  reward_shaping:\n    lnog.initial_weight: {type: float, low: 0, high: 1}\n")
        data, source = read_config(path)
        found = said(COOKBOOK, SearchSpace.parse(data["search_space"], source, ("search_space",)))
        assert (
            found
            == f"{path}:3:5: reward_shaping.lnog: no component has this name; did you mean 'long'? (known: score, long)"
        )


@st.composite
def spaces(draw) -> dict:
    """Return a space over the cookbook's recipe that is always valid."""
    space = {}
    for name in draw(st.lists(st.sampled_from(["score", "long"]), unique=True, max_size=2)):
        entry = {"initial_weight": WEIGHT}
        if draw(st.booleans()):
            schedules = draw(
                st.lists(st.sampled_from(["none", "exponential", "linear", "cosine"]), min_size=1, unique=True)
            )
            entry |= {
                "decay_schedule": {"type": "categorical", "choices": schedules},
                "decay_rate": {"type": "float", "low": 0.1, "high": 0.9},
                "decay_steps": {"type": "int", "low": 1, "high": 500, "log": True},
            }
        space[f"reward_shaping.{name}"] = entry
    strategies = draw(st.lists(st.sampled_from([None, "z_score", "ema", "running", "rank"]), min_size=1, unique=True))
    space["composer_settings"] = {
        "normalization_strategy": {"type": "categorical", "choices": strategies},
        "norm_window": {"type": "int", "low": 10, "high": 100},
        "norm_decay": {"type": "float", "low": 0.1, "high": 0.9},
    }
    return space


class TestProperties:
    @relaxed
    @given(spaces(), st.integers(0, 2**31))
    def test_every_configuration_is_valid_and_the_base_stays_what_it_is(self, space, seed):
        base = copy.deepcopy(COOKBOOK)
        configs = TrialConfigs(base, space)
        values = DryValues(seed)
        for number in range(5):
            config = configs.generate(DryTrial(values, number))
            RewardConfig.load(config)
            config["reward_components"].clear()
            config["composer_settings"]["x"] = 1
        assert base == COOKBOOK == configs.base

    @relaxed
    @given(spaces(), st.integers(0, 2**31))
    def test_the_parameters_of_a_trial_give_its_configuration_again(self, space, seed):
        configs = TrialConfigs(COOKBOOK, space)
        trial = DryTrial(DryValues(seed))
        assert configs.generate(trial) == configs.generate_from_params(trial.params)
