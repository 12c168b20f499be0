"""Which models the static engine can read, and where their parts are."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rlenvs.agents.llm.policy.adapters import base_of
from rlenvs.errors import UnsupportedModelError

KNOWN_TYPES = ("llama", "mistral", "qwen2", "qwen3")
# Rotations that depend on a position alone. The others change with the length of what was seen.
KNOWN_ROPES = ("default", "linear", "llama3", "yarn")


def adapter_state(model: Any) -> Hashable:
    """Tell which adapters of peft are in use."""
    if not hasattr(model, "peft_config"):
        return ()
    # Models of transformers have methods of these names.
    layers = (module for module in model.modules() if isinstance(getattr(module, "disable_adapters", None), bool))
    return tuple((layer.disable_adapters, tuple(layer.active_adapters)) for layer in layers)


@dataclass(frozen=True)
class Architecture:
    """The parts of a Llama-shaped model: live modules, never copies of their weights.

    Attributes:
        embed: `[...]` ids to `[..., D]`.
        layers: decoder layers.
        norm: last normalisation.
        head: hidden states to logits.
        heads: query heads.
        kv_heads: key-value heads.
        head_dim: width of a head.
        window: positions that a token sees, its own included; None without a sliding window.
        rotary: positions to cosines and sines.
        context: positions that the model was made for.
        scaling: factor of the attention scores.
        vocabulary: number of tokens that can be embedded.
    """

    embed: nn.Module
    layers: list[Any]
    norm: Any
    head: nn.Module
    heads: int
    kv_heads: int
    head_dim: int
    window: int | None
    rotary: Any
    context: int
    scaling: float
    vocabulary: int

    @property
    def groups(self) -> int:
        """Query heads that share a key-value head."""
        return self.heads // self.kv_heads

    def rotations(self, positions: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and signed sines `[positions, head_dim]`.

        The sines of the first half are negative, so that a rotation is `x * cos + swap_halves(x) * sin`.
        """
        cos, sin = self.rotary(like, torch.arange(positions, device=like.device)[None])
        half = self.head_dim // 2
        return cos[0].clone(), torch.cat([-sin[0, :, :half], sin[0, :, half:]], dim=-1)


def read(model: Any) -> Architecture:
    """Find the parts of a model.

    Raises:
        UnsupportedModelError: the model is not one that the decoder knows.
    """
    base = base_of(model)
    if any(getattr(config, "is_prompt_learning", False) for config in getattr(model, "peft_config", {}).values()):
        raise UnsupportedModelError("its adapter learns a prompt, which is not part of the layers")
    config = base.config
    if config.model_type not in KNOWN_TYPES:
        raise UnsupportedModelError(f"its type is {config.model_type!r}, known are {', '.join(KNOWN_TYPES)}")
    if config.hidden_act not in ("silu", "swish"):
        raise UnsupportedModelError(f"its activation is {config.hidden_act!r}")
    rope = config.rope_parameters["rope_type"]
    if rope not in KNOWN_ROPES:
        raise UnsupportedModelError(f"its rotary embedding is {rope!r}, which depends on the length of the text")
    if len(getattr(base, "hf_device_map", None) or {"": 0}) > 1:
        raise UnsupportedModelError("it is spread over several devices")
    trunk, attention = base.model, base.model.layers[0].self_attn
    return Architecture(
        embed=base.get_input_embeddings(),
        layers=list(trunk.layers),
        norm=trunk.norm,
        head=base.get_output_embeddings(),
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=attention.head_dim,
        window=_window(config),
        rotary=trunk.rotary_emb,
        context=config.max_position_embeddings,
        scaling=attention.scaling,
        vocabulary=base.get_input_embeddings().weight.shape[0],
    )


def _window(config: Any) -> int | None:
    """Return the one sliding window of all layers.

    Raises:
        UnsupportedModelError: some layers have one and some not.
    """
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ())
    if window is None or kinds == {"full_attention"}:
        return None
    if len(kinds) > 1:
        raise UnsupportedModelError("some of its layers have a sliding window and some have none")
    return int(window)
