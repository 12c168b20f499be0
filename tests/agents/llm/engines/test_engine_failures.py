"""An engine that cannot finish says so in one type of error, and works again afterwards."""

import pytest
import torch
from tiny_models import tiny_model_policy

from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams, StaticEngine, make_engine
from rlenvs.agents.llm.engines import choice as choice_module
from rlenvs.agents.llm.engines.choice import choose_engine
from rlenvs.errors import ConfigError, EngineError, MissingExtraError

MAKERS = [StaticEngine, GenerateEngine]
every_engine = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.name)
PROMPTS = [[4, 5, 6], [7, 8]]


def stream():
    return torch.Generator().manual_seed(0)


@every_engine
def test_a_model_that_dies_in_the_middle_of_a_batch(make, monkeypatch):
    policy = tiny_model_policy("llama")
    engine = make(policy)
    before = engine.generate(PROMPTS, SamplingParams(20), stream())
    head = policy.model.lm_head
    calls = []

    def dies(hidden):
        calls.append(1)
        if len(calls) > 3:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        return torch.nn.functional.linear(hidden, head.weight)

    with monkeypatch.context() as patched:
        patched.setattr(head, "forward", dies)
        with pytest.raises(EngineError, match=f"engine '{make.name}' failed on 2 prompts: CUDA error"):
            engine.generate(PROMPTS, SamplingParams(20), stream())
    assert engine.generate(PROMPTS, SamplingParams(20), stream()) == before


@every_engine
def test_out_of_memory_halves_the_batch_says_so_and_samples_the_same(make, monkeypatch, caplog):
    policy = tiny_model_policy("llama", scale=2.0)
    prompts = [[4, 5, 6 + row] for row in range(9)]
    expected = make(policy, 9).generate(prompts, SamplingParams(12), stream())
    engine = make(policy, 9)
    head, seen = policy.model.lm_head, []

    def too_much(hidden):
        seen.append(hidden.shape[0])
        if hidden.shape[0] > 3 and len(seen) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return torch.nn.functional.linear(hidden, head.weight)

    monkeypatch.setattr(head, "forward", too_much)
    completions = engine.generate(prompts, SamplingParams(12), stream())
    assert [c.ids for c in completions] == [c.ids for c in expected]
    assert engine.batch_size <= 3
    assert [record.getMessage() for record in caplog.records] == [
        f"engine '{make.name}' ran out of memory; it goes on with batches of {size}" for size in (4, 2)
    ]


@every_engine
def test_a_single_row_that_does_not_fit(make, monkeypatch):
    policy = tiny_model_policy("llama")
    engine = make(policy)

    def too_much(_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(policy.model.lm_head, "forward", too_much)
    with pytest.raises(EngineError, match=f"engine '{make.name}' failed on .* CUDA out of memory"):
        engine.generate(PROMPTS, SamplingParams(20), stream())


@every_engine
def test_logits_that_are_not_finite(make):
    policy = tiny_model_policy("llama")
    engine = make(policy)
    with torch.no_grad():
        policy.model.lm_head.weight[3] = float("nan")
    for temperature in (0.0, 1.0):
        with pytest.raises(EngineError, match=f"engine '{make.name}': the model's logits are not finite"):
            engine.generate(PROMPTS, SamplingParams(5, temperature), stream())


@every_engine
@pytest.mark.parametrize(
    ("prompts", "params", "message"),
    [
        ([[4], []], SamplingParams(3), "prompt 1 is empty"),
        ([[4, 16]], SamplingParams(3), "prompt 0 has a token outside the vocabulary of 16 tokens"),
        ([[-1]], SamplingParams(3), "prompt 0 has a token outside the vocabulary"),
        ([[4], [5]], [SamplingParams(3)], "2 prompts came with 1 sampling parameters"),
    ],
)
def test_requests_that_make_no_sense(make, prompts, params, message):
    with pytest.raises(EngineError, match=message):
        make(tiny_model_policy("llama")).generate(prompts, params, stream())


def test_an_unknown_engine():
    with pytest.raises(ConfigError, match="there is no engine 'fast'; engines are auto, static, generate, vllm, http"):
        make_engine("fast", tiny_model_policy("llama"))


def test_vllm_that_is_not_installed():
    with pytest.raises(MissingExtraError, match="vllm is not installed"):
        make_engine("vllm", tiny_model_policy("llama"))


@pytest.mark.parametrize("faster", ["static", "generate"])
def test_auto_takes_what_was_faster_and_remembers(faster, monkeypatch):
    monkeypatch.setattr(choice_module, "_CHOICES", {})
    measured = []

    def rate(engine, *_):
        measured.append(engine.name)
        return 200.0 if engine.name == faster else 100.0

    monkeypatch.setattr(choice_module, "_rate", rate)
    policy = tiny_model_policy("llama")
    assert [make_engine("auto", policy).name for _ in range(3)] == [faster] * 3
    assert measured == ["static", "generate"]
    assert choose_engine(policy).reason.endswith("tokens/s on cpu")


def test_auto_measures_for_real_and_leaves_the_models_alone(monkeypatch):
    monkeypatch.setattr(choice_module, "_CHOICES", {})
    policy = tiny_model_policy("llama")
    before = {name: tensor.clone() for name, tensor in policy.state_dict().items()}
    choice = choose_engine(policy, batch_size=4)
    assert set(choice.tokens_per_second) == {"static", "generate"}
    assert choice.name == max(choice.tokens_per_second, key=choice.tokens_per_second.get)
    assert all(torch.equal(tensor, before[name]) for name, tensor in policy.state_dict().items())


def test_auto_falls_back_with_a_reason():
    policy = tiny_model_policy("gpt2")
    choice = choose_engine(policy)
    assert (choice.name, choice.tokens_per_second) == ("generate", {})
    assert "its type is 'gpt2'" in choice.reason
    assert make_engine("auto", policy).name == "generate"
