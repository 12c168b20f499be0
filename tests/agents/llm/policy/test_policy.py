"""Log-probabilities, values and folders of a policy."""

import warnings

import pytest
import torch
from tiny import tiny_policy
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
)

from rlenvs.agents.llm.algorithm.logprobs import chosen_logprobs
from rlenvs.agents.llm.embedded import character_tokenizer
from rlenvs.agents.llm.engines import GenerateEngine, SamplingParams
from rlenvs.agents.llm.policy.loading import load_policy
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.rollout.batch import Episode, collate
from rlenvs.agents.runs.device import resolve_device
from rlenvs.errors import DeviceError, ModelLoadError

CPU = torch.device("cpu")


def episodes() -> list[Episode]:
    """Two turns with feedback between, one short answer, one longer prompt."""
    first = Episode(ids=[5, 6, 7], action=[False] * 3)
    first.add_message([8, 1], [0.0, 0.0])
    first.add_feedback([9, 10])
    first.add_message([11, 12, 1], [0.0] * 3)
    second = Episode(ids=[4], action=[False])
    second.add_message([1], [0.0])
    third = Episode(ids=[4, 5, 6, 7, 8], action=[False] * 5)
    third.add_message([9, 9], [0.0, 0.0])
    return [first, second, third]


def by_hand(policy: Policy, episode: Episode, temperature: float) -> tuple[list[float], list[float], float]:
    """Log-probabilities and values of one unpadded episode from the model's own plain forward pass."""
    with torch.no_grad():
        output = policy.model(torch.tensor([episode.ids]), output_hidden_states=True)
        log_probs = torch.log_softmax(output.logits[0].float() / temperature, dim=-1)
        values = policy.value_head(output.hidden_states[-1][0].float())[:, 0]
    spots = [t for t, acted in enumerate(episode.action) if acted]
    return (
        [log_probs[t - 1, episode.ids[t]].item() for t in spots],
        [values[t - 1].item() for t in spots],
        values[-1].item(),
    )


def other_architectures() -> list:
    tokenizer = character_tokenizer("0123456789+-=")
    sizes = {"vocab_size": len(tokenizer), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    with torch.random.fork_rng(), warnings.catch_warnings():
        torch.manual_seed(0)
        gpt2 = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=1, n_head=2, n_positions=64, **sizes))
        cohere = CohereForCausalLM(
            CohereConfig(
                hidden_size=32,
                intermediate_size=32,
                num_hidden_layers=1,
                num_attention_heads=2,
                logit_scale=0.3,
                **sizes,
            )
        )
    return [Policy(gpt2, tokenizer), Policy(cohere, tokenizer)]


