"""The recipes of Stable-Baselines3 that ship: each loads, builds its environment and rewards, and is measured."""

import re
from importlib import resources
from pathlib import Path

import gymnasium as gym
import pytest

from rlenvs.agents.sb3 import SB3TrainConfig
from rlenvs.cli import main
from rlenvs.wrappers import RewardPipeline

FOLDER = resources.files("rlenvs.configs") / "train"
NAMES = sorted(path.name for path in FOLDER.iterdir() if path.name.startswith("sb3_"))
ALGORITHMS = {
    "sb3_a2c.yaml": "a2c",
    "sb3_dqn.yaml": "dqn",
    "sb3_maskable_ppo.yaml": "maskable_ppo",
    "sb3_ppo.yaml": "ppo",
    "sb3_recurrent_ppo.yaml": "recurrent_ppo",
    "sb3_sequence.yaml": "maskable_ppo",
    "sb3_steps.yaml": "ppo",
}


def test_these_recipes_ship():
    assert list(ALGORITHMS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_loads_and_says_what_it_is_for(name):
    config = SB3TrainConfig.load(FOLDER / name)
    assert f"{config.name}.yaml" == name
    assert config.algorithm.name == ALGORITHMS[name]
    first = (FOLDER / name).read_text(encoding="utf-8").splitlines()[0]
    assert re.fullmatch(r"# [A-Z].{40,}", first)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_makes_its_environment_and_is_paid_its_own_reward_and_a_potential(name):
    config = SB3TrainConfig.load(FOLDER / name)
    envs = gym.make_vec(config.env.id, num_envs=2, **config.env.kwargs)
    windows, infos = envs.reset(seed=0)
    assert windows.shape == (2, envs.unwrapped.context_tokens)
    prompt = envs.unwrapped.tokenizer.decode(windows[0].tolist())
    assert prompt == infos["messages"][0][0]["content"][-envs.unwrapped.context_tokens :]
    pipeline = RewardPipeline.from_config(config.rewards.to_dict())
    assert pipeline.names[0] == "env"
    assert len(pipeline.names) == 2


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_can_be_tried_without_running(name, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["train", name, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert f"name: {ALGORITHMS[name]}" in printed
    assert not list(tmp_path.iterdir())


def test_every_recipe_is_measured_and_every_variant_loads(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from baseline_parts.recipes import RECIPES

    assert {f"{name}.yaml" for name in RECIPES} == set(NAMES)
    for name, recipe in RECIPES.items():
        for overrides in recipe.variants.values():
            SB3TrainConfig.load(FOLDER / f"{name}.yaml", overrides)
