"""How sequences lie in a pass, and how the pass is computed, changes no log-probability, value or gradient."""

import copy
import dataclasses

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny_models import BENT_MODELS, MODELS, tiny_model, tiny_model_policy
from transformers import LlamaForCausalLM

from rlenvs.agents.llm.policy.model import Evaluation, Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import ConfigError

EVERY = sorted(MODELS | BENT_MODELS)
CLOSE = {"atol": 1e-6, "rtol": 1e-5}


class SquareRootLlama(LlamaForCausalLM):
    """Its logits are nothing that a scale and a cap could make of the output embedding."""

    def forward(self, input_ids=None, logits_to_keep=0, **kwargs):
        output = super().forward(input_ids, logits_to_keep=logits_to_keep, **kwargs)
        output.logits = output.logits.sign() * (output.logits.abs() + 1.0).sqrt()
        return output


def make(kind: str, critic: str = "shared") -> Policy:
    model, tokenizer = tiny_model("llama" if kind == "odd" else kind, scale=2.0)
    if kind == "odd":
        model.__class__ = SquareRootLlama
    policy = Policy(model, tokenizer, critic)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        policy.value_head.weight.normal_(std=0.2, generator=generator)
        policy.value_head.bias.fill_(0.1)
    return policy


def rows(count: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch = collate(random_episodes(count, feedback=2), 0, CPU)
    return batch.ids_BL, batch.attention_BL, batch.action_BL


def loss_of(found: Evaluation) -> torch.Tensor:
    """Something that depends on everything, with weights that tell the tokens apart by what they are, not where."""
    return (found.logprobs_M * found.values_M.detach().sin()).sum() + (
        found.values_M.square().sum() + 0.3 * found.entropies_M.sum()
    )


def outcome(policy: Policy, parts: list) -> tuple[Evaluation, dict[str, torch.Tensor]]:
    """Evaluate the parts of a batch one by one; gradients accumulate."""
    policy.zero_grad()
    found = [policy.evaluate(*part, 0.8) for part in parts]
    sum(loss_of(each) for each in found).backward()
    gradients = {name: p.grad.clone() for name, p in policy.named_parameters() if p.grad is not None}
    fields = [torch.cat([getattr(each, f.name) for each in found]).detach() for f in dataclasses.fields(Evaluation)]
    return Evaluation(*fields), gradients


def check(found, expected) -> None:
    for field in dataclasses.fields(Evaluation):
        torch.testing.assert_close(getattr(found[0], field.name), getattr(expected[0], field.name), **CLOSE)
    assert found[1].keys() == expected[1].keys()
    largest = max(gradient.abs().max().item() for gradient in expected[1].values())
    for name, gradient in found[1].items():
        torch.testing.assert_close(gradient, expected[1][name], atol=1e-6 * max(1.0, largest), rtol=1e-5, msg=name)


def left(ids_BL, attention_BL, action_BL):
    """Move the padding to the left."""

    def move(row, mask):
        return torch.cat([row[~mask], row[mask]])

    return tuple(
        torch.stack([move(row, mask) for row, mask in zip(tensor, attention_BL, strict=True)])
        for tensor in (ids_BL, attention_BL, action_BL)
    )


@pytest.mark.parametrize("kind", [*EVERY, "odd"])
def test_padding_order_micro_batches_and_packing_change_nothing(kind):
    policy, batch = make(kind), rows()
    expected = outcome(policy, [batch])
    assert len(expected[0].logprobs_M) > 15
    check(outcome(policy, [left(*batch)]), expected)
    check(outcome(policy, [tuple(t[i : i + 2] for t in batch) for i in (0, 2, 4)]), expected)
    wide = tuple(torch.nn.functional.pad(t, (0, 5)) for t in batch)
    check(outcome(policy, [wide]), expected)
    policy.options = ForwardOptions(packing=True, logprob_chunk=4)
    check(outcome(policy, [batch]), expected)
    check(outcome(policy, [left(*batch)]), expected)


@pytest.mark.parametrize("kind", EVERY)
def test_left_to_itself_a_policy_packs_where_that_changes_nothing(kind):
    model, tokenizer = tiny_model(kind)
    sdpa = model.config._attn_implementation == "sdpa"
    policy = Policy(model, tokenizer, options=ForwardOptions(packing="auto"))
    assert policy.options.packing is sdpa
    assert not Policy(model, tokenizer, options=ForwardOptions(packing="auto", compile=True)).options.packing


def test_a_model_whose_sequences_would_see_each_other_is_not_packed():
    class Mixing(torch.nn.Module):
        """Adds to every state the one before it, wherever that belongs."""

        def __init__(self, norm):
            super().__init__()
            self.norm = norm

        def forward(self, hidden):
            return self.norm(hidden + torch.nn.functional.pad(hidden, (0, 0, 1, 0))[:, :-1])

    model, tokenizer = tiny_model("llama")
    model.model.norm = Mixing(model.model.norm)
    assert Policy(model, tokenizer, options=ForwardOptions(packing="auto")).options.packing is False
    with pytest.raises(ConfigError, match=r"memory.packing: layers of 'llama' see across packed sequences"):
        Policy(model, tokenizer, options=ForwardOptions(packing=True))


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "odd"])
def test_the_order_of_rows_only_orders_what_comes_out(kind):
    policy, batch = make(kind), rows()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    found, gradients = outcome(policy, [tuple(t[order] for t in batch)])
    expected, others = outcome(policy, [batch])
    owner = torch.arange(6)[:, None].expand_as(batch[2])[batch[2]]
    moved = torch.cat([(owner == row).nonzero()[:, 0] for row in order])
    fields = [getattr(expected, name)[moved] for name in ("logprobs_M", "entropies_M", "values_M")]
    check((found, gradients), (Evaluation(*fields, expected.last_values_B[order]), others))


