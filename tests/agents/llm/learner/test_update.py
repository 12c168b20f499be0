"""One update: invariances of the loss, the schedule of the learning rate, and a step worked out by hand."""

import copy
import itertools

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny import tiny_policy

from rlenvs.agents.llm.config import MemoryConfig, PPOConfig
from rlenvs.agents.llm.learner import scoring
from rlenvs.agents.llm.learner.optimizer import learning_rate_factor, make_optimizer
from rlenvs.agents.llm.learner.update import Update
from rlenvs.agents.llm.memory.micro_batches import MicroBatches
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.processes import ALONE
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import TrainingDivergedError


def score_rollout(batch, policy, reference, config, temperature, memory=None):
    held = None if reference is None else FrozenCopy(reference)
    micro_batches = MicroBatches(memory or MemoryConfig())
    return scoring.score_rollout(batch, policy, held, config, temperature, micro_batches, ALONE)


def update_policy(rollout, policy, optimizer, config, temperature, first_step, generator, memory=None):
    micro_batches = MicroBatches(memory or MemoryConfig())
    update = Update(policy, optimizer, config, temperature, 8, micro_batches, ALONE)
    return update(rollout, first_step, generator)


def gradients(policy, rollout, config, memory=None):
    """Gradient of one full-batch step, read off before the optimiser changes anything."""
    optimizer = torch.optim.SGD([{"params": list(policy.parameters()), "lr": 0.0, "base_lr": 0.0}])
    update_policy(rollout, policy, optimizer, config, 1.0, 0, torch.Generator().manual_seed(0), memory)
    return [p.grad.clone() for p in policy.parameters()]


def config(**changes) -> PPOConfig:
    return PPOConfig(**{"minibatches": 1, "max_grad_norm": 1e9, "entropy_coef": 0.01, "value_coef": 0.5} | changes)


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("chunk", [2, 10_000])
def test_micro_batches_and_chunks_change_no_gradient(size, chunk):
    policy, reference = tiny_policy(0), tiny_policy(1)
    batch = collate(random_episodes(), policy.pad_id, CPU)
    whole, split, cfg = MemoryConfig(micro_batch_size=10), MemoryConfig(micro_batch_size=size), config()
    expected = gradients(policy, score_rollout(batch, policy, reference, cfg, 1.0, whole), cfg, whole)
    policy.options = ForwardOptions(logprob_chunk=chunk)
    found = gradients(policy, score_rollout(batch, policy, reference, cfg, 1.0, split), cfg, split)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-4)


def test_order_of_episodes_changes_no_gradient():
    policy, cfg = tiny_policy(0), config(kl_coef=0.0)
    forward, backward = random_episodes(), random_episodes()[::-1]
    results = [
        gradients(policy, score_rollout(collate(e, policy.pad_id, CPU), policy, None, cfg, 1.0), cfg)
        for e in (forward, backward)
    ]
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-4)


def test_the_gradient_is_the_policy_gradient_when_policy_and_sampler_agree():
    """At ratio 1 nothing is clipped: the gradient is that of -sum(A log pi)/n + c/2 sum((V - R)^2)/n."""
    policy, cfg = tiny_policy(0), config(kl_coef=0.0, entropy_coef=0.0, value_coef=0.5, critic="shared")
    policy.critic.kind = "shared"
    batch = collate(random_episodes(), policy.pad_id, CPU)
    rollout = score_rollout(batch, policy, None, cfg, 1.0)
    found = gradients(policy, rollout, cfg)
    policy.zero_grad()
    outputs = policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0)
    logprobs, values = outputs.logprobs_M, outputs.values_M
    mask = batch.mask_BA
    n = mask.sum()
    actor = -(rollout.advantages_BA[mask] * logprobs).sum() / n
    critic = 0.5 * (values - rollout.returns_BA[mask]).square().sum() / n
    (actor + 0.5 * critic).backward()
    for mine, parameter in zip(found, policy.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad, atol=1e-6, rtol=1e-4)


