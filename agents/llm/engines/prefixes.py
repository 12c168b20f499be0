"""Finds the slot whose tokens a prompt continues, so that a later turn reads only what is new."""

from collections.abc import Mapping, Sequence

import numpy as np

_BASE = 0x9E3779B97F4A7C15  # odd, so that its powers never become 0 modulo 2^64


def match_prefixes(prompts: Sequence[Sequence[int]], held: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Pair prompts with slots that hold a proper prefix of them, the longest first; each slot once.

    Args:
        prompts: lists of token ids.
        held: what each slot holds.

    Returns:
        slot of each prompt that has one.

    Example:
        >>> match_prefixes([[1, 2, 3], [7, 8]], {0: [7], 1: [1, 2], 2: [1]})
        {0: 1, 1: 0}
    """
    slots: dict[tuple[int, int], list[int]] = {}
    for slot, ids in held.items():
        if ids:
            slots.setdefault((len(ids), int(_hashes(ids)[-1])), []).append(slot)
    lengths = sorted({length for length, _ in slots}, reverse=True)
    matches: dict[int, int] = {}
    if not slots:
        return matches
    for row, prompt in enumerate(prompts):
        hashes = _hashes(prompt)
        for length in lengths:
            if length >= len(prompt):
                continue
            candidates = slots.get((length, int(hashes[length - 1])), [])
            if candidates and list(held[candidates[-1]]) == list(prompt[:length]):
                matches[row] = candidates.pop()
                break
    return matches


def _hashes(ids: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return a hash of every prefix of `ids`: a polynomial modulo 2^64."""
    powers = np.multiply.accumulate(np.full(len(ids), _BASE, dtype=np.uint64))
    return np.add.accumulate((np.asarray(ids, dtype=np.uint64) + np.uint64(1)) * powers)