@pytest.mark.parametrize("kind", [*EVERY, "odd"])
def test_log_probabilities_are_those_of_a_plain_softmax_over_all_logits(kind):
    policy, (ids, attention, action) = make(kind), rows()
    found = policy.evaluate(ids, attention, action, 0.8)
    logprobs, entropies = [], []
    for row in range(len(ids)):
        own = ids[row][attention[row]][None]
        distribution = torch.distributions.Categorical(logits=policy.model(own, use_cache=False).logits[0] / 0.8)
        acted = action[row][attention[row]].nonzero()[:, 0]
        logprobs.append(torch.stack([distribution.log_prob(own[0, t])[t - 1] for t in acted]))
        entropies.append(distribution.entropy()[acted - 1])
    torch.testing.assert_close(found.logprobs_M, torch.cat(logprobs), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.entropies_M, torch.cat(entropies), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2", "gpt2", "cohere"])
@pytest.mark.parametrize("packing", [False, True])
def test_checkpointing_changes_no_gradient_and_nothing_outside_of_the_pass(kind, packing):
    policy, batch = make(kind), rows()
    expected = outcome(policy, [batch])
    policy.options = ForwardOptions(gradient_checkpointing=True, packing=packing)
    check(outcome(policy, [batch]), expected)
    assert not any(module.training for module in policy.model.modules())


def test_checkpointed_layers_run_again_in_the_backward_pass_alone():
    policy, batch = make("llama"), rows()
    runs = []
    policy.model.model.layers[0].self_attn.q_proj.register_forward_hook(lambda *_: runs.append(torch.is_grad_enabled()))
    policy.evaluate(*batch, 1.0).logprobs_M.sum().backward()
    assert len(runs) == 1
    policy.options = ForwardOptions(gradient_checkpointing=True)
    policy.evaluate(*batch, 1.0).logprobs_M.sum().backward()
    assert len(runs) == 1 + 2
    with torch.no_grad():
        policy.evaluate(*batch, 1.0)
    assert len(runs) == 1 + 2 + 1


def test_no_logits_of_prompts_feedback_or_padding_are_computed():
    policy, batch = make("llama"), rows()
    seen = []
    original = torch.nn.functional.linear

    def spy(inputs, weight, bias=None):
        if weight.shape[0] == policy.model.lm_head.weight.shape[0]:
            seen.append(inputs.shape[:-1].numel())
        return original(inputs, weight, bias)

    for chunk in (1_000, 5):
        seen.clear()
        policy.options = ForwardOptions(logprob_chunk=chunk)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.nn.functional, "linear", spy)
            policy.evaluate(*batch, 1.0)
        assert sum(seen) == int(batch[2].sum()) < int(batch[1].sum())
        assert max(seen) <= chunk


def test_an_odd_head_keeps_only_columns_before_action_tokens():
    policy, batch = make("odd"), rows()
    assert not policy.head_is_linear
    kept = []
    policy.model.lm_head.register_forward_hook(lambda _module, inputs, _output: kept.append(inputs[0].shape[1]))
    policy.options = ForwardOptions(packing=True)
    policy.evaluate(*batch, 1.0)
    assert kept == [int(batch[2].sum())]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # of torch's own compiler
@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_compiling_changes_nothing(packing, checkpointing):
    policy, batch = make("llama"), rows()
    expected = outcome(policy, [batch])
    policy.options = ForwardOptions(compile=True, packing=packing, gradient_checkpointing=checkpointing)
    check(outcome(policy, [batch]), expected)
    again = copy.deepcopy(batch)
    check(outcome(policy, [tuple(t[:4] for t in again), tuple(t[4:] for t in again)]), expected)


def test_a_policy_never_leaves_evaluation_mode():
    policy = tiny_model_policy("gpt2")
    assert any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in policy.modules())
    policy.train()
    assert not any(module.training for module in policy.model.modules())
