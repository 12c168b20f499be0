"""Stable-Baselines3 as its users write it: gym.make, a wrapper, a model; token by token, on one-digit sums.

    python examples/sb3_tokens.py

RLENVS_QUICK=1 takes a few hundred steps only.
"""

import os

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.agents.sb3 import RewardScheduleCallback, TokenEmbedding
from rlenvs.wrappers import ShapedReward

GAMMA = 1.0
REWARDS = {
    "reward_components": {
        "env": {"class": "EnvReward"},
        "guide": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": GAMMA}},
    },
    # Every right digit is paid at once, and less so as training goes on; that changes no optimal policy.
    "reward_shaping": {"guide": {"decay_schedule": "linear", "decay_steps": 400_000, "initial_weight": 1.0}},
}


def main() -> None:
    """Train on one-digit sums, and print the share of right answers on sums that training never saw."""
    torch.set_num_threads(1)
    quick = bool(os.environ.get("RLENVS_QUICK"))
    # Monitor sits inside the wrapper, so the logged return is the task's own.
    envs = make_vec_env(
        "rlenvs/ArithmeticTokens-v0",
        n_envs=16,
        seed=0,
        env_kwargs={"digits": 1, "render_mode": None},  # otherwise make_vec_env asks for pictures first
        wrapper_class=ShapedReward,
        wrapper_kwargs={"config": REWARDS},
    )
    model = PPO(
        "MlpPolicy",
        envs,
        learning_rate=lambda left: 2e-3 * left,
        gamma=GAMMA,
        n_steps=64,
        batch_size=256,
        n_epochs=4,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={"features_extractor_class": TokenEmbedding, "net_arch": [128]},
    )
    model.learn(2_048 if quick else 400_000, callback=RewardScheduleCallback())
    print(f"return at the end of training {true_return(model):.2f}, largest 1")
    print(f"held-out accuracy {accuracy(model, 20 if quick else 200):.0%}")


def true_return(model: PPO) -> float:
    """Return what the last episodes were paid by the environment itself."""
    episodes = model.ep_info_buffer or []
    return sum(episode["r"] for episode in episodes) / max(len(episodes), 1)


def accuracy(model: PPO, episodes: int) -> float:
    """Return the share of held-out sums that the policy gets right when it plays what it takes to be best."""
    env = gym.make("rlenvs/ArithmeticTokens-v0", digits=1, split="held_out")
    right = 0
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        over = False
        while not over:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(int(action))
            over = terminated or truncated
        right += info["correct"]
    return right / episodes


if __name__ == "__main__":
    main()
