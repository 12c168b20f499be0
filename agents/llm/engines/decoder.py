"""A forward pass of Llama-shaped models over a preallocated cache, written out by hand.

Rows lie left-aligned in the cache: token t of a row is at position t. Padding therefore only ever follows a row's own
tokens, where a causal model cannot see it, and rows of any length, at any step, share one batch.

The model's own modules are called, not their weights: adapters work, and the weights are always the live ones.

Shape suffixes: `B` rows, `L` new tokens of the longest row, `T` positions of the cache, `H` key-value heads, `G` query
heads per key-value head, `D` hidden width, `V` vocabulary.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rlenvs.agents.llm.engines.architecture import Architecture
from rlenvs.agents.llm.engines.kv_cache import KVCache
from rlenvs.errors import UnsupportedModelError

FLOAT32_TOLERANCE = 1e-3  # of log-probabilities: far above rounding, far below a part that is missing
LOW_PRECISION_TOLERANCE = 0.3


class Decoder:
    """Computes the logits of new tokens and keeps their keys and values.

    Args:
        parts: the model.
        cache: where keys and values are kept.
        compiled: compile a layer's step with `torch.compile`, once for all layers and each size of the batch.
        dtype: of what passes between the layers; None for that of the cache.
    """

    def __init__(
        self, parts: Architecture, cache: KVCache, compiled: bool = False, dtype: torch.dtype | None = None
    ) -> None:
        self.parts = parts
        self.cache = cache
        self.layer_step = torch.compile(_layer_step, dynamic=False, fullgraph=True) if compiled else _layer_step
        self.cos = self.sin = torch.empty(0, 0, dtype=dtype or cache.dtype, device=cache.device)

    def cover(self, positions: int) -> bool:
        """Make the table of rotations long enough; tell whether it moved."""
        if positions <= self.cos.shape[0]:
            return False
        self.cos, self.sin = self.parts.rotations(positions, self.cos)
        return True

    def step(self, token_B: Tensor, position_B: Tensor) -> tuple[Tensor, Tensor]:
        """Decode one token of each of the first B slots.

        Args:
            token_B: `[B]` the newest tokens.
            position_B: `[B]` where they stand, below T.

        Returns:
            Logits `[B, V]` of the tokens after them, and the features `[B, D]` that they were made of.
        """
        rows, device, parts = token_B.shape[0], token_B.device, self.parts
        cos, sin = self.cos[position_B][:, None], self.sin[position_B][:, None]
        slots = torch.arange(rows, device=device)
        column_T = torch.arange(self.cache.positions, device=device)
        seen_BT = _seen(column_T, position_B[:, None], parts.window)
        bias_BHGT = _bias(seen_BT, self.cache.dtype)[:, None, None].expand(-1, parts.kv_heads, parts.groups, -1)
        hidden_BD = parts.embed(token_B)
        for layer, keys, values in zip(parts.layers, self.cache.keys, self.cache.values, strict=True):
            hidden_BD = self.layer_step(
                parts, layer, hidden_BD, (cos, sin), (keys, values), (slots, position_B), bias_BHGT
            )
        features_BD = _norm(parts.norm, hidden_BD)
        return parts.head(features_BD), features_BD

    def extend(
        self, ids: Sequence[Sequence[int]], slots: Sequence[int], starts: Sequence[int]
    ) -> tuple[Tensor, Tensor]:
        """Read new tokens into several slots at once.

        Args:
            ids: B lists of new tokens, none empty, of any lengths.
            slots: the B slots.
            starts: tokens that each slot already holds.

        Returns:
            Logits `[B, V]` after the last token of each, and the features `[B, D]` that they were made of.
        """
        device, parts = self.cache.device, self.parts
        lengths = [len(row) for row in ids]
        rows, longest = len(ids), max(lengths)
        padded = [[*row, *([row[-1]] * (longest - len(row)))] for row in ids]
        ids_BL, slot_B = torch.tensor(padded, device=device), torch.tensor(list(slots), device=device)
        position_BL = torch.tensor(list(starts), device=device)[:, None] + torch.arange(longest, device=device)
        # What follows a row's own tokens is written where its next token will be, or beyond the row.
        write_BL = position_BL.clamp(max=self.cache.positions - 1)
        cos, sin = self.cos[write_BL][:, :, None], self.sin[write_BL][:, :, None]
        looked_at = min(longest + max(starts), self.cache.positions)
        fresh = max(starts) == 0 and parts.window is None
        column_T = torch.arange(looked_at, device=device)
        mask = None if fresh else _seen(column_T, position_BL[:, :, None], parts.window)[:, None]
        hidden_BLD = parts.embed(ids_BL)
        for layer, keys, values in zip(parts.layers, self.cache.keys, self.cache.values, strict=True):
            query, key, value = _project(parts, layer, hidden_BLD, cos, sin, self.cache.dtype)
            keys[slot_B[:, None], :, write_BL] = key
            values[slot_B[:, None], :, write_BL] = value
            attended = F.scaled_dot_product_attention(
                query.transpose(1, 2),
                key.transpose(1, 2) if fresh else keys[slot_B, :, :looked_at],
                value.transpose(1, 2) if fresh else values[slot_B, :, :looked_at],
                attn_mask=mask,
                is_causal=fresh,
                scale=parts.scaling,
                enable_gqa=parts.groups > 1,
            )
            hidden_BLD = _rest_of_layer(layer, hidden_BLD, attended.transpose(1, 2).reshape(rows, longest, -1))
        last_BD = hidden_BLD[torch.arange(rows, device=device), torch.tensor(lengths, device=device) - 1]
        features_BD = _norm(parts.norm, last_BD)
        return parts.head(features_BD), features_BD


def _layer_step(
    parts: Architecture,
    layer: Any,
    hidden_BD: Tensor,
    rotation: tuple[Tensor, Tensor],
    cached: tuple[Tensor, Tensor],
    where: tuple[Tensor, Tensor],
    bias_BHGT: Tensor,
) -> Tensor:
    """One layer for one token per row; its key and value are written to `where`, slot and position."""
    (keys, values), (slots, position_B), rows = cached, where, hidden_BD.shape[0]
    query, key, value = _project(parts, layer, hidden_BD, *rotation, keys.dtype)
    keys[slots, :, position_B] = key
    values[slots, :, position_B] = value
    # All query heads of a key-value head stand at the same position: as the "queries" of one attention they need no
    # repeated keys and values.
    query_BHGD = query.reshape(rows, parts.kv_heads, parts.groups, parts.head_dim)
    attended = _attend(query_BHGD, keys[:rows], values[:rows], bias_BHGT, parts.scaling)
    return _rest_of_layer(layer, hidden_BD, attended.reshape(rows, -1))


def _project(
    parts: Architecture, layer: Any, hidden: Tensor, cos: Tensor, sin: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Return rotated queries and keys, and values: `[..., heads, head_dim]` in the type of the cache."""
    attention = layer.self_attn
    normed = _norm(layer.input_layernorm, hidden)
    query = attention.q_proj(normed).unflatten(-1, (parts.heads, parts.head_dim))
    key = attention.k_proj(normed).unflatten(-1, (parts.kv_heads, parts.head_dim))
    value = attention.v_proj(normed).unflatten(-1, (parts.kv_heads, parts.head_dim))
    if hasattr(attention, "q_norm"):
        query, key = _norm(attention.q_norm, query), _norm(attention.k_norm, key)
    both = torch.cat([query, key], dim=-2).to(cos.dtype)
    first, second = both.chunk(2, dim=-1)
    rotated = torch.addcmul(both * cos, torch.cat([second, first], dim=-1), sin).to(dtype)
    return rotated[..., : parts.heads, :], rotated[..., parts.heads :, :], value.to(dtype)


