"""Critics of four kinds: whom their gradients reach, what they say at the start, what is saved of them."""

import copy

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny_models import tiny_model, tiny_model_policy

from rlenvs.agents.llm.config import AdapterConfig, PolicyConfig, PPOConfig
from rlenvs.agents.llm.learner.optimizer import make_optimizer
from rlenvs.agents.llm.policy import adapters
from rlenvs.agents.llm.policy.loading import load_policy
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import ConfigError

KINDS = ["detached", "shared", "adapter", "copy"]
CASES = [(kind, adapted) for kind in KINDS for adapted in (False, True) if adapted or kind != "adapter"]
LORA = AdapterConfig(rank=2, alpha=4)


def make(kind: str, adapted: bool, options: ForwardOptions | None = None) -> Policy:
    model, tokenizer = tiny_model("llama", scale=2.0)
    return Policy(adapters.attach(model, LORA) if adapted else model, tokenizer, kind, options)


def rows():
    batch = collate(random_episodes(6, feedback=2), 0, CPU)
    return batch.ids_BL, batch.attention_BL, batch.action_BL


def excite(policy: Policy, seed: int = 0) -> None:
    """Make everything that is trained say something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in (*policy.critic_parameters(), *(policy.policy_parameters() if policy.has_adapters else ())):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def reached(policy: Policy, loss: torch.Tensor) -> set[int]:
    policy.zero_grad()
    loss.backward()
    return {id(p) for p in policy.parameters() if p.grad is not None and p.grad.abs().max() > 0}


@pytest.mark.parametrize(("kind", "adapted"), CASES)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_reach_exactly_what_they_should(kind, adapted, checkpointing):
    policy = make(kind, adapted, ForwardOptions(gradient_checkpointing=checkpointing))
    excite(policy)
    policy_set, critic_set = ({id(p) for p in ps} for ps in (policy.policy_parameters(), policy.critic_parameters()))
    assert not policy_set & critic_set
    trained = {id(p) for p in policy.parameters() if p.requires_grad}
    assert policy_set | critic_set == trained
    found = policy.evaluate(*rows(), 1.0)
    assert reached(policy, found.logprobs_M.sum()) == policy_set
    head = {id(p) for p in policy.value_head.parameters()}
    output_layer = set() if adapted else {id(policy.model.lm_head.weight)}
    expected = {"detached": head, "shared": head | policy_set - output_layer}.get(kind, critic_set)
    assert reached(policy, policy.evaluate(*rows(), 1.0).values_M.sum()) == expected
    assert head < critic_set or kind in ("detached", "shared")
    warm = policy.evaluate(*rows(), 1.0, with_logprobs=False, detach_features=True)
    assert not reached(policy, warm.values_M.sum()) & policy_set
    assert reached(policy, warm_values(policy)) == (head if kind == "shared" else expected)


def warm_values(policy: Policy) -> torch.Tensor:
    return policy.evaluate(*rows(), 1.0, with_logprobs=False, detach_features=True).values_M.sum()


@pytest.mark.parametrize(("kind", "adapted"), CASES)
def test_packing_and_checkpointing_together_change_no_gradient(kind, adapted):
    """The second run of a layer attends as its first did, also in a trunk that is the critic's own."""
    gradients = []
    for both in (False, True):
        policy = make(kind, adapted, ForwardOptions(packing=both, gradient_checkpointing=both))
        excite(policy)
        found = policy.evaluate(*rows(), 1.0)
        (found.logprobs_M.mean() + found.values_M.square().mean()).backward()
        gradients.append({name: p.grad for name, p in policy.named_parameters() if p.grad is not None})
    plain, checkpointed = gradients
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize(("kind", "adapted"), CASES)
def test_values_are_zero_at_the_start_and_float32(kind, adapted):
    policy = make(kind, adapted)
    found = policy.evaluate(*rows(), 1.0)
    assert found.values_M.abs().max() == found.last_values_B.abs().max() == 0
    assert found.values_M.dtype == policy.value_head.weight.dtype == torch.float32


