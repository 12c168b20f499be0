"""Half precision where it saves time, float32 where rounding would bias; packed attention by PyTorch's kernel."""

import pytest
import torch
from llm_episodes import CPU, random_episodes
from tiny_models import tiny_model, tiny_model_policy
from torch.nn.attention import varlen as torch_varlen

from rlenvs.agents.llm.config import AdapterConfig, MemoryConfig
from rlenvs.agents.llm.policy import adapters, varlen
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.rollout.batch import collate
from rlenvs.errors import ConfigError

HALF = ForwardOptions(autocast=torch.bfloat16, logprob_chunk=8)


def rows():
    batch = collate(random_episodes(6, feedback=2), 0, CPU)
    return batch.ids_BL, batch.attention_BL, batch.action_BL


def gradients(policy):
    policy.zero_grad()
    found = policy.evaluate(*rows(), 1.0)
    (found.logprobs_M.sum() + found.values_M.sum()).backward()
    return found, {name: p.grad for name, p in policy.named_parameters() if p.grad is not None}


def test_options_come_from_the_configuration():
    config = MemoryConfig(logprob_chunk=7, autocast="bfloat16", gradient_checkpointing=True, packing=True, compile=True)
    assert ForwardOptions.from_config(config) == ForwardOptions(7, torch.bfloat16, True, True, True)
    assert ForwardOptions.from_config(MemoryConfig()) == ForwardOptions(packing="auto")


@pytest.mark.parametrize("kind", ["llama", "qwen3", "gemma2"])
def test_autocast_rounds_products_and_nothing_else(kind):
    policy = Policy(*tiny_model(kind, scale=2.0), "shared")
    with torch.no_grad():
        policy.value_head.weight.fill_(0.1)
    exact, exact_gradients = gradients(policy)
    policy.options = HALF
    types = []
    policy.model.model.layers[0].mlp.down_proj.register_forward_hook(lambda _m, _i, output: types.append(output.dtype))
    half, half_gradients = gradients(policy)
    assert types == [torch.bfloat16]
    assert {p.dtype for p in policy.parameters()} == {torch.float32}
    for name in ("logprobs_M", "entropies_M", "values_M", "last_values_B"):
        mine, theirs = getattr(half, name), getattr(exact, name)
        assert mine.dtype == torch.float32
        assert 0 < (mine - theirs).abs().max() < 0.1
    for name, gradient in half_gradients.items():
        assert gradient.dtype == torch.float32
        cosine = torch.cosine_similarity(gradient.flatten(), exact_gradients[name].flatten(), dim=0)
        assert cosine > 0.99, name


def test_probabilities_still_sum_to_one_under_autocast():
    """A softmax in bfloat16 would be off by a part in 256."""
    policy = tiny_model_policy("llama")
    policy.options = HALF
    vocabulary = policy.model.lm_head.weight.shape[0]
    ids = torch.stack([torch.tensor([4, 5, token]) for token in range(vocabulary)])
    action = torch.tensor([False, False, True]).expand_as(ids)
    with torch.no_grad():
        logprobs = policy.evaluate(ids, torch.ones_like(ids, dtype=torch.bool), action, 1.0).logprobs_M
    assert logprobs.exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_model_whose_layers_see_across_a_pack_is_refused():
    model, tokenizer = tiny_model("llama")
    original = model.model.layers[0].forward

    def mixes(hidden, **kwargs):
        return original(hidden, **kwargs) + hidden.mean(dim=1, keepdim=True)

    model.model.layers[0].forward = mixes
    with pytest.raises(ConfigError, match=r"memory.packing: layers of 'llama' see across"):
        Policy(model, tokenizer, options=ForwardOptions(packing=True))


def test_layers_that_cannot_be_checkpointed_are_refused():
    policy = tiny_model_policy("llama")
    policy.model.model.layers = torch.nn.ModuleList()
    policy.options = ForwardOptions(gradient_checkpointing=True)
    with pytest.raises(ConfigError, match=r"memory.gradient_checkpointing: the layers of 'llama'"):
        policy.evaluate(*rows(), 1.0)


def slow_varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), **rest):
    """What PyTorch's kernel documents, sequence by sequence."""
    assert torch.equal(cu_seq_q, cu_seq_k)
    assert cu_seq_q.dtype == torch.int32
    assert max_q == max_k == int(cu_seq_q.diff().max())
    assert window_size[1] == 0
    groups = query.shape[1] // key.shape[1]
    assert groups == 1 or rest.get("enable_gqa")
    found = []
    for start, end in zip(cu_seq_q[:-1].tolist(), cu_seq_q[1:].tolist(), strict=True):
        q, k, v = (part[start:end].transpose(0, 1) for part in (query, key, value))
        k, v = (part.repeat_interleave(groups, dim=0) for part in (k, v))
        places = torch.arange(end - start)
        distance = places[:, None] - places[None, :]
        seen = (distance >= 0) & ((distance <= window_size[0]) | (window_size[0] < 0))
        scores = (q @ k.transpose(1, 2) * scale).masked_fill(~seen, float("-inf"))
        found.append((scores.softmax(dim=-1) @ v).transpose(0, 1))
    return torch.cat(found)


def documented(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1), enable_gqa=False):  # fmt: skip
    return slow_varlen_attn(
        query, key, value, cu_seq_q, cu_seq_k, max_q, max_k,
        scale=scale, window_size=window_size, enable_gqa=enable_gqa,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral-window"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_kernel_for_various_lengths_is_called_as_it_documents(kind, checkpointing, monkeypatch):
    """CPUs have no such kernel: a slow one in its place shows that boundaries, windows and groups arrive."""
    policy = Policy(*tiny_model(kind, scale=2.0), "shared")
    expected, expected_gradients = gradients(policy)
    monkeypatch.setattr(torch_varlen, "varlen_attn", documented)
    monkeypatch.setattr(varlen, "fits", lambda *_: True)
    policy.options = ForwardOptions(packing=True, gradient_checkpointing=checkpointing)
    found, found_gradients = gradients(policy)
    torch.testing.assert_close(found.logprobs_M, expected.logprobs_M, atol=1e-5, rtol=1e-5)
    for name, gradient in found_gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[name], atol=2e-5, rtol=1e-4)
    assert policy.model.config._attn_implementation == "sdpa"


def test_the_kernel_is_taken_where_it_fits(monkeypatch):
    model, _ = tiny_model("llama")
    cuda = torch.device("cuda")
    assert varlen.kernel() is torch_varlen.varlen_attn, "this PyTorch's kernel has other arguments"
    assert varlen.fits(model, cuda, torch.bfloat16)
    assert not varlen.fits(model, cuda, torch.float32)
    model.config._attn_implementation = "eager"
    assert not varlen.fits(model, cuda, torch.bfloat16)
    monkeypatch.setattr(torch_varlen, "varlen_attn", lambda query, key, value: None)
    assert varlen.kernel() is None


def test_checkpoints_under_two_adapters_run_again_under_the_adapter_that_they_ran_under():
    """Both passes are differentiated after both have run; a wrong adapter in the second run gives wrong gradients."""
    model, tokenizer = tiny_model("llama", scale=2.0)
    policy = Policy(adapters.attach(model, AdapterConfig(rank=2, alpha=4)), tokenizer, "adapter")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in [*policy.policy_parameters(), *policy.critic_parameters()]:
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    _, expected = gradients(policy)
    policy.options = ForwardOptions(gradient_checkpointing=True)
    _, found = gradients(policy)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-5, msg=name)
