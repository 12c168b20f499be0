"""Tune the reward of a Q-learning agent on FrozenLake: weights, a schedule and the agent's own rates.

    python examples/optimizer_demo.py

What a trial is worth is how often its greedy policy reaches the goal, which no weight can inflate. Half a minute on one
core; RLENVS_QUICK=1 takes a few seconds and finds little.
"""

import os
from typing import Any

import gymnasium as gym
import numpy as np
import optuna

from rlenvs.agents.tuning import BayesianRewardOptimizer
from rlenvs.wrappers import ShapedReward

QUICK = bool(os.environ.get("RLENVS_QUICK"))
TRIALS = 4 if QUICK else 40
EPISODES = 40 if QUICK else 500
SEEDS = range(1 if QUICK else 3)
FRESH_SEEDS = range(100, 102 if QUICK else 110)

BASE = {
    "reward_shaping": {
        "goal": {
            "class": "GoalReward",
            "params": {"target_reward": 1.0},
            "weight_schedule": {"initial_weight": 1.0, "schedule_type": "constant"},
        },
        "step": {
            "class": "StepPenalty",
            "params": {"penalty": -0.1},
            "weight_schedule": {
                "initial_weight": 1.0,
                "schedule_type": "exponential",
                "decay_rate": 0.999,
                "decay_steps": 1,
                "min_weight": 0.0,
            },
        },
    },
    "agent": {"learning_rate": 0.1, "exploration": 0.1},
}

SPACE = {
    "reward_shaping": {
        "goal": {
            "weight_schedule": {
                "initial_weight": lambda trial: trial.suggest_float("goal_weight", 0.5, 50.0, log=True),
            },
        },
        "step": {
            "params": {"penalty": lambda trial: -trial.suggest_float("step_penalty", 1e-4, 0.5, log=True)},
            "weight_schedule": {
                # Where a trial draws `constant`, the rate means nothing and is left out of its configuration.
                "schedule_type": lambda trial: trial.suggest_categorical("schedule", ["constant", "exponential"]),
                "decay_rate": lambda trial: trial.suggest_float("decay_rate", 0.99, 0.9999),
            },
        },
    },
    "agent.learning_rate": {"type": "float", "low": 0.01, "high": 1.0, "log": True},
    "agent.exploration": {"type": "float", "low": 0.01, "high": 0.5},
}


def trained(config: dict[str, Any], seed: int) -> np.ndarray:
    """Return the table of action values after Q-learning on the shaped reward, `[states, actions]`."""
    recipe = {"reward_shaping": config["reward_shaping"]}
    env = ShapedReward(gym.make("FrozenLake-v1", is_slippery=True), recipe)
    random = np.random.default_rng(seed)
    values = np.zeros((16, 4))
    rate, exploration = config["agent"]["learning_rate"], config["agent"]["exploration"]
    for episode in range(EPISODES):
        state, _ = env.reset(seed=seed if episode == 0 else None)
        done = False
        while not done:
            best = np.flatnonzero(values[state] == values[state].max())
            action = int(random.integers(4) if random.random() < exploration else random.choice(best))
            after, reward, terminated, truncated, _ = env.step(action)
            target = reward + (0.0 if terminated else 0.99 * values[after].max())
            values[state, action] += rate * (target - values[state, action])
            state, done = after, terminated or truncated
    env.close()
    return values


def success_rate(values: np.ndarray, seed: int, episodes: int = 200) -> float:
    """Return how often the greedy policy reaches the goal in the bare environment."""
    env = gym.make("FrozenLake-v1", is_slippery=True)
    reached = 0.0
    for episode in range(episodes):
        state, _ = env.reset(seed=10_000 + seed if episode == 0 else None)
        done = False
        while not done:
            state, reward, terminated, truncated, _ = env.step(int(values[state].argmax()))
            reached += float(reward)
            done = terminated or truncated
    env.close()
    return reached / episodes


def objective(trial: optuna.Trial, config: dict[str, Any]) -> float:
    """Train with the configuration of a trial, on the same seeds as every other trial."""
    rates: list[float] = []
    for step, seed in enumerate(SEEDS):
        rates.append(success_rate(trained(config, seed), seed))
        trial.report(float(np.mean(rates)), step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return float(np.mean(rates))


def main() -> None:
    """Run the study, then compare its best configuration with the base on seeds that no trial has seen."""
    optimizer = BayesianRewardOptimizer(
        base_config=BASE,
        search_space=SPACE,
        objective_function=objective,
        n_trials=TRIALS,
        study_name="frozen_lake",
        direction="maximize",
    )
    for parameter in optimizer.check():
        print(f"{parameter.name:20} {parameter.values:45} {parameter.when}")
    best_params, best_value, study = result = optimizer.optimize()
    print(f"best of {len(study.trials)} trials: {best_value:.3f}")
    for name, value in best_params.items():
        print(f"    {name} = {value if isinstance(value, str) else format(value, '.4g')}")
    fresh = {
        name: np.mean([success_rate(trained(config, seed), seed) for seed in FRESH_SEEDS])
        for name, config in (("base", BASE), ("best", result.best_config))
    }
    print(f"on {len(FRESH_SEEDS)} fresh seeds: base {fresh['base']:.3f}, best {fresh['best']:.3f}")


if __name__ == "__main__":
    main()
