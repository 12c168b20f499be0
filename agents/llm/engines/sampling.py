"""Reproducible sampling: every row has a stream of its own.

A call draws one 64-bit seed per prompt from the generator. The uniform number of a row's t-th token is a hash of
(seed, t), so that neither the order in which rows are batched, nor when others end, nor how many steps are taken at
once changes what a row samples. Two engines with the same logits sample the same tokens; logits that differ in the
last bits can pick another token, once in a very long while.

Shape suffixes: `N` prompts of a call, `B` rows of a step, `V` vocabulary.
"""

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014), as signed 64-bit numbers.
_GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX_1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX_2 = 0x94D049BB133111EB - (1 << 64)
_BLOCK = 256


def row_seeds(count: int, generator: torch.Generator) -> Tensor:
    """Draw one seed per row: `[N]` int64, on the generator's device."""
    return torch.randint(0, (1 << 63) - 1, (count,), generator=generator, device=generator.device)


def uniform_at(seeds: Tensor, counts: Tensor) -> Tensor:
    """Return number `counts` (from 0) of the streams of `seeds`: float64 in [0, 1), in their common shape.

    Example:
        >>> seeds = torch.tensor([7, 8])
        >>> uniform_at(seeds, torch.tensor([3, 0])).shape
        torch.Size([2])
    """
    state = seeds + (counts + 1) * _GOLDEN
    state = (state ^ _logical_shift(state, 30)) * _MIX_1
    state = (state ^ _logical_shift(state, 27)) * _MIX_2
    state = state ^ _logical_shift(state, 31)
    return _logical_shift(state, 11).double() * 2.0**-53


def pick(logits_BV: Tensor, temperature_B: Tensor, uniform_B: Tensor, greedy: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Choose one token per row.

    Args:
        logits_BV: `[B, V]` in any floating type; the mathematics is float32.
        temperature_B: `[B]`, 0 for rows that take the likeliest token.
        uniform_B: `[B]` float64 in [0, 1).
        greedy: whether any temperature is 0. Told by the caller, because looking would wait for the device.

    Returns:
        tokens `[B]` int64, their log-probabilities `[B]` float32 under the tempered distribution, 0 for greedy rows,
        and the entropies `[B]` of that distribution in nats, for greedy rows that of temperature 1. Log-probabilities
        that are not finite mean that the logits were not.
    """
    divisor_B = torch.where(temperature_B == 0, 1.0, temperature_B) if greedy else temperature_B
    log_probs_BV = torch.log_softmax(logits_BV.float() / divisor_B[:, None], dim=-1)
    probabilities_BV = log_probs_BV.exp()
    token_B = from_uniform(probabilities_BV, uniform_B)
    if greedy:
        token_B = torch.where(temperature_B == 0, logits_BV.argmax(dim=-1), token_B)
    logprob_B = log_probs_BV.gather(1, token_B[:, None])[:, 0]
    if greedy:  # times zero, not zero: what is not finite stays visible
        logprob_B = torch.where(temperature_B == 0, logprob_B * 0 + 0.0, logprob_B)
    return token_B, logprob_B, torch.special.entr(probabilities_BV).sum(dim=-1)


def from_uniform(probabilities_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Invert the cumulative distribution: `[B]` tokens, never one of probability 0.

    Sums are float64. Large vocabularies are searched in two levels, so that no float64 copy of `[B, V]` exists.

    Args:
        probabilities_BV: `[B, V]`, >= 0; rows need not sum to exactly 1.
        uniform_B: `[B]` float64 in [0, 1).
    """
    rows, vocabulary = probabilities_BV.shape
    if vocabulary <= 4 * _BLOCK:
        return _first_above(probabilities_BV.cumsum(dim=1, dtype=torch.float64), uniform_B)[0]
    padded = torch.nn.functional.pad(probabilities_BV, (0, -vocabulary % _BLOCK)).view(rows, -1, _BLOCK)
    block_B, share_B = _first_above(padded.sum(dim=2, dtype=torch.float64).cumsum(dim=1), uniform_B)
    chosen_BK = padded.gather(1, block_B[:, None, None].expand(-1, 1, _BLOCK))[:, 0]
    token_B, _ = _first_above(chosen_BK.cumsum(dim=1, dtype=torch.float64), share_B)
    return block_B * _BLOCK + token_B


def _first_above(cumulative_BK: Tensor, uniform_B: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first column whose cumulative sum exceeds `uniform * total`, and how far into it that lies, in [0, 1).

    The sum grows at that column, so its own share is positive.
    """
    total_B = cumulative_BK[:, -1]
    below_B = torch.nextafter(total_B, torch.zeros_like(total_B))  # uniform * total can round up to total
    target_B = torch.minimum(uniform_B * total_B, below_B)
    column_B = (cumulative_BK <= target_B[:, None]).sum(dim=1)
    column_B = column_B.clamp(max=cumulative_BK.shape[1] - 1)  # only reached where a sum is not a number
    upper_B = cumulative_BK.gather(1, column_B[:, None])[:, 0]
    before_B = cumulative_BK.gather(1, (column_B - 1).clamp(min=0)[:, None])[:, 0]
    lower_B = torch.where(column_B > 0, before_B, 0.0)
    return column_B, (target_B - lower_B) / (upper_B - lower_B)


def _logical_shift(numbers: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros; `>>` alone fills with the sign."""
    return (numbers >> bits) & ((1 << (64 - bits)) - 1)
