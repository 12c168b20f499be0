"""Weights as a checkpoint names them, whatever adapters lie over them."""

import copy

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tiny_models import tiny_model_policy

from rlenvs.agents.llm.engines.weights import checkpoint_weights

IDS = torch.tensor([[4, 5, 6, 7, 8]])
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")


def loaded(model, weights):
    """Load weights the way a server does: by name, into a model without adapters."""
    fresh = copy.deepcopy(model)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.zero_()
    missing, unexpected = fresh.load_state_dict(dict(weights), strict=False)
    tied = {"lm_head.weight"} if model.config.tie_word_embeddings else set()
    assert set(missing) <= tied
    assert not unexpected
    return fresh


def logits(model):
    with torch.no_grad():
        return model(IDS).logits


@pytest.mark.parametrize("kind", ["llama", "qwen2", "gpt2"])
def test_plain_models(kind):
    model = tiny_model_policy(kind).model
    assert torch.equal(logits(loaded(model, checkpoint_weights(model))), logits(model))


@pytest.mark.parametrize("use_dora", [False, True])
@pytest.mark.parametrize("saved", [None, ["embed_tokens"]])
def test_adapters_are_merged_and_the_model_is_not_touched(use_dora, saved):
    base = tiny_model_policy("llama", scale=2.0).model
    plain = copy.deepcopy(base)
    config = LoraConfig(
        r=4,
        target_modules=["q_proj", "v_proj", "down_proj"],
        use_dora=use_dora,
        init_lora_weights=False,
        modules_to_save=saved,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = get_peft_model(base, config)
        with torch.no_grad():
            if saved:
                model.get_input_embeddings().weight.add_(0.1)
            for name, parameter in model.named_parameters():
                if "magnitude" in name:  # of DoRA: starts where it changes nothing
                    parameter.mul_(1.3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    merged = loaded(plain, checkpoint_weights(model))
    assert torch.allclose(logits(merged), logits(model), atol=1e-4)
    assert not torch.allclose(logits(merged), logits(plain), atol=1e-2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    with model.disable_adapter():
        assert torch.allclose(logits(loaded(plain, checkpoint_weights(model))), logits(plain), atol=1e-5)