def _seen(column_T: Tensor, position: Tensor, window: int | None) -> Tensor:
    """Tell which columns a token at a position attends to."""
    seen = column_T <= position
    return seen if window is None else seen & (column_T > position - window)


def _bias(seen: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)


def _attend(query_BHGD: Tensor, keys_BHTD: Tensor, values_BHTD: Tensor, bias_BHGT: Tensor, scaling: float) -> Tensor:
    """Attention of one position per row."""
    if query_BHGD.device.type == "cpu":
        # Two batched products are twice as fast as the fused kernel, which is made for many queries (in bfloat16 five
        # times); keys come first because a product with a few columns is faster than one with a few rows.
        query, keys, values, bias = (x.flatten(0, 1) for x in (query_BHGD, keys_BHTD, values_BHTD, bias_BHGT))
        scores = torch.bmm(keys, query.transpose(1, 2)).transpose(1, 2)
        shares = (scores.float() * scaling + bias).softmax(dim=-1).to(values.dtype)
        return torch.bmm(shares, values).view_as(query_BHGD)
    return F.scaled_dot_product_attention(query_BHGD, keys_BHTD, values_BHTD, attn_mask=bias_BHGT, scale=scaling)


def _norm(module: Any, hidden: Tensor) -> Tensor:
    if hidden.dtype == torch.float32 and module.weight.dtype == torch.float32:
        # In float32 the fused operation is the same formula. In lower precision the models round between its steps.
        return F.rms_norm(hidden, module.weight.shape, module.weight, module.variance_epsilon)
    normed: Tensor = module(hidden)
    return normed


def _rest_of_layer(layer: Any, hidden: Tensor, attended: Tensor) -> Tensor:
    hidden = hidden + layer.self_attn.o_proj(attended)
    after: Tensor = hidden + layer.mlp(_norm(layer.post_attention_layernorm, hidden))
    return after


@torch.no_grad()
def check(model: Any, parts: Architecture) -> tuple[torch.dtype, torch.device]:
    """Compare the decoder with the model's own forward pass on a few tokens.

    A new version of a known architecture may compute something else; that must be an error, not a worse policy.

    Args:
        model: the transformers model.
        parts: what was read from it.

    Returns:
        type of keys and values, and their device.

    Raises:
        UnsupportedModelError: the log-probabilities differ.
    """
    device = parts.norm.weight.device
    count = min(8, parts.vocabulary)
    ids = torch.arange(count, device=device)
    normed = _norm(parts.layers[0].input_layernorm, parts.embed(ids))
    dtype = parts.layers[0].self_attn.v_proj(normed).dtype
    cache = KVCache(len(parts.layers), parts.kv_heads, parts.head_dim, dtype, device)
    decoder = Decoder(parts, cache, dtype=normed.dtype)
    decoder.cover(count)
    decoder.cache.reserve(1, count)
    decoder.cache.layout(1, count)
    first, _ = decoder.extend([ids[:-1].tolist()], [0], [0])
    second, _ = decoder.step(ids[-1:], torch.tensor([count - 1], device=device))
    ours = torch.cat([first, second]).float().log_softmax(-1)
    theirs = model(input_ids=ids[None], use_cache=False).logits[0, -2:].float().log_softmax(-1)
    difference = float((ours - theirs).abs().max())
    if not difference <= (FLOAT32_TOLERANCE if dtype == torch.float32 else LOW_PRECISION_TOLERANCE):
        raise UnsupportedModelError(
            f"its log-probabilities are not those of its forward pass (off by {difference:.2g})"
        )
    return dtype, device
