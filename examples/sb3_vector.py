"""The vector form under Stable-Baselines3: all environments step in one call, rewards are computed in batches.

    python examples/sb3_vector.py

RLENVS_QUICK=1 takes a few hundred steps only.
"""

import os
import time

import torch
from stable_baselines3 import PPO

from rlenvs.agents.sb3 import RewardScheduleCallback, TokenGRU, make_vec_env

GAMMA = 1.0
REWARDS = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "guide": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": GAMMA}},
    }
}


def main() -> None:
    """Train a GRU on sequences of different lengths to copy, and print return and speed."""
    torch.set_num_threads(1)
    quick = bool(os.environ.get("RLENVS_QUICK"))
    envs = make_vec_env(
        "rlenvs/SequenceTokens-v0",
        num_envs=64,
        env_kwargs={"symbols": "abcd", "min_length": 2, "max_length": 4, "order": "same"},
        rewards=REWARDS,
        seed=0,
    )
    model = PPO(
        "MlpPolicy",
        envs,
        learning_rate=1e-3,
        gamma=GAMMA,
        n_steps=16,
        batch_size=256,
        n_epochs=4,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={
            "features_extractor_class": TokenGRU,
            "features_extractor_kwargs": {"hidden_dim": 64, "features_dim": 128},
            "net_arch": [64],
        },
    )
    steps = 2_048 if quick else 300_000
    started = time.perf_counter()
    model.learn(steps, callback=RewardScheduleCallback())
    seconds = time.perf_counter() - started
    episodes = model.ep_info_buffer or []
    mean = sum(episode["r"] for episode in episodes) / max(len(episodes), 1)
    print(f"true return {mean:.2f}, largest 1; {steps / seconds:,.0f} steps a second")


if __name__ == "__main__":
    main()
