"""Stable-Baselines3 PPO on the token level: an embedding over ids, progress as a potential, schedules on one clock.

    python examples/sb3_tokens.py

RLENVS_QUICK=1 takes a few hundred steps only.
"""

import os

import gymnasium as gym
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

import rlenvs  # noqa: F401 - registers the environments
from rlenvs.wrappers import ShapedReward

GAMMA = 0.99
REWARDS = {
    "reward_components": {
        "correct": {"class": "CorrectnessReward"},
        "guide": {"class": "LLMPotentialBasedReward", "params": {"potential_function": "progress", "gamma": GAMMA}},
    },
    "reward_shaping": {"guide": {"decay_schedule": "linear", "decay_steps": 200_000, "initial_weight": 1.0}},
}


class TokenEmbedding(BaseFeaturesExtractor):
    """Embeds a window of token ids; one-hot windows are many times slower and learn less."""

    def __init__(self, observation_space: gym.spaces.Box, width: int = 16, features: int = 128) -> None:
        super().__init__(observation_space, features)
        vocabulary = int(observation_space.high.max()) + 1
        self.embedding = nn.Embedding(vocabulary, width)
        self.network = nn.Sequential(nn.Linear(observation_space.shape[0] * width, features), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        """Map ids `[N, L]` to features `[N, F]`."""
        return self.network(self.embedding(observations.long()).flatten(1))


class RewardClock(BaseCallback):
    """Keeps the reward clock of every sub-environment at the trainer's step."""

    def _on_step(self) -> bool:
        self.training_env.env_method("set_global_step", self.num_timesteps)
        return True


def main() -> None:
    """Train on one-digit addition and print the share of right answers, sampled, on held-out problems."""
    torch.set_num_threads(1)
    quick = bool(os.environ.get("RLENVS_QUICK"))
    # Monitor sits inside the shaping, so the logged return is the task's own.
    envs = make_vec_env(
        "rlenvs/ArithmeticTokens-v0",
        n_envs=8,
        seed=0,
        env_kwargs={"digits": 1, "render_mode": None},  # otherwise make_vec_env asks for pictures first
        wrapper_class=ShapedReward,
        wrapper_kwargs={"config": REWARDS},
    )
    model = PPO(
        "MlpPolicy",
        envs,
        gamma=GAMMA,
        n_steps=128,
        batch_size=256,
        ent_coef=0.01,
        seed=0,
        policy_kwargs={"features_extractor_class": TokenEmbedding},
    )
    model.learn(1_024 if quick else 300_000, callback=RewardClock())
    env = gym.make("rlenvs/ArithmeticTokens-v0", digits=1, split="held_out")
    episodes, right = 20 if quick else 500, 0
    for episode in range(episodes):
        observation, _ = env.reset(seed=episode)
        over = False
        while not over:
            action, _ = model.predict(observation)
            observation, _, terminated, truncated, info = env.step(int(action))
            over = terminated or truncated
        right += info["correct"]
    print(f"held-out accuracy {right / episodes:.0%} over {episodes} problems")


if __name__ == "__main__":
    main()
