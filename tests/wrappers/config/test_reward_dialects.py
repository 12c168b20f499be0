"""Two dialects, one configuration: they say the same, and mistakes are named as they were written."""

import textwrap

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.config_file import dump_config, parse_config
from rlenvs.errors import ConfigError, ParameterError
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline, normalizations
from rlenvs.wrappers.normalization.strategies import Normalization
from rlenvs.wrappers.schedules.fixed import ConstantSchedule, LinearIncreaseSchedule
from rlenvs.wrappers.schedules.ramps import CosineSchedule, LinearSchedule
from rlenvs.wrappers.schedules.registry import SCHEDULES
from rlenvs.wrappers.transition import Transition

relaxed = settings(deadline=None)


def read(text: str) -> RewardConfig:
    return parse_config(RewardConfig, textwrap.dedent(text), name="r.yaml")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value).splitlines()


COOKBOOK = """
    composer_settings: {normalization_strategy: z_score, norm_warmup: 20, reducer: gate, reducer_params: {gate: goal}}
    reward_components:
      goal: {class: GoalReward, params: {target_reward: 2.0}, on_error: default, error_value: 0.0}
      short: {class: LengthPenalty, params: {max_length: 3, unit: words}, normalization: none}
      guide: {class: LLMPotentialBasedReward, params: {potential_function: progress, gamma: 0.9}}
    reward_shaping:
      goal: {initial_weight: 10.0, decay_schedule: constant}
      short: {initial_weight: 1.0, decay_schedule: exponential, decay_rate: 0.5, decay_steps: 100, min_weight: 0.1}
    """

GUIDE = """
    composer_settings: {normalize: true, norm_warmup_steps: 20, reducer: gate, reducer_params: {gate: goal}}
    reward_shaping:
      goal:
        class: GoalReward
        params: {target_reward: 2.0}
        on_error: default
        error_value: 0.0
        weight_schedule: {initial_weight: 10.0, schedule_type: constant}
      short:
        class: LengthPenalty
        max_length: 3
        unit: words
        normalization: none
        weight_schedule:
          initial_weight: 1.0
          schedule_type: exponential
          decay_rate: 0.5
          decay_steps: 100
          min_weight: 0.1
      guide: {class: LLMPotentialBasedReward, potential_function: progress, gamma: 0.9}
    """


