"""Adapters on a frozen base: what is trained, what is saved, and the reference that needs no second copy."""

import copy

import pytest
import torch
from llm_episodes import CPU, random_episodes
from peft import PeftModel
from tiny_models import tiny_model, tiny_model_policy
from transformers import AutoModelForCausalLM

from rlenvs.agents.llm.config import AdapterConfig, PolicyConfig
from rlenvs.agents.llm.policy import adapters
from rlenvs.agents.llm.policy.loading import load_policy, load_reference
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import AdapterOff, FrozenCopy
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import ConfigError, ModelLoadError, RunFolderError

KINDS = {
    "lora": AdapterConfig(rank=2, alpha=4),
    "named": AdapterConfig(rank=2, alpha=4, target_modules=["q_proj", "v_proj"]),
    "dora": AdapterConfig(rank=2, alpha=4, dora=True),
    "rslora": AdapterConfig(rank=4, alpha=4, rslora=True),
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "base"
    tiny_model_policy("llama").save(path)
    return path


def rows():
    batch = collate(random_episodes(6, feedback=2), 0, CPU)
    return batch.ids_BL, batch.attention_BL, batch.action_BL


def step(policy: Policy, size: float = 0.05) -> None:
    """Take one step that moves every adapter weight."""
    optimizer = torch.optim.SGD(policy.policy_parameters(), lr=size)
    for _ in range(2):  # the first moves B alone: A has no gradient while B is zero
        optimizer.zero_grad()
        policy.evaluate(*rows(), 1.0).logprobs_M.sum().backward()
        optimizer.step()


def load(folder, kind="lora", **arguments) -> Policy:
    return load_policy(folder, CPU, PolicyConfig(model="x", adapter=KINDS[kind]), **arguments)


@torch.no_grad()
def scores(policy) -> torch.Tensor:
    return policy.evaluate(*rows(), 1.0).logprobs_M


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_the_base_bit_for_bit_before_and_after_updates(folder, kind):
    policy, untouched = load(folder, kind), load_policy(folder, CPU)
    reference, copied = load_reference(policy, folder), FrozenCopy(untouched)
    assert isinstance(reference, AdapterOff)
    before = scores(policy)
    assert torch.equal(reference.logprobs(*rows(), 1.0), copied.logprobs(*rows(), 1.0))
    torch.testing.assert_close(before, reference.logprobs(*rows(), 1.0), atol=1e-5, rtol=0)
    step(policy)
    assert (scores(policy) - before).abs().max() > 0.01
    assert torch.equal(reference.logprobs(*rows(), 1.0), copied.logprobs(*rows(), 1.0))


def test_a_reference_leaves_the_policy_as_trainable_as_it_was(folder):
    policy = load(folder)
    reference = load_reference(policy, folder)
    trained = [id(p) for p in policy.policy_parameters()]
    reference.logprobs(*rows(), 1.0)
    assert [id(p) for p in policy.policy_parameters()] == trained
    with pytest.raises(IndexError, match="shape"):  # also after a failure
        reference.logprobs(rows()[0], rows()[1], rows()[2][:, :-1], 1.0)
    assert adapters.in_use(policy._layers) == "default"


def test_the_reference_holds_no_second_copy(folder):
    policy = load(folder)
    count = policy.parameter_count()
    load_reference(policy, folder)
    assert policy.parameter_count() == count


@pytest.mark.parametrize(("kind", "layers"), [("lora", 7), ("named", 2)])
def test_adapters_and_head_are_all_that_is_trained(folder, kind, layers):
    policy = load(folder, kind)
    assert len(policy.policy_parameters()) == 3 * layers * 2  # three layers of the model; A and B
    policy.evaluate(*rows(), 1.0).logprobs_M.sum().backward()
    assert {name.split(".")[-2] for name, p in policy.named_parameters() if p.grad is not None} == {"default"}


def test_a_bfloat16_base_has_float32_adapters_and_values(folder):
    config = PolicyConfig(model="x", adapter=KINDS["lora"], dtype="bfloat16")
    policy = load_policy(folder, CPU, config)
    assert {p.dtype for p in policy.policy_parameters()} == {torch.float32}
    assert policy.value_head.weight.dtype == torch.float32
    frozen = [p for p in policy.model.parameters() if not p.requires_grad]
    assert {p.dtype for p in frozen} == {torch.bfloat16}
    found = policy.evaluate(*rows(), 1.0)
    assert found.logprobs_M.dtype == found.values_M.dtype == torch.float32
    exact = scores(load_policy(folder, CPU))
    assert 0 < (found.logprobs_M - exact).abs().mean() < 0.2


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft itself, of transformers
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_adapter_is_one_of_peft_and_comes_back_whole(folder, tmp_path, kind):
    policy = load(folder, kind)
    step(policy)
    out = tmp_path / "out"
    policy.save(out)
    assert not (out / "model.safetensors").exists()
    ids = rows()[0]
    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), out)
    torch.testing.assert_close(theirs(ids).logits, policy.model(ids).logits)
    for again in (load(out, kind), load_policy(out, CPU)):
        assert torch.equal(scores(again), scores(policy))
        assert again.has_adapters
    assert all(p.requires_grad for p in load(out, kind).policy_parameters())


