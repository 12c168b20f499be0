"""The forms in which people write studies: an objective that walks the space itself, and specs beside a recipe."""

import re
import runpy
from pathlib import Path

import gymnasium as gym
import numpy as np
import optuna
import pytest
import yaml

from rlenvs.agents.tuning import BayesianRewardOptimizer
from rlenvs.agents.tuning.engine.storage import close_storage
from rlenvs.wrappers import GoalReward, RewardComposer, RewardConfig, RewardShaper, StepPenalty

ROOT = Path(__file__).parents[3]

GUIDE = """
reward_shaping:
  goal_reward:
    class: GoalReward
    params: {target_reward: 1.0}
    weight_schedule: {initial_weight: 10.0, schedule_type: constant}
  step_penalty:
    class: StepPenalty
    params: {penalty: -0.01}
    weight_schedule: {initial_weight: 1.0, schedule_type: exponential, decay_rate: 0.9995, decay_steps: 1, min_weight: 0.0}
training: {num_episodes: 12}
"""

FUNCTIONS = {
    "reward_shaping": {
        "goal_reward": {
            "params": {"target_reward": lambda trial: trial.suggest_float("goal_target_reward", 0.5, 5.0)},
            "weight_schedule": {"initial_weight": lambda trial: trial.suggest_float("goal_initial_weight", 1.0, 50.0, log=True)},
        },
        "step_penalty": {
            "params": {"penalty": lambda trial: trial.suggest_float("penalty_value", -0.5, -0.001)},
            "weight_schedule": {
                "initial_weight": lambda trial: trial.suggest_float("penalty_initial_weight", 0.1, 10.0),
                "decay_rate": lambda trial: trial.suggest_float("penalty_decay_rate", 0.99, 0.9999),
            },
        },
    }
}  # fmt: skip


def drawn(space: dict, base: dict, trial: optuna.Trial) -> dict:
    """Return the base with the functions of the space called by hand."""
    merged = dict(base)
    for key, value in space.items():
        merged[key] = value(trial) if callable(value) else drawn(value, base.get(key, {}), trial)
    return merged


class QTable:
    def __init__(self) -> None:
        self.values, self.random = np.zeros((16, 4)), np.random.default_rng(0)

    def select_action(self, state: int) -> int:
        return int(self.random.integers(4) if self.random.random() < 0.2 else self.values[state].argmax())

    def update(self, state, action, reward, after, done) -> None:
        target = reward + (0.0 if done else 0.95 * self.values[after].max())
        self.values[state, action] += 0.5 * (target - self.values[state, action])


def by_hand(trial, base_config, search_space, component_registry):
    """Build composer and shaper from a configuration that it makes itself, and count true successes."""
    config = drawn(search_space, base_config, trial)
    seen.append((trial.params, config))
    parts = {
        name: component_registry[entry["class"]](**entry.get("params", {}))
        for name, entry in config["reward_shaping"].items()
    }
    shaper = RewardShaper(RewardComposer(parts), config["reward_shaping"])
    env, agent, reached, step = gym.make("FrozenLake-v1", is_slippery=False), QTable(), 0.0, 0
    for episode in range(config["training"]["num_episodes"]):
        state, _ = env.reset(seed=episode)
        done = False
        while not done:
            shaper.update_weights(step)
            action = agent.select_action(state)
            after, reward, terminated, truncated, info = env.step(action)
            context = {"global_step": step, "terminated": terminated, "truncated": truncated}
            agent.update(state, action, shaper.shape(float(reward), info, context), after, terminated or truncated)
            state, done, reached, step = after, terminated or truncated, reached + float(reward), step + 1
    env.close()
    return reached


seen: list[tuple[dict, dict]] = []


