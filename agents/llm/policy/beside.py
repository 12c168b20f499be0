"""Attention within packed sequences on a CPU: quadratic in the length of each sequence, not of the pack.

Queries, keys and values are laid beside each other with padding after each sequence, where a causal model cannot
see it. Padding then costs attention, which is little, and no other layer anything.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

NAME = "rlenvs_beside"
SHORT = 512  # tokens up to which the derivative of attention is faster in float32 than in bfloat16, up to three times


def fits(model: Any, device: torch.device) -> bool:
    """Whether this can stand in for the attention of the model."""
    return device.type == "cpu" and model.config.get_text_config()._attn_implementation == "sdpa"


def register() -> None:
    """Make it known to transformers."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _no_mask)


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
    """Causal attention within each sequence of a pack, in the form that transformers calls; see `varlen.attend`."""
    lengths_N = cu_seq_lens_q.diff().long()
    count, longest = len(lengths_N), max_length_q
    starts_N = torch.arange(count) * longest - cu_seq_lens_q[:-1]
    place_T = torch.arange(query.shape[2]) + starts_N.repeat_interleave(lengths_N)
    queries, keys, values = (_laid(part, place_T, count, longest) for part in (query, key, value))
    mask = None
    if sliding_window is not None and sliding_window < longest:
        distance = torch.arange(longest)[:, None] - torch.arange(longest)
        mask = (distance >= 0) & (distance < sliding_window)
    single = longest <= SHORT and torch.is_autocast_enabled("cpu")
    if single:
        queries, keys, values = queries.float(), keys.float(), values.float()
    with torch.autocast("cpu", enabled=torch.is_autocast_enabled("cpu") and not single):
        found = F.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None,
            scale=scaling,
            enable_gqa=query.shape[1] != key.shape[1],
        )
    gathered: Tensor = _Gather.apply(found.transpose(1, 2).flatten(0, 1), place_T)  # type: ignore[no-untyped-call]
    return gathered[None], None


def _laid(heads: Tensor, place_T: Tensor, count: int, longest: int) -> Tensor:
    """Return `[N, H, longest, D]` from `[1, H, T, D]`."""
    spread: Tensor = _Spread.apply(heads[0].transpose(0, 1), place_T, count * longest)  # type: ignore[no-untyped-call]
    laid: Tensor = spread.unflatten(0, (count, longest)).transpose(1, 2)
    return laid


class _Spread(torch.autograd.Function):
    """Put rows at places that differ, zeros elsewhere. Autograd would add where nothing meets, row by row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(size, *rows.shape[1:]).index_copy_(0, places, rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return gradient.index_select(0, ctx.saved_tensors[0]), None, None


class _Gather(torch.autograd.Function):
    """Take rows from places that differ: the reverse of `_Spread`."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.size = rows.shape[0]
        return rows.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        spread = gradient.new_zeros(ctx.size, *gradient.shape[1:])
        return spread.index_copy_(0, ctx.saved_tensors[0], gradient), None


def _no_mask(*_: Any, **__: Any) -> None:
    return None
