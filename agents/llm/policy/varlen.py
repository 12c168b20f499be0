"""Attention within packed sequences by PyTorch's kernel for sequences of various lengths (CUDA, half precision).

The kernels that transformers takes by default see packed sequences as one and mask what lies between them: right, and
quadratic in the length of the whole pack. This one is quadratic in the length of each sequence.
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

NAME = "rlenvs_varlen"
MAX_HEAD_DIM = 256  # of the flash kernels
_ARGUMENTS = {"query", "key", "value", "cu_seq_q", "cu_seq_k", "max_q", "max_k", "window_size", "scale"}


def kernel() -> Any:
    """Return PyTorch's kernel; None where this version has none with the arguments that are needed."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    return varlen_attn if set(inspect.signature(varlen_attn).parameters) >= _ARGUMENTS else None


def fits(model: Any, device: torch.device, dtype: torch.dtype) -> bool:
    """Whether the kernel can stand in for the attention of the model."""
    config = model.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return (
        device.type == "cuda"
        and dtype in (torch.bfloat16, torch.float16)
        and config._attn_implementation == "sdpa"
        and width <= MAX_HEAD_DIM
        and kernel() is not None
    )


def register() -> None:
    """Make the kernel known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _no_mask)


@contextmanager
def attention(config: Any, name: str) -> Iterator[None]:
    """Attend by another implementation for a while."""
    before = config._attn_implementation
    config._attn_implementation = name
    try:
        yield
    finally:
        config._attn_implementation = before


def attend(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    sliding_window: int | None = None,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each sequence of a pack, in the form that transformers calls.

    Args:
        module: the attention layer.
        query: `[1, H, T, D]`.
        key: `[1, Hkv, T, D]`.
        value: `[1, Hkv, T, D]`.
        attention_mask: none; the boundaries say all.
        scaling: factor of the scores.
        sliding_window: tokens that a token sees, its own included; None for all before it.
        cu_seq_lens_q: `[N + 1]` int32 boundaries of the sequences.
        max_length_q: tokens of the longest.

    Returns:
        `[1, T, H, D]`, and no weights.
    """
    run = kernel()
    device = query.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else query.dtype
    groups = query.shape[1] // key.shape[1]
    arguments: dict[str, Any] = {}
    if groups > 1 and "enable_gqa" in inspect.signature(run).parameters:
        arguments["enable_gqa"] = True
    elif groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    query_THD, key_THD, value_THD = (part[0].transpose(0, 1).to(dtype).contiguous() for part in (query, key, value))
    found = run(
        query_THD,
        key_THD,
        value_THD,
        cu_seq_lens_q,
        cu_seq_lens_q,
        max_length_q,
        max_length_q,
        scale=scaling,
        window_size=(-1 if sliding_window is None else sliding_window - 1, 0),
        **arguments,
    )
    return found[None].to(query.dtype), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None
