"""The JSON Schema takes what the configuration takes, in both dialects, and knows every class and schedule."""

import json
from pathlib import Path

import jsonschema
import pytest

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.config_source import read_yaml
from rlenvs.errors import ConfigError
from rlenvs.wrappers.config.component import component_names
from rlenvs.wrappers.config.rewards import RewardConfig
from rlenvs.wrappers.schedules.registry import SCHEDULES

RECIPES = sorted((Path(__file__).parents[3] / "configs" / "rewards").glob("*.yaml"))


@pytest.fixture(scope="module")
def schema():
    schema = RewardConfig.model_json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_it_takes_every_shipped_recipe(path, schema):
    data, _ = read_yaml(path.read_text(encoding="utf-8"))
    schema.validate(data)
    schema.validate(RewardConfig.load(data).to_dict())


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"reward_components": {"a": {"class": "LengthPenaltie"}}},
        {"reward_components": {"a": {"class": "LengthPenalty", "max_lenght": 3}}},
        {"reward_components": {"a": {"class": "LengthPenalty", "params": {"max_length": "3"}}}},
        {"reward_components": {"a": {"class": "LengthPenalty", "params": {"max_lenght": 3}}}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "reward_shaping": {"a": {"class": "EnvReward"}}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "reward_shaping": {"a": {"decay_steps": 3}}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "reward_shaping": {"a": {"decay_schedule": "lienar"}}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "composer_settings": {"norm_widow": 3}},
        {"reward_shaping": {"a": {"class": "EnvReward", "weight_schedule": {"max_weight": 3}}}},
        {"reward_shaping": {"a": {"initial_weight": 1.0}}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "composer_settings": {"reducer": "sum"}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "composer_settings": {"reducer": "gate", "reducer_params": {"gaet": "a"}}},
        {"reward_components": {"a": {"class": "EnvReward"}}, "composer_settings": {"reducer": "hybrid", "reducer_params": {"model": ["a"], "alpha": "1"}}},
        {"reward_components": {"a": {"class": "LLMPotentialBasedReward", "potential_function": "progres"}}},
        {"reward_components": {"a": {"class": "LLMPotentialBasedReward", "potential_function": "info", "potential_params": {"key": "a"}}}},
        {"reward_components": {"a": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "info", "potential_params": {"key": "a"}}}}},
        {"reward_shaping": {"a": {"class": "InstructionReward", "instructions": [{"type": "no_comas"}]}}},
    ],
)  # fmt: skip
def test_it_refuses_what_the_configuration_refuses(data, schema):
    with pytest.raises(jsonschema.ValidationError):
        schema.validate(data)
    with pytest.raises(ConfigError, match=r"^rewards: "):
        RewardConfig.load(data)


def test_it_knows_every_class_and_schedule(schema):
    text = json.dumps(schema.schema)
    assert all(f'"const": "{name}"' in text for name in component_names())
    assert all(f'"{name}"' in text for name in SCHEDULES)


def test_it_is_part_of_the_schema_of_a_training_run():
    schema = TrainConfig.model_json_schema()
    recipe = {"reward_shaping": {"right": {"class": "CorrectnessReward", "weight_schedule": {"initial_weight": 2.0}}}}
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate({"env": {"id": "rlenvs/Arithmetic-v0"}, "rewards": recipe})
    with pytest.raises(jsonschema.ValidationError):
        validator.validate({"env": {"id": "rlenvs/Arithmetic-v0"}, "rewards": {"reward_shapin": {}}})