@pytest.mark.parametrize(("kind", "adapted"), CASES)
@pytest.mark.parametrize("packing", [False, True])
def test_values_of_ragged_rows_and_of_their_last_states_equal_those_of_each_row_alone(kind, adapted, packing):
    policy = make(kind, adapted, ForwardOptions(packing=packing))
    excite(policy)
    ids, attention, action = rows()
    found = policy.evaluate(ids, attention, action, 1.0)
    values, last = [], []
    trunk = policy.critic.trunk if kind == "copy" else adapters.base_of(policy.model).base_model
    with torch.no_grad(), policy.using_adapter("critic" if kind == "adapter" else "default" if adapted else None):
        for row in range(len(ids)):
            own = ids[row][attention[row]][None]
            of_row = policy.value_head(trunk(own, use_cache=False).last_hidden_state[0])[:, 0]
            values.append(of_row[:-1][action[row][attention[row]][1:]])
            last.append(of_row[-1])
    torch.testing.assert_close(found.values_M, torch.cat(values), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(found.last_values_B, torch.stack(last), atol=1e-6, rtol=1e-5)
    assert found.last_values_B.abs().min() > 1e-4


@pytest.mark.parametrize(("kind", "adapted"), CASES)
def test_only_critics_with_features_of_their_own_cost_a_second_pass(kind, adapted):
    policy = make(kind, adapted)
    passes = []
    for trunk in {adapters.base_of(policy.model).base_model, policy.critic.trunk} - {None}:
        trunk.norm.register_forward_hook(lambda *_: passes.append(1))
    policy.evaluate(*rows(), 1.0)
    assert len(passes) == 1 + policy.critic.has_own_pass == (2 if kind in ("adapter", "copy") else 1)
    passes.clear()
    policy.evaluate(*rows(), 1.0, with_logprobs=False)
    policy.evaluate(*rows(), 1.0, with_values=False)
    assert len(passes) == 2


@pytest.mark.parametrize("kind", ["adapter", "copy"])
def test_a_critic_of_its_own_keeps_its_features_when_the_policy_moves_and_the_other_way_round(kind):
    policy = make(kind, adapted=True)
    excite(policy)
    before = policy.evaluate(*rows(), 1.0)
    with torch.no_grad():
        for parameter in policy.policy_parameters():
            parameter.add_(0.1)
    moved = policy.evaluate(*rows(), 1.0)
    assert torch.equal(moved.values_M, before.values_M)
    assert (moved.logprobs_M - before.logprobs_M).abs().max() > 1e-2
    with torch.no_grad():
        for parameter in policy.critic_parameters():
            parameter.add_(0.1)
    again = policy.evaluate(*rows(), 1.0)
    assert torch.equal(again.logprobs_M, moved.logprobs_M)
    assert (again.values_M - moved.values_M).abs().max() > 1e-2


def test_the_critic_has_a_learning_rate_of_its_own():
    policy = make("adapter", adapted=True)
    groups = make_optimizer(policy, PPOConfig(learning_rate=1e-3, value_learning_rate_factor=10)).param_groups
    rates = {id(p): group["base_lr"] for group in groups for p in group["params"]}
    assert {rates[id(p)] for p in policy.policy_parameters()} == {1e-3}
    assert {rates[id(p)] for p in policy.critic_parameters()} == {1e-2}


@pytest.mark.parametrize(("kind", "adapted"), CASES)
def test_critics_are_saved_and_come_back(tmp_path, kind, adapted):
    base = tmp_path / "base"
    tiny_model_policy("llama").save(base)
    config = PolicyConfig(model="x", adapter=LORA if adapted else None)
    policy = load_policy(base, CPU, config, critic=kind)
    excite(policy)
    state = copy.deepcopy(policy.state_dict())
    expected = policy.evaluate(*rows(), 1.0)
    policy.save(tmp_path / "out")
    again = load_policy(tmp_path / "out", CPU, config, critic=kind)
    restored = load_policy(base, CPU, config, critic=kind)
    restored.load_state_dict(state)
    for found in (again.evaluate(*rows(), 1.0), restored.evaluate(*rows(), 1.0)):
        assert torch.equal(found.values_M, expected.values_M)
        assert torch.equal(found.logprobs_M, expected.logprobs_M)


@pytest.mark.parametrize("kind", ["adapter", "copy"])
def test_a_head_on_the_policys_features_fits_critics_that_begin_there(tmp_path, kind):
    first = make("detached", adapted=True)
    excite(first)
    tiny_model_policy("llama", scale=2.0).save(tmp_path / "base")
    first.model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    first.save(tmp_path / "out")
    config = PolicyConfig(model="x", adapter=LORA)
    second = load_policy(tmp_path / "out", CPU, config, critic=kind)
    expected, found = (policy.evaluate(*rows(), 1.0).values_M for policy in (first, second))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    second.save(tmp_path / "next")
    plain = load_policy(tmp_path / "next", CPU, config)
    assert plain.evaluate(*rows(), 1.0).values_M.abs().max() == 0, "a head on other features would be noise"


def test_an_adapter_critic_needs_a_base_that_stays():
    with pytest.raises(ConfigError, match=r"ppo.critic: 'adapter' needs .*policy.adapter"):
        make("adapter", adapted=False)