@pytest.mark.parametrize("kind", ["llama", "gpt2", "cohere"])
@pytest.mark.parametrize("chunk", [1, 3, 1_000])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_of_padded_ragged_episodes_equal_a_plain_forward_pass(kind, chunk, temperature):
    policy = tiny_policy() if kind == "llama" else other_architectures()[kind == "cohere"]
    batch = collate(episodes(), policy.pad_id, CPU)
    with torch.no_grad():
        policy.options = ForwardOptions(logprob_chunk=chunk)
        found = policy.evaluate(batch.ids_BL, batch.attention_BL, batch.action_BL, temperature)
        logprobs, values, last = found.logprobs_M, found.values_M, found.last_values_B
    expected = [by_hand(policy, episode, temperature) for episode in episodes()]
    torch.testing.assert_close(logprobs, torch.tensor([x for e in expected for x in e[0]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(values, torch.tensor([x for e in expected for x in e[1]]), atol=1e-4, rtol=0)
    torch.testing.assert_close(last, torch.tensor([e[2] for e in expected]), atol=1e-4, rtol=0)


def test_an_architecture_that_scales_its_logits_is_read_from_its_configuration():
    llama, (gpt2, cohere) = tiny_policy(), other_architectures()
    assert [p.head_is_linear for p in (llama, gpt2, cohere)] == [True, True, True]
    assert [p._form[0] for p in (llama, gpt2, cohere)] == [1.0, 1.0, 0.3]


def test_chunking_changes_neither_values_nor_gradients():
    generator = torch.Generator().manual_seed(0)
    weight, hidden = torch.randn(11, 8, generator=generator), torch.randn(10, 8, generator=generator)
    targets = torch.randint(0, 11, (10,), generator=generator)

    def run(chunk):
        h, w = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
        logprobs, entropies = chosen_logprobs(h, targets, lambda x: x @ w.T, 0.8, chunk)
        (logprobs.sum() + 0.3 * entropies.sum()).backward()
        return logprobs.detach(), entropies.detach(), h.grad, w.grad

    reference = torch.distributions.Categorical(logits=hidden @ weight.T / 0.8)
    for chunk in (1, 4, 10, 99):
        found = run(chunk)
        torch.testing.assert_close(found[0], reference.log_prob(targets))
        torch.testing.assert_close(found[1], reference.entropy())
        for mine, whole in zip(found, run(10**6), strict=True):
            torch.testing.assert_close(mine, whole, atol=1e-5, rtol=1e-5)


def test_a_saved_policy_is_an_ordinary_folder_and_comes_back_whole(tmp_path, policy):
    policy.save(tmp_path)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = torch.tensor([tokenizer("12+34=")["input_ids"]])
    torch.testing.assert_close(model(ids).logits, policy.model(ids).logits)
    again = load_policy(tmp_path, CPU)
    torch.testing.assert_close(again.value_head.weight, policy.value_head.weight)


def test_only_the_closing_token_disappears_from_a_message(policy):
    four, two = policy.tokenizer("42")["input_ids"]
    assert policy.message_text([four, two, policy.eos_id]) == "42"
    assert policy.message_text([four, policy.pad_id, two]) == "4<pad>2"
    assert policy.message_text([policy.eos_id]) == ""
    assert policy.message_text([]) == ""


def test_a_model_without_an_end_token_is_refused(policy):
    policy.tokenizer.eos_token = None
    with pytest.raises(ModelLoadError, match="no eos_token"):
        Policy(policy.model, policy.tokenizer)


@pytest.mark.parametrize("content", [None, "not json", "{}"])
def test_an_unreadable_folder_is_one_clear_line(tmp_path, content):
    folder = tmp_path / "model"
    folder.mkdir()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(ModelLoadError, match=r"cannot load folder|is no model folder") as caught:
        load_policy(folder, CPU)
    assert "\n" not in str(caught.value)


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
    with pytest.raises(DeviceError, match="no CUDA device; use device=auto"):
        resolve_device("cuda")


@pytest.mark.parametrize("name", ["model.safetensors", "value_head.safetensors", "tokenizer.json"])
def test_a_torn_file_of_a_folder_is_one_clear_line(tmp_path, policy, name):
    policy.save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:20])
    with pytest.raises(ModelLoadError, match=r"cannot load folder|is no model folder") as caught:
        load_policy(tmp_path, CPU)
    assert "\n" not in str(caught.value)


def test_every_closing_token_of_a_chat_model_ends_a_message(policy):
    five = policy.tokenizer("5")["input_ids"][0]
    policy.model.generation_config.eos_token_id = [policy.eos_id, five]
    again = Policy(policy.model, policy.tokenizer)
    assert again.eos_ids == (policy.eos_id, five)
    done = GenerateEngine(again, 300).generate([[4, 6]] * 300, SamplingParams(5), torch.Generator().manual_seed(0))
    closed = {completion.ids[-1] for completion in done if completion.finish == "stop"}
    assert closed == {policy.eos_id, five}
    assert not any(five in completion.ids[:-1] for completion in done)
    assert again.message_text([6, five]) == policy.tokenizer.decode([6])


def test_a_soft_cap_that_small_logits_hide_is_read_from_the_configuration():
    tokenizer = character_tokenizer("0123456789+-=")
    config = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=30.0, pad_token_id=0, eos_token_id=1, bos_token_id=1,
    )  # fmt: skip
    assert Policy(Gemma2ForCausalLM(config), tokenizer)._form == (1.0, 30.0)
