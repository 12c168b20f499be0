"""Models of real shapes with random weights."""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rlenvs.agents.llm.embedded import character_tokenizer

Shape = dict[str, Any]

QWEN_05B: Shape = {
    "model_type": "qwen2",
    "vocab_size": 151_936,
    "hidden_size": 896,
    "intermediate_size": 4_864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "tie_word_embeddings": True,
}
SHAPES: dict[str, Shape] = {
    "0.5b": QWEN_05B,
    "1.5b": QWEN_05B
    | {
        "hidden_size": 1_536,
        "intermediate_size": 8_960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
    },
    "llama-1b": {
        "model_type": "llama",
        "vocab_size": 128_256,
        "hidden_size": 2_048,
        "intermediate_size": 8_192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
    },
}
"""Shapes of Qwen2.5-0.5B, Qwen2.5-1.5B and Llama-3.2-1B."""
TINY = {
    name: shape
    | {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    }
    for name, shape in SHAPES.items()
}


def model_config(shape: Shape) -> Any:
    """Return the configuration of a shape."""
    settings = {key: value for key, value in shape.items() if key != "model_type"}
    tokens = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
    return AutoConfig.for_model(shape["model_type"], max_position_embeddings=4_096, **settings, **tokens)


def random_model(shape: Shape, device: torch.device, dtype: torch.dtype) -> Any:
    """Return a model with random weights, made where they are to be."""
    torch.manual_seed(0)
    with device:
        return AutoModelForCausalLM.from_config(model_config(shape), dtype=dtype).eval()


def byte_tokenizer() -> Any:
    """Return a tokenizer of 256 characters, one for each byte; the vocabulary of the model beyond it is never read."""
    return character_tokenizer("".join(map(chr, range(256))))