class TestFunctionsOfTheTrial:
    def test_an_objective_that_walks_the_space_itself(self, tmp_path):
        seen.clear()
        base = yaml.safe_load(GUIDE)
        optimizer = BayesianRewardOptimizer(
            base_config=base,
            search_space=FUNCTIONS,
            objective_function=by_hand,
            objective_kwargs={
                "base_config": base,
                "search_space": FUNCTIONS,
                "component_registry": {"GoalReward": GoalReward, "StepPenalty": StepPenalty},
            },
            n_trials=5,
            study_name="rewards_by_hand",
            storage=f"sqlite:///{tmp_path / 'tuning.db'}",
            direction="maximize",
        )
        best_params, best_value, study = optimizer.optimize()
        assert set(best_params) == {
            "goal_target_reward", "goal_initial_weight", "penalty_value", "penalty_initial_weight", "penalty_decay_rate",
        }  # fmt: skip
        assert best_value == max(trial.value for trial in study.trials)
        assert [trial.params for trial in study.trials] == [params for params, _ in seen]
        # what it made by hand is what the optimizer makes
        for params, config in seen:
            assert optimizer.generate_trial_config(optuna.trial.FixedTrial(params)) == config
        reloaded = optuna.load_study(study_name="rewards_by_hand", storage=f"sqlite:///{tmp_path / 'tuning.db'}")
        assert reloaded.best_params == best_params
        close_storage(reloaded._storage)

    def test_the_schedule_may_be_drawn_too(self):
        space = {
            "reward_shaping": {
                "step_penalty": {
                    "weight_schedule": {
                        "schedule_type": lambda trial: trial.suggest_categorical("penalty_schedule", ["constant", "exponential"]),
                        "decay_rate": lambda trial: trial.suggest_float("penalty_decay_rate", 0.99, 0.9999),
                    }
                }
            },
            "training": {"num_episodes": lambda trial: trial.suggest_int("episodes", 5, 50)},
        }  # fmt: skip
        optimizer = BayesianRewardOptimizer(
            yaml.safe_load(GUIDE), space, lambda trial, config: config["training"]["num_episodes"], n_trials=6
        )
        study = optimizer.optimize().study
        schedules = set()
        for trial in study.trials:
            config = optimizer.configs.generate_from_params(trial.params)
            weight = config["reward_shaping"]["step_penalty"]["weight_schedule"]
            assert ("decay_rate" in weight) == (weight["schedule_type"] == "exponential")
            RewardConfig.load({"reward_shaping": config["reward_shaping"]})
            schedules.add(weight["schedule_type"])
        assert schedules == {"constant", "exponential"}


class TestSpecsBesideARecipe:
    def test_the_shipped_base(self):
        space = {
            "composer_settings": {
                "normalization_strategy": {"type": "categorical", "choices": [None, "z_score", "min_max"]}
            },
            "reward_shaping": {
                "preference_score": {"initial_weight": {"type": "float", "low": 0.5, "high": 2.0}},
                "toxicity_penalty": {"initial_weight": {"type": "float", "low": 0.1, "high": 5.0, "log": True}},
                "length_penalty": {"decay_rate": {"type": "float", "low": 0.1, "high": 1.0}},
            },
        }

        def objective(trial, config):
            RewardConfig.load(config)
            return config["reward_shaping"]["preference_score"]["initial_weight"]

        study = BayesianRewardOptimizer(
            ROOT / "configs" / "rewards" / "tuning_base.yaml", space, objective, n_trials=15
        ).optimize()
        assert study.best_trial.value == study.best_params["reward_shaping.preference_score.initial_weight"]
        assert {trial.params["composer_settings.normalization_strategy"] for trial in study.study.trials} == {
            None,
            "z_score",
            "min_max",
        }


def test_the_demonstration_runs(monkeypatch, capsys):
    monkeypatch.setenv("RLENVS_QUICK", "1")
    runpy.run_path(str(ROOT / "examples" / "optimizer_demo.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert re.search(r"^schedule +one of 'constant', 'exponential' +always$", said, flags=re.MULTILINE)
    assert re.search(r"best of 4 trials: 0\.\d{3}\n", said)
    assert re.search(r"on 2 fresh seeds: base 0\.\d{3}, best 0\.\d{3}\n$", said)


@pytest.mark.parametrize("name", ["optimizer_template.py", "optimizer_demo.py"])
def test_what_an_example_starts_from_can_be_tuned(name, monkeypatch):
    monkeypatch.delenv("RLENVS_QUICK", raising=False)
    example = runpy.run_path(str(ROOT / "examples" / name))
    optimizer = BayesianRewardOptimizer(example["BASE"], example["SPACE"], example["objective"])
    assert {parameter.when for parameter in optimizer.check()} <= {"always", "conditional (16 of 32)"}