class TestSameMeaning:
    def test_both_dialects_are_one_configuration(self):
        assert read(GUIDE) == read(COOKBOOK)
        assert read(GUIDE).to_dict() == read(COOKBOOK).to_dict()

    @pytest.mark.parametrize("text", [COOKBOOK, GUIDE])
    def test_what_is_written_back_loads_to_the_same(self, text):
        config = read(text)
        assert RewardConfig.load(config.to_dict()) == config
        assert parse_config(RewardConfig, dump_config(config)) == config
        assert set(config.to_dict()) == {"composer_settings", "reward_components", "reward_shaping"}
        assert "normalize" not in config.to_dict()["composer_settings"]

    @pytest.mark.parametrize("text", [COOKBOOK, GUIDE])
    def test_both_build_the_same_pipeline(self, text):
        pipeline = build_pipeline(read(text))
        assert pipeline.names == ("goal", "short", "guide")
        assert pipeline.weights(200).tolist() == [10.0, 0.25, 1.0]
        assert pipeline.parts.normalizations == {"goal": Normalization("z_score", warmup=20)}
        assert pipeline.parts.policies["goal"].on_error == "default"
        steps = [Transition(response="a b c d", action="x", env_reward=r, terminated=True, previous_info={"progress": 0.5}, info={"goal_reached": r > 0}) for r in (1.0, 0.0)]  # fmt: skip
        assert pipeline.compute(steps, 200).total.tolist() == pytest.approx([20.0 - 0.01 * 0.25 - 0.5, -0.5])

    def test_either_name_of_the_schedule_in_either_dialect(self):
        for key in ("decay_schedule", "schedule_type"):
            weight = {"initial_weight": 2.0, key: "linear", "decay_steps": 10}
            cookbook = {"reward_components": {"a": {"class": "EnvReward"}}, "reward_shaping": {"a": weight}}
            guide = {"reward_shaping": {"a": {"class": "EnvReward", "weight_schedule": weight}}}
            for data in (cookbook, guide):
                assert RewardConfig.load(data).reward_shaping["a"].build() == LinearSchedule(2.0, 0.0, 10)

    @relaxed
    @given(
        st.dictionaries(
            st.text("abc", min_size=1, max_size=3),
            st.tuples(st.floats(-5, 5), st.integers(0, 99), st.booleans(), st.booleans()),
            min_size=1,
            max_size=4,
        )
    )
    def test_any_recipe_means_the_same_nested_inline_and_in_both_dialects(self, recipe):
        def entry(limit, nested):
            params = {"max_length": limit, "unit": "words"}
            return {"class": "LengthPenalty", **({"params": params} if nested else params)}

        cookbook = {
            "reward_components": {name: entry(limit, True) for name, (_, limit, *_) in recipe.items()},
            "reward_shaping": {name: {"initial_weight": weight} for name, (weight, *_) in recipe.items()},
        }
        guide = {
            "reward_shaping": {
                name: {
                    **entry(limit, nested),
                    "weight_schedule": {"initial_weight": weight, **({"schedule_type": "none"} if named else {})},
                }
                for name, (weight, limit, nested, named) in recipe.items()
            }
        }
        config = RewardConfig.load(guide)
        assert config == RewardConfig.load(cookbook) == RewardConfig.load(config.to_dict())

    def test_a_guide_entry_without_a_weight_keeps_weight_one(self):
        config = RewardConfig.load({"reward_shaping": {"a": {"class": "EnvReward"}}})
        assert build_pipeline(config).weights(5).tolist() == [1.0]


