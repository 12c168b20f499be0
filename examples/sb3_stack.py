"""Single-purpose wrappers stacked under MaskablePPO: components, weights that move, a potential; sequences to reverse.

    python examples/sb3_stack.py

RLENVS_QUICK=1 takes a few hundred steps only.
"""

import os

import gymnasium as gym
import torch
from sb3_contrib import MaskablePPO
from sb3_contrib.common.maskable.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.sb3 import RewardComponentsCallback, RewardScheduleCallback, TokenEmbedding
from rlenvs.wrappers import ComposedReward, PotentialShaping, ScheduledReward

GAMMA = 1.0
TASK = {"symbols": "abcd", "min_length": 3, "max_length": 3, "order": "reversed"}


def make_env() -> gym.Env:
    """Return one environment: the true return is recorded inside, and what the agent is paid is made outside."""
    env: gym.Env = Monitor(gym.make("rlenvs/SequenceTokens-v0", **TASK))
    env = ComposedReward(
        env,
        {
            "env": {"class": "EnvReward"},
            "short": {
                "class": "LengthPenalty",
                "params": {"max_length": 3, "penalty_per_token": -0.1, "unit": "chars"},
            },
        },
    )
    # The penalty comes once there is something to be short about.
    env = ScheduledReward(
        env, {"short": {"decay_schedule": "warmup", "initial_weight": 0.5, "min_weight": 0.0, "decay_steps": 50_000}}
    )
    return PotentialShaping(env, "progress", gamma=GAMMA)


def main() -> None:
    """Train, and print the true return of greedy play."""
    torch.set_num_threads(1)
    quick = bool(os.environ.get("RLENVS_QUICK"))
    model = MaskablePPO(
        "MlpPolicy",
        DummyVecEnv([make_env for _ in range(16)]),
        learning_rate=lambda left: 2e-3 * left,
        gamma=GAMMA,
        n_steps=64,
        batch_size=256,
        n_epochs=4,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={"features_extractor_class": TokenEmbedding, "net_arch": [128]},
    )
    model.learn(2_048 if quick else 300_000, callback=[RewardScheduleCallback(), RewardComponentsCallback()])
    mean, spread = evaluate_policy(model, DummyVecEnv([make_env]), n_eval_episodes=20 if quick else 100)
    print(f"true return {mean:.2f} ± {spread:.2f}, largest 1")


if __name__ == "__main__":
    main()
