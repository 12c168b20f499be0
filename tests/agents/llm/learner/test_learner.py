"""The learner: every switch of the algorithm reaches the loss, and does there what it says."""

import copy

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny import TINY_RUN, tiny_policy

from rlenvs.agents.llm.algorithm.kl import kl_loss
from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.llm.learner.scoring import score_rollout
from rlenvs.agents.llm.policy.reference import FrozenCopy
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import TrainingDivergedError


def learner(policy=None, reference=None, rollout=None, memory=None, **ppo) -> Learner:
    quiet = {"minibatches": 1, "warmup_steps": 0, "learning_rate": 1e-4, "kl_coef": 0.0, "max_grad_norm": 1e9}
    config = TrainConfig.load(
        TINY_RUN | {"ppo": quiet | ppo, "rollout": TINY_RUN["rollout"] | (rollout or {}), "memory": memory or {}}
    )
    return Learner(
        policy or tiny_policy(0),
        None if reference is None else FrozenCopy(reference),
        config,
        torch.Generator().manual_seed(0),
    )


def batch_of(policy, episodes):
    """Episodes whose sampled log-probabilities are those of the policy, as an exact engine reports them."""
    batch = collate(episodes, policy.pad_id, CPU)
    with torch.no_grad():
        found = policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, 1.0)
    batch.sampled_logprobs_BA[batch.mask_BA] = found.logprobs_M
    return batch


def gradients_of(learner, batch):
    """What one update would follow, read off before the optimiser changes anything."""
    seen = {}

    def keep(*_):
        for name, parameter in learner.policy.named_parameters():
            seen[name] = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()

    learner.optimizer.register_step_pre_hook(keep)
    learner.learn(batch)
    return seen