class TestPlaces:
    """The same mistake, at the place and under the name that its author knows."""

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("target_reward", "target_rewrd", "r.yaml:5:14: reward_shaping.goal.params.target_rewrd: unknown key 'target_rewrd'; did you mean 'target_reward'?"),
            ("        max_length: 3", "        max_lenght: 3", "r.yaml:11:5: reward_shaping.short.max_lenght: unknown key 'max_lenght'; did you mean 'max_length'?"),
            ("        max_length: 3\n", "", "r.yaml:9:3: reward_shaping.short: missing key 'max_length'"),
            ("max_length: 3", "max_length: -3", "r.yaml:11:5: reward_shaping.short.max_length: must be >= 0"),
            ("unit: words", "unit: wrds", "r.yaml:12:5: reward_shaping.short.unit: expected 'auto', 'tokens', 'words' or 'chars', got 'wrds'; did you mean 'words'?"),
            ("decay_rate: 0.5", "decay_rate: 1.5", "r.yaml:17:7: reward_shaping.short.weight_schedule.decay_rate: must be in (0, 1], got 1.5"),
            ("          decay_steps: 100\n", "", "r.yaml:16:7: reward_shaping.short.weight_schedule.schedule_type: 'exponential' needs 'decay_steps' beside it"),
            ("schedule_type: exponential", "schedule_type: exponentail", "r.yaml:16:7: reward_shaping.short.weight_schedule: unknown 'schedule_type' 'exponentail'; did you mean 'exponential'?"),
            ("schedule_type: exponential", "schedule_type: cosine", "r.yaml:17:7: reward_shaping.short.weight_schedule.decay_rate: is not used by schedule_type 'cosine'; remove it"),
            ("        weight_schedule:\n", "        weight_shedule:\n", "r.yaml:14:5: reward_shaping.short.weight_shedule: unknown key 'weight_shedule'; did you mean 'weight_schedule'?"),
            ("class: GoalReward", "class: GaolReward", "r.yaml:4:5: reward_shaping.goal: unknown 'class' 'GaolReward'; did you mean 'GoalReward'?"),
            ("gate: goal", "gate: gaol", "composer_settings.reducer_params.gate: names no reward component: 'gaol'; did you mean 'goal'?"),
            ("gate: goal", "gate: guide", "composer_settings.reducer_params.gate: names no reward component: 'guide'"),
            ("gamma: 0.9", "gamma: 1.9", "r.yaml:20:73: reward_shaping.guide.gamma: must lie in [0, 1], got 1.9"),
            ("gamma: 0.9", "gamma: 0.9, normalization: z_score", "reward_shaping.guide.normalization: a normalised potential would change the optimal policy"),
            ("gamma: 0.9", "gamma: 0.9, timeout_s: 3", "reward_shaping.guide.timeout_s: a potential that takes too long has no stand-in"),
            ("gamma: 0.9", "gamma: 0.9, weight_schedule: {schedule_type: lagrangian, target: 1, learning_rate: 0.1}", "reward_shaping.guide.weight_schedule.schedule_type: a multiplier holds the mean"),
            ("        error_value: 0.0\n", "", "r.yaml:6:5: reward_shaping.goal.on_error: 'default' needs an error_value beside it"),
            ("potential_function: progress", "potential_function: progres", "reward_shaping.guide.potential_function: unknown potential function 'progres'; did you mean 'progress'?"),
        ],
    )  # fmt: skip
    def test_in_the_guide_dialect(self, old, new, expected):
        found = problems(GUIDE.lstrip("\n").replace(old, new, 1))
        assert len(found) == 1, found
        assert expected in found[0]

    def test_parameters_of_a_potential_are_blamed_themselves(self):
        text = """\
            reward_components:
              guide:
                class: LLMPotentialBasedReward
                params:
                  potential_function: target_length
                  potential_params: {target: -3, unt: words}
                  gamma: 2
            """
        assert [line.split(" (known")[0] for line in problems(text)] == [
            "r.yaml:6:38: reward_components.guide.params.potential_params.unt: unknown key 'unt'; did you mean 'unit'?",
            "r.yaml:7:7: reward_components.guide.params.gamma: must lie in [0, 1], got 2.0",
        ]
        found = problems(text.replace(", unt: words", "").replace("gamma: 2", "gamma: 1"))
        assert len(found) == 1
        assert found[0].startswith("r.yaml:6:26: reward_components.guide.params.potential_params.target: must be")

    def test_a_parameter_inside_a_list_is_blamed_itself(self):
        text = """\
            reward_shaping:
              asked:
                class: InstructionReward
                instructions:
                  - {type: no_commas}
                  - {type: number_of_words, count: -1}
            """
        (found,) = problems(text)
        assert found.startswith("r.yaml:6:33: reward_shaping.asked.instructions.1.count: ")

    def test_the_same_parameter_twice(self):
        text = """\
            reward_components:
              short:
                class: LengthPenalty
                params: {max_length: 3}
                max_length: 4
            """
        assert problems(text) == [
            "r.yaml:5:5: reward_components.short.max_length: given twice: here and under 'params'"
        ]

    def test_everything_that_is_wrong_is_said_at_once(self):
        text = """\
            composer_settings: {normalization_strategy: z_score, norm_decay: 0.5, output_clip: 1}
            reward_components:
              a: {class: LengthPenalty, max_length: -1, on_eror: mask}
              b: {class: LengthPenaltie, max_length: 3}
              c: 3
            reward_shaping:
              a: {decay_schedule: linear, decay_steps: 0}
            """
        assert [line.split(":", 3)[1] for line in problems(text)] == ["1", "3", "3", "4", "5", "7"]

    def test_components_belong_elsewhere_in_the_cookbook(self):
        text = """\
            reward_components: {a: {class: EnvReward}}
            reward_shaping: {a: {class: EnvReward}}
            """
        (found,) = problems(text)
        assert found.startswith("r.yaml:2:22: reward_shaping.a.class: belongs under reward_components")

    def test_both_names_of_the_schedule(self):
        text = "reward_shaping: {a: {class: EnvReward, weight_schedule: {schedule_type: none, decay_schedule: none}}}"
        (found,) = problems(text)
        assert "reward_shaping.a.weight_schedule.schedule_type: is 'decay_schedule' by another name" in found

    def test_place_of_says_where_a_parameter_was_written(self):
        cookbook, guide = read(COOKBOOK), read(GUIDE)
        assert cookbook.place_of("guide", "gamma") == ("reward_components", "guide", "params", "gamma")
        assert guide.place_of("guide", "gamma") == ("reward_shaping", "guide", "gamma")
        assert guide.place_of("goal", "target_reward") == ("reward_shaping", "goal", "params", "target_reward")