def test_a_detached_critic_leaves_the_trunk_alone():
    policy = tiny_policy(0)
    batch = collate(random_episodes(), policy.pad_id, CPU)
    cfgs = [config(kl_coef=0.0, critic="detached", value_coef=c) for c in (0.0, 5.0)]
    without, with_critic = (gradients(policy, score_rollout(batch, policy, None, c, 1.0), c) for c in cfgs)
    names = [name for name, _ in policy.named_parameters()]
    for name, mine, other in zip(names, without, with_critic, strict=True):
        assert torch.equal(mine, other) != name.startswith("critic"), name


def test_feedback_tokens_enter_no_statistic():
    """The masks keep prompt and feedback out: entropy, KL, advantages and loss count action tokens only."""
    policy, reference, cfg = tiny_policy(0), tiny_policy(1), config()
    batch = collate(random_episodes(feedback=3), policy.pad_id, CPU)
    rollout = score_rollout(batch, policy, reference, cfg, 1.0)
    assert rollout.advantages_BA[~batch.mask_BA].abs().max() == 0
    assert rollout.advantages_BA[batch.mask_BA].mean().abs() < 1e-5
    changed = batch.ids_BL.clone()
    changed[~batch.attention_BL] = 7  # padding ids may be anything
    batch.ids_BL = changed
    again = score_rollout(batch, policy, reference, cfg, 1.0)
    torch.testing.assert_close(again.advantages_BA, rollout.advantages_BA, atol=1e-5, rtol=0)


def test_truncated_episodes_bootstrap_and_terminated_ones_do_not():
    policy, cfg = tiny_policy(0), config(kl_coef=0.0, gamma=1.0, gae_lambda=1.0)
    batch = collate(random_episodes(), policy.pad_id, CPU)
    returns = score_rollout(batch, policy, None, cfg, 1.0).returns_BA[:, 0]
    with torch.no_grad():
        last = policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0).last_values_B
    expected = batch.turn_rewards_BA.sum(dim=1) + torch.where(batch.terminated_B, 0.0, last)
    torch.testing.assert_close(returns, expected, atol=1e-5, rtol=1e-5)
    assert last[~batch.terminated_B].abs().min() > 1e-3


def test_temperature_is_the_same_in_scoring_and_training():
    policy, cfg = tiny_policy(0), config(kl_coef=0.0)
    batch = collate(random_episodes(), policy.pad_id, CPU)
    rollout = score_rollout(batch, policy, None, cfg, 0.5)
    optimizer = make_optimizer(policy, cfg)
    metrics = update_policy(rollout, policy, optimizer, cfg, 0.5, 0, torch.Generator())
    assert metrics["approx_kl"] == pytest.approx(0.0, abs=1e-9)
    assert metrics["clip_fraction"] == 0.0


@pytest.mark.parametrize(("schedule", "last"), [("linear", 1 / 91), ("constant", 1.0)])
def test_the_learning_rate_warms_up_and_decays(schedule, last):
    cfg = PPOConfig(iterations=25, epochs=2, minibatches=2, warmup_steps=10, lr_schedule=schedule)
    factors = [learning_rate_factor(cfg, step) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[-1] == pytest.approx(last)
    assert all(a >= b for a, b in itertools.pairwise(factors[10:]))


def test_updates_stop_when_the_policy_has_moved_far_enough():
    cfg = config(minibatches=5, epochs=4, learning_rate=1e-2, warmup_steps=0, target_kl=1e-6, kl_coef=0.0)
    policy = tiny_policy(0)
    rollout = score_rollout(collate(random_episodes(), policy.pad_id, CPU), policy, None, cfg, 1.0)
    steps = []
    optimizer = make_optimizer(policy, cfg)
    optimizer.register_step_post_hook(lambda *_: steps.append(1))
    update_policy(rollout, policy, optimizer, cfg, 1.0, 0, torch.Generator())
    assert 1 < len(steps) < 20


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    policy, cfg = tiny_policy(0), config(kl_coef=0.0)
    rollout = score_rollout(collate(random_episodes(), policy.pad_id, CPU), policy, None, cfg, 1.0)
    rollout.advantages_BA[0, 0] = float("nan")
    before = copy.deepcopy(policy.state_dict())
    with pytest.raises(TrainingDivergedError, match=r"lower ppo.learning_rate \(now 0.00015\)"):
        update_policy(rollout, policy, make_optimizer(policy, cfg), cfg, 1.0, 0, torch.Generator())
    for name, tensor in policy.state_dict().items():
        assert torch.equal(tensor, before[name]), name
