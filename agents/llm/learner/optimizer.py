"""The optimiser and its learning rate."""

import math
from typing import Any

import torch

from rlenvs.agents.llm.config import MemoryConfig, PPOConfig
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.extras import require

EPSILON = 1e-5  # of Adam, as in Huang et al. 2024: the first steps of small gradients are smaller than with 1e-8


def make_optimizer(policy: Policy, config: PPOConfig, memory: MemoryConfig | None = None) -> torch.optim.Optimizer:
    """AdamW, with a group of its own for the critic and its learning rate.

    Every group carries `base_lr`, its peak learning rate. What is not trained is in no group: it never gets moments.

    `adamw_8bit` (Dettmers et al. 2021, arXiv 2110.02861) holds moments in 2 bytes per parameter instead of 8, and in 32
    bits for tensors of less than 4,096 numbers.

    Raises:
        MissingExtraError: `memory.optimizer` is `adamw_8bit` and bitsandbytes is not installed.
    """
    critic_lr = config.learning_rate * config.value_learning_rate_factor
    groups = [
        {"params": _trained(policy.policy_parameters()), "lr": config.learning_rate, "base_lr": config.learning_rate},
        {"params": _trained(policy.critic_parameters()), "lr": critic_lr, "base_lr": critic_lr},
    ]
    settings: dict[str, Any] = {"weight_decay": config.weight_decay, "eps": EPSILON}
    kind = "adamw" if memory is None else memory.optimizer
    if kind == "adamw_8bit":
        library = require("bitsandbytes", "quantize", "memory.optimizer 'adamw_8bit'")
        optimizer: torch.optim.Optimizer = library.optim.AdamW8bit(groups, **settings)
        return optimizer
    return torch.optim.AdamW(groups, fused=True, **settings)


def _trained(parameters: list[torch.nn.Parameter]) -> list[torch.nn.Parameter]:
    return [parameter for parameter in parameters if parameter.requires_grad]


def learning_rate_factor(config: PPOConfig, step: int) -> float:
    """Share of the peak learning rate at an optimiser step: linear warm-up, then constant or a decay to 0.

    Example:
        >>> config = PPOConfig(iterations=10, minibatches=1, warmup_steps=2)
        >>> [round(learning_rate_factor(config, step), 3) for step in (0, 1, 2, 6, 9)]
        [0.5, 1.0, 0.889, 0.444, 0.111]
    """
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.lr_schedule == "constant":
        return warmup
    total = config.iterations * config.epochs * config.minibatches
    left = max(0.0, (total - step) / max(1, total - config.warmup_steps + 1))
    if config.lr_schedule == "cosine":
        left = 0.5 - 0.5 * math.cos(math.pi * min(1.0, left))
    return min(warmup, left)


def set_learning_rate(optimizer: torch.optim.Optimizer, config: PPOConfig, step: int) -> None:
    """Set every group to its share of its own peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * learning_rate_factor(config, step)