class TestComposerSettings:
    def config(self, settings, **components):
        entries = components or {"a": {"class": "EnvReward"}, "b": {"class": "GoalReward"}}
        return RewardConfig.load({"composer_settings": settings, "reward_components": entries})

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({}, None),
            ({"normalize": False}, None),
            ({"normalization_strategy": None}, None),
            ({"normalization_strategy": "none"}, None),
            ({"normalize": True}, Normalization("z_score")),
            ({"normalization_strategy": "min_max", "norm_window": 50}, Normalization("min_max", window=50)),
            ({"normalization_strategy": "ema", "norm_decay": 0.5, "norm_clip": 3}, Normalization("ema", decay=0.5, clip=3.0)),
            ({"normalization_strategy": "running", "norm_warmup_steps": 7}, Normalization("running", warmup=7)),
            ({"normalization_strategy": "group", "norm_center": False, "norm_floor": 0.5}, Normalization("group", center=False, floor=0.5)),
        ],
    )  # fmt: skip
    def test_what_is_written_is_how_values_are_normalised(self, settings, expected):
        config = self.config(settings)
        assert normalizations(config) == ({} if expected is None else {"a": expected, "b": expected})
        assert RewardConfig.load(config.to_dict()) == config

    def test_a_component_can_be_normalised_differently(self):
        config = self.config(
            {"normalization_strategy": "z_score", "norm_window": 50, "norm_clip": 2.0},
            plain={"class": "EnvReward", "normalization": "none"},
            null={"class": "EnvReward", "normalization": None},
            named={"class": "EnvReward", "normalization": "rank"},
            own={"class": "EnvReward", "normalization": {"strategy": "ema", "decay": 0.5}},
            same={"class": "EnvReward"},
        )
        assert normalizations(config) == {
            "named": Normalization("rank", clip=2.0),
            "own": Normalization("ema", decay=0.5),
            "same": Normalization("z_score", window=50, clip=2.0),
        }

    def test_output_normalisation(self):
        assert self.config({}).composer_settings.output_normalization() is None
        settings = {
            "output_normalization_strategy": "z_score",
            "output_norm_window": 9,
            "output_epsilon": 0.5,
            "output_clip": 4,
        }
        config = self.config(settings)
        expected = Normalization("z_score", window=9, epsilon=0.5, clip=4.0, warmup=9)
        assert (
            config.composer_settings.output_normalization()
            == build_pipeline(config).parts.output_normalization
            == expected
        )
        assert config.to_dict()["composer_settings"] == {**settings, "output_clip": 4.0}

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"norm_window": 5}, "norm_window: is not used by normalization_strategy 'none'; remove it"),
            ({"normalization_strategy": "running", "norm_window": 5}, "norm_window: is not used by normalization_strategy 'running'"),
            ({"normalize": True, "norm_decay": 0.5}, "norm_decay: is not used by normalization_strategy 'z_score'"),
            ({"normalization_strategy": "rank", "norm_center": False}, "norm_center: is not used by normalization_strategy 'rank'"),
            ({"output_clip": 2}, "output_clip: is not used by output_normalization_strategy 'none'"),
            ({"normalize": True, "normalization_strategy": "ema"}, "normalize: is the older form of 'normalization_strategy'; give one"),
            ({"normalize": True, "norm_warmup": 1, "norm_warmup_steps": 1}, "norm_warmup_steps: is the older form of 'norm_warmup'"),
            ({"normalize": True, "norm_warmup_steps": 0}, r"composer_settings\.norm_warmup_steps: must be >= 1, got 0"),
            ({"normalize": True, "norm_window": 20, "norm_warmup": 50}, r"composer_settings\.norm_warmup: must be <= window \(20\), got 50"),
            ({"normalize": True, "norm_clip": -1}, r"composer_settings\.norm_clip: must be finite and > 0"),
            ({"normalize": "yes"}, "normalize: expected true or false, got 'yes'"),
            ({"normalization_strategy": "zscore"}, "got 'zscore'; did you mean 'z_score'"),
            ({"output_clip": [-1, 1], "output_normalization_strategy": "batch"}, "output_clip: expected a number"),
            ({"reducer": "minimun"}, r"composer_settings\.reducer: unknown reducer 'minimun'; did you mean 'minimum'"),
            ({"reducer": "gate"}, r"composer_settings\.reducer: 'gate' needs reducer_params: missing key 'gate'"),
            ({"reducer": "gate", "reducer_params": {"gate": "a", "treshold": 1}}, r"reducer_params\.treshold: unknown key 'treshold'; did you mean 'threshold'"),
            ({"reducer": "hybrid", "reducer_params": {"model": ["a"], "alpha": 2.0}}, r"reducer_params\.alpha: must be in \[0, 1\]"),
            ({"reducer": "weighted_sum", "reducer_params": {"weights": {"c": 1.0}}}, r"reducer_params\.weights: names no reward component: 'c'"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_meant_is_refused(self, settings, message):
        with pytest.raises(ConfigError, match=message) as caught:
            self.config(settings)
        assert len(str(caught.value).splitlines()) == 1

    @pytest.mark.parametrize(
        ("normalization", "message"),
        [
            ("zscore", "a.normalization: unknown strategy 'zscore'; did you mean 'z_score'"),
            ({"window": 5}, "a.normalization: missing key 'strategy'"),
            ({"stratgy": "ema"}, "a.normalization.stratgy: unknown key 'stratgy'; did you mean 'strategy'"),
            ({"strategy": "ema", "window": 5}, "a.normalization.window: is not used by strategy 'ema'"),
            ({"strategy": "ema", "decay": 2}, r"a.normalization.decay: must lie in \(0, 1\), got 2.0"),
            (3, "a.normalization: expected text or a mapping, got 3"),
        ],
    )
    def test_a_component_that_is_normalised_in_a_way_that_does_not_exist(self, normalization, message):
        with pytest.raises(ConfigError, match=message):
            self.config({}, a={"class": "EnvReward", "normalization": normalization})

    def test_settings_that_one_component_alone_uses_are_used(self):
        config = self.config({"norm_window": 50}, a={"class": "EnvReward", "normalization": "z_score"})
        assert normalizations(config) == {"a": Normalization("z_score", window=50)}
        with pytest.raises(ConfigError, match="norm_decay: is not used"):
            self.config({"norm_decay": 0.5}, a={"class": "EnvReward", "normalization": "z_score"})
        with pytest.raises(ConfigError, match=r"composer_settings\.norm_decay: must lie in"):
            self.config({"norm_decay": 1.5}, a={"class": "EnvReward", "normalization": "ema"})


class TestSchedules:
    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            ({}, ConstantSchedule(1.0)),
            ({"initial_weight": 2}, ConstantSchedule(2.0)),
            ({"decay_schedule": "linear", "decay_steps": 5}, LinearSchedule(1.0, 0.0, 5)),
            ({"decay_schedule": "linear_increase", "decay_steps": 5, "max_weight": 3, "start_step": 2}, LinearIncreaseSchedule(1.0, 3.0, 5, 2)),
            ({"decay_schedule": "cosine", "decay_steps": 5, "min_weight": -1}, CosineSchedule(1.0, -1.0, 5)),
        ],
    )  # fmt: skip
    def test_the_keys_are_the_fields_of_the_schedule(self, entry, expected):
        config = RewardConfig.load({"reward_components": {"a": {"class": "EnvReward"}}, "reward_shaping": {"a": entry}})
        assert config.reward_shaping["a"].build() == expected

    def test_every_schedule_can_be_configured_and_written_back(self):
        keys = {
            "initial_weight": 1.0, "min_weight": 0.5, "max_weight": 2.0, "decay_steps": 10, "decay_rate": 0.5, "start_step": 3,
            "power": 3.0, "boundaries": [1, 2], "values": [0.5, 0.25], "metric": "a", "threshold": 0.5, "direction": "below",
            "window": 3, "target": 0.5, "learning_rate": 0.1,
        }  # fmt: skip
        for name, cls in SCHEDULES.items():
            own = {key: value for key, value in keys.items() if key in cls.__dataclass_fields__}
            config = RewardConfig.load(
                {
                    "reward_components": {"a": {"class": "EnvReward"}},
                    "reward_shaping": {"a": {"decay_schedule": name, **own}},
                }
            )
            assert config.reward_shaping["a"].build() == cls(**own)
            assert RewardConfig.load(config.to_dict()) == config
            assert parse_config(RewardConfig, dump_config(config)) == config

    def test_a_gate_may_open_a_potential(self):
        config = RewardConfig.load(
            {
                "reward_shaping": {
                    "right": {"class": "GoalReward"},
                    "guide": {
                        "class": "LLMPotentialBasedReward",
                        "potential_function": "progress",
                        "weight_schedule": {"schedule_type": "gated", "metric": "right", "threshold": 0.5},
                    },
                }
            }
        )
        assert build_pipeline(config).weights(10).tolist() == [1.0, 0.0]


