"""Tune the reward of a language model's PPO run: a template for your own configuration, space and metric.

    python examples/optimizer_template.py

As it stands it trains the small embedded model on two-digit sums, and searches weights, a schedule, the normalisation
and the learning rate with 24 trials of some minutes each. RLENVS_QUICK=1 runs two trials of two iterations, to see that
all is in place.
"""

import os
from pathlib import Path
from typing import Any

import optuna
import yaml

from rlenvs.agents.tuning import BayesianRewardOptimizer
from rlenvs.agents.tuning.comparison import compare_on_fresh_seeds
from rlenvs.agents.tuning.objectives import llm_objective
from rlenvs.agents.tuning.objectives.config import LLMObjective

QUICK = bool(os.environ.get("RLENVS_QUICK"))
STUDY = Path("runs/my_study")
METRIC = "accuracy/greedy"  # on held-out problems, by the task's own grader: no weight can inflate it

# 1. Where every trial begins: a configuration that `rlenvs train` takes. A path to a YAML file does as well.
BASE: dict[str, Any] = {
    "name": "my_run",
    "env": {
        "id": "rlenvs/Arithmetic-v0",
        "kwargs": {"digits": 2, "operators": "+", "zero_pad": True, "answer_order": "reversed"},
    },
    "rewards": {
        "composer_settings": {"normalization_strategy": None},
        "reward_components": {
            "correct": {"class": "CorrectnessReward"},
            "format": {"class": "FormattingReward", "params": {"format": "regex", "pattern": "[0-9]{1,3}"}},
            "length": {
                "class": "LengthPenalty",
                "params": {"max_length": 4, "penalty_per_token": -0.1, "unit": "tokens"},
            },
        },
        "reward_shaping": {
            "correct": {"initial_weight": 1.0},
            "format": {"initial_weight": 0.3},
            "length": {"initial_weight": 1.0},
        },
    },
    "policy": {"model": "embedded"},  # or the name of a model on the Hub, or a folder
    "rollout": {"episodes": 16 if QUICK else 256, "max_new_tokens": 6, "context_tokens": 64},
    "ppo": {"iterations": 2 if QUICK else 40, "learning_rate": 3e-4, "minibatches": 2},
    "evaluation": {"every": 1 if QUICK else 10, "problems": 20 if QUICK else 500},
}
if QUICK:  # hardly a model
    BASE["policy"]["embedded"] = {
        "hidden_size": 32,
        "layers": 1,
        "warm_start": {"target_accuracy": None, "max_steps": 2, "batch_size": 16},
    }

# 2. What may change, and in which range. The same can stand in YAML for `rlenvs tune`.
SPACE: dict[str, Any] = {
    "rewards": {
        "composer_settings.normalization_strategy": {"type": "categorical", "choices": [None, "batch", "z_score"]},
        "reward_shaping": {
            "format.initial_weight": {"type": "float", "low": 0.05, "high": 2.0, "log": True},
            "length": {
                "type": "categorical",
                "choices": {
                    "steady": {"initial_weight": {"type": "float", "low": 0.05, "high": 5.0, "log": True}},
                    "fading": {
                        "initial_weight": 1.0,
                        "decay_schedule": "exponential",
                        "decay_rate": {"type": "float", "low": 0.1, "high": 0.9},
                        "decay_steps": {"type": "int", "low": 500, "high": 10_000, "log": True},
                    },
                },
            },
        },
    },
    "ppo.learning_rate": {"type": "float", "low": 5e-5, "high": 2e-3, "log": True},
}


def objective(trial: optuna.Trial, config: dict[str, Any]) -> float | tuple[float, ...]:
    """Say how good a configuration is.

    Training, evaluating, reporting and pruning are `llm_objective`'s. Write your own if yours is another metric, say a
    win rate: train with `config`, tell `trial.report` how it goes, and return what the reward does not touch.
    """
    return llm_objective(trial, config, metric=METRIC, seeds=1 if QUICK else 2, folder=STUDY)


def main() -> None:
    """Run the study, keep the best configuration, and compare it with the base on seeds that no trial has used."""
    STUDY.mkdir(parents=True, exist_ok=True)
    optimizer = BayesianRewardOptimizer(
        base_config=BASE,
        search_space=SPACE,
        objective_function=objective,
        n_trials=2 if QUICK else 24,
        study_name="my_study",
        storage=f"journal:{STUDY / 'journal.log'}",
        direction="maximize",
        pruner="median",
        resume=True,  # goes on with what is there: after Ctrl-C, or with more trials
    )
    result = optimizer.optimize()
    print(f"best trial: {result.best_trial.number}, {METRIC} {result.best_value:.3f}")
    for name, value in result.best_params.items():
        print(f"    {name} = {value}")
    best = STUDY / "best_config.yaml"
    best.write_text(yaml.safe_dump(result.best_config, sort_keys=False))
    print(f"go on with: rlenvs train {best}")

    fresh = LLMObjective(kind="llm", seeds=1)
    seeds = fresh.fresh_seeds(2 if QUICK else 5)
    found = compare_on_fresh_seeds(BASE, result.best_config, fresh.measure(STUDY), METRIC, seeds)
    interval = f"{found.low:+.3f} to {found.high:+.3f}"
    print(f"best - base on {len(seeds)} fresh seeds: {found.mean:+.3f}, 95% interval {interval}")


if __name__ == "__main__":
    main()
