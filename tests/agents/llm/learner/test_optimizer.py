"""The optimiser: which parameters it holds moments of, in which precision, and that its kinds take the same steps."""

import sys

import pytest
import torch
from tiny import tiny_policy

from rlenvs.agents.llm.config import MemoryConfig, PPOConfig
from rlenvs.agents.llm.learner.optimizer import make_optimizer
from rlenvs.errors import MissingExtraError

CONFIG = PPOConfig(learning_rate=1e-3, weight_decay=0.01, value_learning_rate_factor=10.0)


def steps(kind, count=5, policy=None, dtype=torch.float32):
    """Take steps along random gradients; returns the policy and its optimiser."""
    policy = (policy or tiny_policy(0, hidden_size=128, heads=4)).to(dtype)
    optimizer = make_optimizer(policy, CONFIG, MemoryConfig(optimizer=kind))
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=dtype)
        optimizer.step()
    return policy, optimizer


def adamw_by_hand(parameter, gradients, lr):
    """Loshchilov and Hutter 2019, algorithm 2, in float64."""
    value, first, second = parameter.double(), 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        value = value * (1 - lr * CONFIG.weight_decay)
        first = 0.9 * first + 0.1 * gradient.double()
        second = 0.999 * second + 0.001 * gradient.double() ** 2
        value = value - lr * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-5)
    return value


def test_steps_are_those_of_adamw():
    start, policy = tiny_policy(0, hidden_size=128, heads=4), steps("adamw")[0]
    generator = torch.Generator().manual_seed(0)
    gradients = [[torch.randn(p.shape, generator=generator) for p in start.parameters()] for _ in range(5)]
    trunk = len(list(start.model.parameters()))
    for place, (before, after) in enumerate(zip(start.parameters(), policy.parameters(), strict=True)):
        lr = 1e-3 if place < trunk else 1e-2
        expected = adamw_by_hand(before.detach(), [row[place] for row in gradients], lr)
        torch.testing.assert_close(after.detach().double(), expected, atol=2e-6, rtol=1e-5)


def test_eight_bit_moments_take_almost_the_same_steps():
    pytest.importorskip("bitsandbytes")
    (exact, _), (small, optimizer) = steps("adamw"), steps("adamw_8bit")
    moved = torch.cat([p.detach().flatten() for p in tiny_policy(0, hidden_size=128, heads=4).parameters()])
    exact_step = torch.cat([p.detach().flatten() for p in exact.parameters()]) - moved
    small_step = torch.cat([p.detach().flatten() for p in small.parameters()]) - moved
    assert torch.nn.functional.cosine_similarity(exact_step, small_step, dim=0) > 0.98
    large = [p for p in small.parameters() if p.numel() >= 4096]
    assert large
    for parameter in large:
        moments = optimizer.state[parameter]
        assert moments["state1"].dtype == moments["state2"].dtype == torch.uint8


def test_eight_bit_moments_without_their_package_name_the_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "bitsandbytes"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"memory.optimizer 'adamw_8bit' needs it.*rlenvs\[quantize\]"):
        make_optimizer(tiny_policy(), CONFIG, MemoryConfig(optimizer="adamw_8bit"))


def test_what_is_frozen_has_no_moments():
    policy = tiny_policy()
    policy.model.requires_grad_(False)
    trained = policy.model.lm_head.weight.requires_grad_(True)
    policy, optimizer = steps("adamw", policy=policy)
    assert set(optimizer.state) == {trained, *policy.value_head.parameters()}
    held = sum(value.nbytes for state in optimizer.state.values() for value in state.values())
    assert held == sum(8 * p.numel() + 4 for p in optimizer.state)


def test_every_group_knows_its_peak_rate():
    groups = make_optimizer(tiny_policy(), CONFIG).param_groups
    assert [(group["lr"], group["base_lr"]) for group in groups] == [(1e-3, 1e-3), (1e-2, 1e-2)]
