"""Every engine against the model itself: a full forward pass, and transformers' own greedy search."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import MODELS, tiny_model, tiny_model_policy

from rlenvs.agents.llm.config import AdapterConfig
from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams, StaticEngine
from rlenvs.agents.llm.policy import adapters
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.reference import AdapterOff
from rlenvs.errors import UnsupportedModelError

POLICIES = {kind: tiny_model_policy(kind) for kind in MODELS}
STATIC = {kind: StaticEngine(policy, batch_size=4) for kind, policy in POLICIES.items() if kind != "gpt2"}
GENERATE = {kind: GenerateEngine(policy, batch_size=4) for kind, policy in POLICIES.items()}
ENGINES = [(kind, engine) for engines in (STATIC, GENERATE) for kind, engine in engines.items()]
NAMES = [f"{engine.name}-{kind}" for kind, engine in ENGINES]
ragged = st.lists(st.lists(st.integers(0, 13), min_size=1, max_size=40), min_size=1, max_size=7)
every_engine = pytest.mark.parametrize(("kind", "engine"), ENGINES, ids=NAMES)


def stream(seed=0):
    return torch.Generator().manual_seed(seed)


def forward_logprobs(policy, prompt, ids, temperature):
    with torch.no_grad():
        logits = policy.model(torch.tensor([[*prompt, *ids]])).logits[0].float()
    log_probs = torch.log_softmax(logits / temperature, dim=-1)
    return [log_probs[len(prompt) + t - 1, token].item() for t, token in enumerate(ids)]


@every_engine
@settings(max_examples=4, deadline=None)
@given(batch=ragged, temperature=st.sampled_from([0.5, 1.0, 2.0]))
def test_log_probabilities_are_those_of_a_full_forward_pass(kind, engine, batch, temperature):
    completions = engine.generate(batch, SamplingParams(20, temperature), stream())
    for prompt, completion in zip(batch, completions, strict=True):
        expected = forward_logprobs(POLICIES[kind], prompt, completion.ids, temperature)
        assert completion.logprobs == pytest.approx(expected, abs=1e-4)


@every_engine
@settings(max_examples=4, deadline=None)
@given(batch=ragged)
def test_greedy_tokens_are_those_of_transformers(kind, engine, batch):
    policy = POLICIES[kind]
    for prompt, completion in zip(batch, engine.generate(batch, SamplingParams(12, 0.0), stream()), strict=True):
        theirs = policy.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
        )
        assert completion.ids == theirs[0, len(prompt) :].tolist()
        assert completion.logprobs == [0.0] * len(completion.ids)


@pytest.mark.parametrize("kind", STATIC)
@settings(max_examples=4, deadline=None)
@given(batch=ragged, seed=st.integers(0, 99))
def test_static_and_generate_sample_the_same_tokens(kind, batch, seed):
    params = [SamplingParams(1 + row * 3 % 25, 0.5 + row % 3 / 2) for row in range(len(batch))]
    ours = STATIC[kind].generate(batch, params, stream(seed))
    theirs = GENERATE[kind].generate(batch, params, stream(seed))
    assert [(c.ids, c.finish) for c in ours] == [(c.ids, c.finish) for c in theirs]


def test_the_models_own_sampling_defaults_are_not_used():
    policy = tiny_model_policy("llama")
    plain = GenerateEngine(policy).generate([[4, 5]] * 20, SamplingParams(10), stream())
    policy.model.generation_config.top_k = 1
    policy.model.generation_config.repetition_penalty = 3.0
    policy.model.generation_config.do_sample = True
    assert GenerateEngine(policy).generate([[4, 5]] * 20, SamplingParams(10), stream()) == plain
    assert policy.model.generation_config.top_k == 1


def test_an_unknown_architecture_says_why_and_what_instead():
    with pytest.raises(UnsupportedModelError, match=r"its type is 'gpt2', known are llama.*use engine 'generate'"):
        StaticEngine(POLICIES["gpt2"])


def test_a_known_architecture_that_computes_something_else_is_noticed():
    policy = tiny_model_policy("llama")
    layer = policy.model.model.layers[1]
    plain = layer.self_attn.forward
    layer.self_attn.forward = lambda *args, **kwargs: (plain(*args, **kwargs)[0] * 0.9, None)
    with pytest.raises(UnsupportedModelError, match="not those of its forward pass"):
        StaticEngine(policy)


def test_some_layers_with_a_window_and_some_without_are_refused():
    policy = tiny_model_policy("mistral-window")
    policy.model.config.layer_types = ["sliding_attention", "full_attention", "full_attention"]
    with pytest.raises(UnsupportedModelError, match="some of its layers have a sliding window"):
        StaticEngine(policy)


def test_a_lower_precision_copy_follows_the_weights():
    policy = tiny_model_policy("qwen2")
    engine = StaticEngine(policy, dtype=torch.bfloat16)
    prompts = [[5, 6, 7, 8], [9, 10]]
    for _ in range(2):
        for prompt, completion in zip(prompts, engine.generate(prompts, SamplingParams(8), stream()), strict=True):
            expected = forward_logprobs(policy, prompt, completion.ids, 1.0)
            assert completion.logprobs == pytest.approx(expected, abs=0.5)
            assert completion.logprobs != pytest.approx(expected, abs=1e-5)  # it really is another precision
        with torch.no_grad():
            for parameter in policy.model.parameters():
                parameter.mul_(1.5)
    assert policy.model.dtype == torch.float32


def test_a_lower_precision_copy_follows_an_adapter_that_another_one_has_joined():
    """A reference that keeps the first adapter adds one to the policy, after the engine has made its copy."""
    model, tokenizer = tiny_model("qwen2")
    policy = Policy(adapters.attach(model, AdapterConfig(rank=2, alpha=4)), tokenizer)
    engine = StaticEngine(policy, dtype=torch.bfloat16)
    AdapterOff(policy, start_is_base=False)
    before = engine.generate([[5, 6, 7]], SamplingParams(1), stream())[0]
    with torch.no_grad():
        for parameter in policy.policy_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=stream()))
    completion = engine.generate([[5, 6, 7]], SamplingParams(8), stream())[0]
    expected = forward_logprobs(policy, [5, 6, 7], completion.ids, 1.0)
    assert completion.logprobs == pytest.approx(expected, abs=0.5)
    assert completion.logprobs[0] != pytest.approx(before.logprobs[0], abs=1e-3)