def assert_same(found, expected, atol=1e-6):
    assert found.keys() == expected.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(
            tensor, expected[name], atol=atol, rtol=1e-4, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("estimator", ["gae", "reinforce", "reinforce_baseline", "rloo", "grpo"])
@pytest.mark.parametrize("normalization", ["token", "sequence", "constant"])
def test_micro_batches_change_no_gradient_of_any_estimator(estimator, normalization):
    groups = {"rollout": {"samples_per_prompt": 2, "episodes": 24}}
    results = []
    for memory in ({"micro_batch_size": 100}, {"micro_batch_size": 3}, {"micro_batch_tokens": 17}):
        one = learner(estimator=estimator, loss_normalization=normalization, memory=memory, **groups)
        episodes = random_episodes(10)
        for number, episode in enumerate(episodes):
            episode.group = number // 2
        results.append(gradients_of(one, batch_of(one.policy, episodes)))
    for found in results[1:]:
        assert_same(found, results[0])
    assert max(float(g.abs().max()) for g in results[0].values()) > 1e-4


@pytest.mark.parametrize("estimator", ["reinforce", "reinforce_baseline", "rloo", "grpo"])
def test_without_a_critic_no_value_is_computed_and_its_head_stays(estimator):
    one = learner(estimator=estimator, rollout={"samples_per_prompt": 2})
    before = copy.deepcopy(one.policy.value_head.state_dict())
    metrics = one.learn(batch_of(one.policy, random_episodes(8)))
    assert "value_loss" not in metrics
    assert "explained_variance" not in metrics
    for name, tensor in one.policy.value_head.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("estimator", ["k2", "k3"])
def test_kl_as_a_loss_adds_its_gradient(estimator):
    reference = tiny_policy(1)
    without = learner(kl_coef=0.0)
    batch = batch_of(without.policy, random_episodes())
    plain = gradients_of(without, batch)
    penalised = learner(reference=reference, kl_coef=0.5, kl_in="loss", kl_estimator=estimator)
    found = gradients_of(penalised, batch)
    policy, mask = tiny_policy(0), batch.mask_BA
    rows = (batch.ids_BL, batch.attention_BL, batch.action_BL)
    logprobs = policy.evaluate(*rows, 1.0).logprobs_M
    with torch.no_grad():
        ref = reference.evaluate(*rows, 1.0).logprobs_M
    (0.5 * kl_loss(logprobs, ref, logprobs.detach(), estimator, int(mask.sum()))).backward()
    expected = {
        name: plain[name] + (0 if parameter.grad is None else parameter.grad)
        for name, parameter in policy.named_parameters()
    }
    assert_same(found, expected)


def test_kl_as_a_reward_changes_advantages_and_as_a_loss_does_not():
    reference = tiny_policy(1)
    metrics = {}
    for place in ("reward", "loss"):
        one = learner(reference=reference, kl_coef=0.5, kl_in=place, kl_estimator="k2", whiten=False)
        metrics[place] = one.learn(batch_of(one.policy, random_episodes()))
    none = learner(whiten=False)
    bare = none.learn(batch_of(none.policy, random_episodes()))
    assert metrics["loss"]["policy_loss"] == pytest.approx(bare["policy_loss"], abs=1e-6)
    assert metrics["reward"]["policy_loss"] != pytest.approx(bare["policy_loss"], abs=1e-3)
    assert metrics["loss"]["kl_loss"] > 0


def test_the_critic_warms_up_alone_whatever_its_kind():
    for critic in ("detached", "shared"):
        one = learner(value_warmup=2, critic=critic, learning_rate=1e-2, reference=tiny_policy(1), kl_coef=0.1)
        batch = batch_of(one.policy, random_episodes())
        start = copy.deepcopy(one.policy.state_dict())
        for _ in range(2):
            metrics = one.learn(batch)
            assert "policy_loss" not in metrics
        for name, tensor in one.policy.state_dict().items():
            assert torch.equal(tensor, start[name]) != name.startswith("critic.head"), (critic, name)
        one.config.ppo.__dict__["learning_rate"] = 1e-5
        for group in one.optimizer.param_groups:
            group["base_lr"] = 1e-5
        assert "policy_loss" in one.learn(batch)


def test_the_critic_warms_up_also_where_updates_stop_when_the_policy_has_moved():
    one = learner(value_warmup=1, minibatches=2, target_kl=1e-9, learning_rate=1e-2)
    batch = batch_of(one.policy, random_episodes())
    steps = []
    one.optimizer.register_step_post_hook(lambda *_: steps.append(1))
    assert "approx_kl" not in one.learn(batch)
    assert len(steps) == 2, "a policy that stays has not moved too far"


def test_a_pass_for_the_sake_of_other_processes_may_be_on_an_episode_that_was_left_out():
    episodes = sorted(random_episodes(10), key=lambda episode: -len(episode.sampled_logprobs))
    episodes[0].cut = True
    one = learner(rollout={"mask_overlong": True}, reference=tiny_policy(1), kl_coef=0.1, kl_in="loss")
    batch = batch_of(one.policy, episodes)
    scored = score_rollout(
        batch, one.policy, one.reference, one.config.ppo, 1.0, one.micro_batches, one.processes, mask_overlong=True
    )
    assert not scored.mask_BA[0].any()
    for critic_only in (False, True):
        one.update._pass_without_effect(scored.values_BA is not None, critic_only)
        gradients = [p.grad for p in one.policy.parameters() if p.grad is not None]
        assert gradients
        assert all(gradient.abs().max() == 0 for gradient in gradients)


def test_over_long_episodes_leave_the_loss_as_if_they_had_not_been_played():
    episodes = random_episodes(10)
    for number in (0, 3, 4):
        episodes[number].cut = True
    masked = learner(rollout={"mask_overlong": True})
    found = gradients_of(masked, batch_of(masked.policy, episodes))
    without = learner()
    expected = gradients_of(without, batch_of(without.policy, [e for e in episodes if not e.cut]))
    assert_same(found, expected)


def test_a_rollout_of_over_long_episodes_alone_teaches_nothing_and_stops_nothing():
    episodes = random_episodes(4)
    for episode in episodes:
        episode.cut = True
    one = learner(rollout={"mask_overlong": True})
    before = copy.deepcopy(one.policy.state_dict())
    one.learn(batch_of(one.policy, episodes))
    assert one.iteration == 1
    for name, tensor in one.policy.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_trusting_the_engine_saves_a_pass_and_changes_nothing_where_it_is_exact(monkeypatch):
    results, passes = {}, {}
    for source in ("recompute", "engine"):
        one = learner(old_logprobs=source, estimator="reinforce")
        batch = batch_of(one.policy, random_episodes())
        calls, evaluate = [], one.policy.evaluate
        monkeypatch.setattr(one.policy, "evaluate", lambda *a, e=evaluate, c=calls, **k: (c.append(1), e(*a, **k))[1])
        results[source], passes[source] = gradients_of(one, batch), len(calls)
    assert_same(results["engine"], results["recompute"])
    assert passes == {"recompute": 2, "engine": 1}


def test_importance_weights_scale_the_policy_loss_and_not_the_value_loss():
    """An engine that reports every log-probability too low by log 1.5: every token counts 1.5 times."""
    weighted, plain = learner(importance="token_truncate", importance_cap=2.0), learner()
    episodes = random_episodes()
    batch = batch_of(weighted.policy, episodes)
    batch.sampled_logprobs_BA[batch.mask_BA] -= torch.log(torch.tensor(1.5))
    found, expected = gradients_of(weighted, batch), gradients_of(plain, batch)
    assert_same(found, {k: g * (1.0 if k.startswith("critic.head") else 1.5) for k, g in expected.items()}, 1e-5)


def test_an_adaptive_coefficient_follows_the_divergence_and_is_part_of_the_state():
    one = learner(reference=tiny_policy(1), kl_coef=0.1, kl_target=1e-4, kl_horizon=20)
    batch = batch_of(one.policy, random_episodes())
    first = one.learn(batch)
    assert first["kl_coef"] == 0.1
    assert first["kl"] > 1e-4
    assert one.kl_coefficient.value == pytest.approx(0.1 * (1 + 0.2 * 10 / 20))
    again = learner(reference=tiny_policy(1), kl_coef=0.1, kl_target=1e-4, kl_horizon=20)
    again.load_state_dict(copy.deepcopy(one.state_dict()))
    again.generator.set_state(one.generator.get_state())  # every process has its own: the trainer keeps it
    assert again.learn(batch) == pytest.approx(one.learn(batch), abs=0, nan_ok=True)
    for mine, other in zip(one.policy.parameters(), again.policy.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_a_first_update_that_breaks_the_policy_ends_the_run():
    one = learner(learning_rate=0.5, epochs=4)
    with pytest.raises(TrainingDivergedError, match=r"first update already broke the policy.*lower ppo.learning_rate"):
        one.learn(batch_of(one.policy, random_episodes()))


@pytest.mark.parametrize("resumed", [False, True])
def test_the_first_update_is_watched_also_where_earlier_rollouts_taught_nothing(resumed):
    episodes = random_episodes(4)
    for episode in episodes:
        episode.cut = True
    settings = {"learning_rate": 0.5, "epochs": 4, "rollout": {"mask_overlong": True}}
    one = learner(**settings)
    one.learn(batch_of(one.policy, episodes))
    if resumed:
        state, one = one.state_dict(), learner(**settings)
        one.load_state_dict(copy.deepcopy(state))
    with pytest.raises(TrainingDivergedError, match="first update already broke the policy"):
        one.learn(batch_of(one.policy, random_episodes()))


def test_memory_that_runs_out_halves_the_micro_batch_and_changes_no_gradient(monkeypatch, caplog):
    whole = learner(memory={"micro_batch_size": 16})
    batch = batch_of(whole.policy, random_episodes(16))
    expected = gradients_of(whole, batch)
    tight = learner(memory={"micro_batch_size": 16})
    evaluate = tight.policy.evaluate

    def limited(ids, *args, **kwargs):
        if len(ids) > 4:
            raise torch.OutOfMemoryError("no memory")
        return evaluate(ids, *args, **kwargs)

    monkeypatch.setattr(tight.policy, "evaluate", limited)
    assert_same(gradients_of(tight, batch), expected)
    assert "going on with micro-batches of 4 sequences" in caplog.text

    def never(*args, **kwargs):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(tight.policy, "evaluate", never)
    with pytest.raises(torch.OutOfMemoryError):
        tight.learn(batch)