class TestComponents:
    def test_what_a_component_of_somebody_refuses_is_said_at_its_place(self, monkeypatch):
        class Picky(BaseReward):
            def __init__(self, kind: str = "value") -> None:
                if kind == "parameter":
                    raise ParameterError("kind", "must not be 'parameter'")
                if kind == "nested":
                    raise ParameterError("elsewhere.deep", "must be there")
                if kind == "value":
                    raise ValueError("no\nthanks")
                raise ConfigError("not like this")

            def __call__(self, transition):
                return 0.0

        monkeypatch.setitem(component_registry._classes, "Picky", Picky)
        places = {
            "parameter": "r.yaml:1:48: reward_components.a.params.kind: must not be 'parameter'",
            "nested": "r.yaml:1:39: reward_components.a.params.elsewhere.deep: must be there",
            "value": "r.yaml:1:39: reward_components.a.params: refused by Picky: no thanks",
            "other": "r.yaml:1:39: reward_components.a.params: not like this",
        }
        for kind, expected in places.items():
            assert problems(f"reward_components: {{a: {{class: Picky, params: {{kind: {kind}}}}}}}") == [expected]

    def test_numbers_that_are_none_are_refused_everywhere(self):
        for value in (".nan", ".inf", "-.inf", "1" + "0" * 350):
            (found,) = problems(f"reward_shaping: {{a: {{class: GoalReward, target_reward: {value}}}}}")
            assert found.startswith("r.yaml:1:41: reward_shaping.a.target_reward: must be a finite number, got")

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            ({"timeout_value": -1.0}, "a.timeout_value: is used with a timeout_s"),
            ({"timeout_s": 0}, "a.timeout_s: must be > 0.0, got 0"),
            ({"on_error": "mask", "error_value": 1}, "a.error_value: is used with on_error penalty or default, not 'mask'"),
            ({"class_name": "EnvReward"}, "a.class_name: unknown key"),
        ],
    )  # fmt: skip
    def test_policies_that_do_not_fit(self, entry, message):
        with pytest.raises(ConfigError, match=message):
            RewardConfig.load({"reward_components": {"a": {"class": "EnvReward", **entry}}})

    def test_a_key_that_could_be_the_entrys_or_the_classs_has_to_say_which(self):
        judge = {"base_url": "http://localhost:1", "model": "m"}
        with pytest.raises(ConfigError, match=r"j\.timeout_s: is a key of this entry and a parameter of JudgeReward"):
            RewardConfig.load({"reward_components": {"j": {"class": "JudgeReward", **judge, "timeout_s": 3.0}}})
        entry = {"class": "JudgeReward", "params": {**judge, "timeout_s": 3.0}, "timeout_s": 9.0}
        config = RewardConfig.load({"reward_components": {"j": entry}}).reward_components["j"]
        assert (config.params["timeout_s"], config.timeout_s) == (3.0, 9.0)

    def test_a_deadline_is_put_around_the_component(self):
        from rlenvs.wrappers.deadline.component import DeadlineReward

        entry = {"class": "EnvReward", "timeout_s": 2.5, "timeout_value": -1.0}
        config = RewardConfig.load({"reward_components": {"a": entry}})
        part = config.reward_components["a"].build()
        assert isinstance(part, DeadlineReward)
        assert (part.seconds, part.timeout_value, type(part.component).__name__) == (2.5, -1.0, "EnvReward")
        assert RewardConfig.load(config.to_dict()) == config


