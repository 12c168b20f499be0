"""Random models of several architectures, all with the alphabet of the tiny policy."""

from typing import Any

import torch
from tiny import tiny_policy
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteConfig,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from rlenvs.agents.llm.policy.model import Policy

SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, SHAPE | {"num_key_value_heads": 4}),
    "llama3-rope": (
        LlamaConfig,
        LlamaForCausalLM,
        SHAPE
        | {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 1000.0,
                "factor": 4.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 32,
            }
        },
    ),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, SHAPE | {"tie_word_embeddings": True}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, SHAPE | {"head_dim": 16}),
    "mistral-window": (MistralConfig, MistralForCausalLM, SHAPE | {"sliding_window": 6}),
    "gpt2": (GPT2Config, GPT2LMHeadModel, {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256}),
}
# Their logits are more than the output embedding of the last hidden state.
BENT_MODELS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "gemma2": (
        Gemma2Config,
        Gemma2ForCausalLM,
        SHAPE
        | {
            "head_dim": 8,
            "sliding_window": 6,
            "final_logit_softcapping": 3.0,
            "attn_implementation": "eager",
            "use_bidirectional_attention": None,
        },
    ),
    "cohere": (CohereConfig, CohereForCausalLM, SHAPE | {"logit_scale": 0.3}),
    "granite": (GraniteConfig, GraniteForCausalLM, SHAPE | {"logits_scaling": 4.0, "attention_multiplier": 0.3}),
}


def tiny_model_policy(kind: str, seed: int = 0, scale: float = 4.0) -> Policy:
    """A policy of `tiny_model`."""
    return Policy(*tiny_model(kind, seed, scale))


def tiny_model(kind: str, seed: int = 0, scale: float = 4.0) -> tuple[Any, Any]:
    """A random model of an architecture, its weights enlarged so that distributions are far from uniform."""
    tokenizer = tiny_policy().tokenizer
    config_class, model_class, shape = (MODELS | BENT_MODELS)[kind]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = config_class(
            vocab_size=len(tokenizer),
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **shape,
        )
        model = model_class(config)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() > 1:
                    parameter.mul_(scale)
                elif "norm" not in name and "ln_" not in name:
                    parameter.normal_(std=0.3)  # biases start at zero and would hide a forgotten one
                else:
                    parameter.add_(torch.randn_like(parameter) * 0.1)
    return model, tokenizer
