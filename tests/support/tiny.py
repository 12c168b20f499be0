"""Small policies and runs that the trainer's tests share."""

import torch

from rlenvs.agents.llm.config import EmbeddedConfig
from rlenvs.agents.llm.embedded import build_policy
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.problems import ArithmeticSource


def tiny_policy(seed: int = 0, **sizes: int) -> Policy:
    """A random character-level Llama whose value head is random too, so that values carry information."""
    config = EmbeddedConfig(**{"hidden_size": 32, "layers": 2, "heads": 2} | sizes)
    problems = ArithmeticSource(operators="+-").problems("train", limit=300)
    policy = build_policy(config, (problem.prompt + problem.demonstration for problem in problems), seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        policy.value_head.weight.normal_(generator=generator)
        for parameter in policy.model.parameters():  # larger weights: distributions that are far from uniform
            parameter.mul_(3.0 if parameter.dim() > 1 else 1.0)
    return policy


TINY_RUN = {
    "name": "tiny",
    "env": {"id": "rlenvs/Arithmetic-v0", "kwargs": {"digits": 1, "answer_order": "reversed"}},
    "rewards": {
        "reward_components": {
            "right": {"class": "CorrectnessReward"},
            "form": {"class": "FormattingReward", "params": {"format": "regex", "pattern": "[0-9]+"}},
            "guide": {
                "class": "LLMPotentialBasedReward",
                "params": {"potential_function": "info", "potential_params": {"info_key": "difficulty"}},
            },
        },
        "reward_shaping": {"form": {"initial_weight": 0.5, "decay_schedule": "linear", "decay_steps": 200}},
    },
    "policy": {
        "embedded": {
            "hidden_size": 32,
            "layers": 1,
            "heads": 2,
            "warm_start": {
                "target_accuracy": 0.25,
                "max_accuracy": 0.9,
                "batch_size": 64,
                "learning_rate": 5e-3,
                "check_problems": 32,
            },
        }
    },
    "rollout": {"episodes": 24, "max_new_tokens": 4, "context_tokens": 16},
    "ppo": {"iterations": 6, "minibatches": 2, "warmup_steps": 2, "learning_rate": 1e-3},
    "memory": {"micro_batch_size": 8},
    "evaluation": {"every": 2, "problems": 20},
    "output": {"checkpoint_every": 2, "trackers": []},
}