class TestEmbedded:
    TRAIN = """\
        env: {id: rlenvs/Arithmetic-v0}
        rewards:
          reward_shaping:
            correct:
              class: CorrectnessReward
              weight_schedule: {initial_weight: 1.0}
            long: {class: LengthPenalty, max_length: 4}
        """

    def test_the_guide_dialect_works_inside_a_training_configuration(self):
        config = parse_config(TrainConfig, textwrap.dedent(self.TRAIN), name="t.yaml")
        assert list(config.rewards.reward_components) == ["correct", "long"]
        assert parse_config(TrainConfig, dump_config(config)) == config

    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("max_length", "max_lenght", "t.yaml:7:34: rewards.reward_shaping.long.max_lenght: unknown key 'max_lenght'; did you mean 'max_length'?"),
            ("max_length: 4", "max_length: -4", "t.yaml:7:34: rewards.reward_shaping.long.max_length: must be >= 0"),
            ("initial_weight: 1.0", "schedule_type: linear", "t.yaml:6:25: rewards.reward_shaping.correct.weight_schedule.schedule_type: 'linear' needs 'decay_steps'"),
            ("reward_shaping:", "composer_settings: {norm_clip: 1}\n          reward_shaping:", "t.yaml:3:23: rewards.composer_settings.norm_clip: is not used"),
        ],
    )  # fmt: skip
    def test_mistakes_are_named_from_the_top(self, old, new, expected):
        with pytest.raises(ConfigError) as caught:
            parse_config(TrainConfig, textwrap.dedent(self.TRAIN.replace(old, new)), name="t.yaml")
        (line,) = str(caught.value).splitlines()
        assert line.startswith(expected)

    def test_overrides_reach_into_either_dialect(self):
        text = textwrap.dedent(self.TRAIN)
        setting = "rewards.reward_shaping.long.max_length=9"
        config = parse_config(TrainConfig, text, overrides=[setting])
        assert config.rewards.reward_components["long"].params == {"max_length": 9}
        with pytest.raises(ConfigError, match=r"override 'rewards.reward_shaping.long.max_length=-9': .*must be >= 0"):
            parse_config(TrainConfig, text, overrides=[setting.replace("9", "-9")])
