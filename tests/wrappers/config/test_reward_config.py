"""YAML becomes a pipeline, and every mistake gets one line with its place."""

import pytest

from rlenvs.config_file import parse_config
from rlenvs.errors import ConfigError
from rlenvs.wrappers import ExponentialSchedule, RewardConfig, RewardPipeline, Transition

RECIPE = """
reward_components:
  right: {class: CorrectnessReward, params: {incorrect: -1}}
  long:
    class: LengthPenalty
    params: {max_length: 3, unit: words}
    on_error: default
    error_value: 0.5
  guide: {class: LLMPotentialBasedReward, params: {potential_function: progress, gamma: 0.9}}
reward_shaping:
  long: {initial_weight: 2, decay_schedule: exponential, decay_rate: 0.5, decay_steps: 100, min_weight: 0.1}
"""


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "rewards.yaml"
    path.write_text(RECIPE)
    return path


def test_a_file_a_mapping_and_a_config_build_the_same_pipeline(recipe):
    config = RewardConfig.load(recipe)
    transition = Transition(
        response="a b c d e", action="", info={"correct": False, "progress": 1.0}, previous_info={"progress": 0.0}
    )
    totals = [
        RewardPipeline.from_config(source).compute([transition], 50).total[0]
        for source in (recipe, str(recipe), config, config.to_dict())
    ]
    with pytest.raises(ConfigError):
        RewardPipeline.from_config(str(recipe) + ".gone")
    assert totals == [totals[0]] * 4


def test_what_the_recipe_says_is_what_is_built(recipe):
    config = RewardConfig.load(recipe)
    pipeline = RewardPipeline.from_config(config)
    assert pipeline.names == ("right", "long", "guide")
    assert pipeline.potential_gammas == {"guide": 0.9}
    assert config.reward_shaping["long"].build() == ExponentialSchedule(2.0, 0.1, 0.5, 100, 0)
    assert pipeline.weights(100).tolist() == [1.0, 1.0, 1.0]


def test_a_config_survives_a_dump(recipe):
    config = RewardConfig.load(recipe)
    assert RewardConfig.load(config.to_dict()) == config
    assert config.to_dict()["reward_components"]["right"]["class"] == "CorrectnessReward"


def edited(old: str, new: str) -> str:
    assert old in RECIPE
    return RECIPE.replace(old, new)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (edited("CorrectnessReward", "CorectnessReward"), "rewards.yaml:3:11: reward_components.right: unknown 'class' 'CorectnessReward'; did you mean 'CorrectnessReward'?"),
        (edited("max_length", "max_lenght"), "rewards.yaml:6:14: reward_components.long.params.max_lenght: unknown key 'max_lenght'; did you mean 'max_length'?"),
        (edited("unit: words", "unit: pages"), "rewards.yaml:6:29: reward_components.long.params.unit"),
        (edited("max_length: 3, ", ""), "reward_components.long.params: missing key 'max_length'"),
        (edited("error_value: 0.5", ""), "rewards.yaml:7:5: reward_components.long.on_error: 'default' needs an error_value"),
        (edited("on_error: default", ""), "error_value: is used with on_error penalty or default, not 'raise'"),
        (edited("decay_rate: 0.5, ", ""), "decay_schedule: 'exponential' needs 'decay_rate' beside it"),
        (edited("exponential", "linear"), "decay_rate: is not used by decay_schedule 'linear'; remove it"),
        (edited("min_weight: 0.1", "min_weight: 9"), "min_weight: must be <= initial_weight (2.0), got 9"),
        (edited("decay_rate: 0.5", "decay_rate: 1.5"), "decay_rate: must be in (0, 1], got 1.5"),
        (edited("  long: {initial", "  lnog: {initial"), "rewards.yaml:11:3: reward_shaping.lnog: no component has this name; did you mean 'long'?"),
        (edited("reward_shaping", "reward_shapping"), "rewards.yaml:10:1: reward_shapping: unknown key 'reward_shapping'; did you mean 'reward_shaping'?"),
        ("reward_components: {}", "reward_components"),
    ],
)  # fmt: skip
def test_every_mistake_is_named_with_its_place(text, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewards.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        RewardConfig.load("rewards.yaml")
    assert expected in str(caught.value)
    assert str(caught.value).startswith("rewards.yaml:")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"class": "FormattingReward", "params": {"format": "regex", "pattern": "("}}, "not a regular expression"),
        ({"class": "LengthPenalty", "params": {"max_length": -1}}, r"params\.max_length: must be >= 0"),
        ({"class": "LLMPotentialBasedReward", "params": {"potential_function": "progres"}}, "did you mean 'progress'"),
        ({"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress"}, "on_error": "mask"}, "stand-in"),
    ],
)  # fmt: skip
def test_what_only_the_component_knows_is_said_at_its_name(params, message):
    with pytest.raises(ConfigError, match=message) as caught:
        RewardPipeline.from_config({"reward_components": {"part": params}})
    assert "reward_components.part" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["reward_components: {'': {class: EnvReward}}", "reward_shaping:\n  ' ': {class: EnvReward}"]
)
def test_a_component_without_a_name_is_refused(text):
    with pytest.raises(ConfigError, match=r"^r:\d:\d+: reward_(components|shaping)\..*a component needs a name"):
        parse_config(RewardConfig, text, name="r")


def test_no_component_at_all_is_refused():
    with pytest.raises(ConfigError, match=r"^r:1:1: reward_components: expected at least 1 item, got 0$"):
        parse_config(RewardConfig, "reward_components: {}", name="r")