def test_training_on_from_an_adapter_has_that_adapter_as_reference(folder, tmp_path):
    first = load(folder)
    step(first)
    first.save(tmp_path / "sft")
    policy = load(tmp_path / "sft")
    reference = load_reference(policy, tmp_path / "sft")
    start = scores(policy)
    assert torch.equal(reference.logprobs(*rows(), 1.0), start)
    trained = len(policy.policy_parameters())
    step(policy)
    assert (scores(policy) - start).abs().max() > 0.01
    assert torch.equal(reference.logprobs(*rows(), 1.0), start)
    assert len(policy.policy_parameters()) == trained
    policy.save(tmp_path / "rl")
    assert sorted(p.name for p in (tmp_path / "rl").iterdir() if p.is_dir()) == []
    assert torch.equal(scores(load(tmp_path / "rl")), scores(policy))


def test_an_adapter_becomes_part_of_the_weights_where_all_are_trained(folder, tmp_path):
    first = load(folder)
    step(first)
    first.save(tmp_path / "sft")
    config = PolicyConfig(model="x")
    policy = load_policy(tmp_path / "sft", CPU, config)
    assert not policy.has_adapters
    torch.testing.assert_close(scores(policy), scores(first), atol=1e-5, rtol=0)
    assert all(parameter.requires_grad for parameter in policy.model.parameters())
    reference = load_reference(policy, tmp_path / "sft", config)
    assert isinstance(reference, FrozenCopy)
    torch.testing.assert_close(reference.logprobs(*rows(), 1.0), scores(first), atol=1e-5, rtol=0)


def test_checkpoints_hold_what_training_changes_and_must_be_whole(folder):
    policy = load(folder)
    step(policy)
    state = copy.deepcopy(policy.state_dict())
    assert all("default" in name or name.startswith("critic.head") for name in state)
    again = load(folder)
    again.load_state_dict(state)
    assert torch.equal(scores(again), scores(policy))
    missing = dict(state)
    name = next(iter(missing))
    del missing[name]
    with pytest.raises(RunFolderError, match=f"1 missing, 0 too many, such as '{name}'"):
        again.load_state_dict(missing)
    with pytest.raises(RunFolderError, match="0 missing, 1 too many"):
        again.load_state_dict(state | {"other": torch.zeros(1)})
    full = tiny_model_policy("llama")
    assert len(full.state_dict()) == len(list(full.parameters()))


def test_the_random_start_of_an_adapter_is_the_same_every_time_and_disturbs_nobody(folder):
    before = torch.get_rng_state()
    first, second = load(folder), load(folder)
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(first.policy_parameters(), second.policy_parameters(), strict=True):
        assert torch.equal(one, other)


def test_gpt2_holds_its_weights_the_other_way_round_and_is_adapted_all_the_same():
    model, tokenizer = tiny_model("gpt2")
    policy = Policy(adapters.attach(model, KINDS["lora"]), tokenizer)
    before = scores(policy)
    step(policy)
    assert (scores(policy) - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("change", "words"), [({"rank": 3}, "rank: the adapter in .* has 2, not 3"), ({"dora": True}, "dora")]
)
def test_an_adapter_of_another_kind_is_not_trained_on(folder, tmp_path, change, words):
    load(folder).save(tmp_path / "sft")
    config = PolicyConfig(model="x", adapter=KINDS["lora"].model_copy(update=change))
    with pytest.raises(ConfigError, match=words):
        load_policy(tmp_path / "sft", CPU, config)


def test_layers_that_are_not_there_are_one_clear_line(folder):
    config = PolicyConfig(model="x", adapter=AdapterConfig(target_modules=["nowhere"]))
    with pytest.raises(ConfigError, match=r"policy.adapter.target_modules: .*nowhere") as caught:
        load_policy(folder, CPU, config)
    assert "\n" not in str(caught.value)


def test_an_adapter_without_its_base_says_so(folder, tmp_path):
    load(folder).save(tmp_path / "sft")
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(ModelLoadError, match="cannot load folder"):
        load_policy(tmp_path / "sft", CPU)
