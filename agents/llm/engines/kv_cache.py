"""Keys and values of every token that was computed, in memory that is allocated once and used again."""

from collections.abc import Sequence

import torch


class KVCache:
    """One key and one value tensor `[S, H, T, D]` per layer: S slots, H key-value heads, T positions, D head width.

    The tensors are contiguous views of flat memory that outlives them: `layout` changes S and T as rows come, grow
    and go. A slice of a longer tensor would need no copy, but batched products read it at half the speed on a CPU.
    There is one tensor per layer because a compiled step that writes into views of one big tensor copies all of it.

    Args:
        layers: number of layers.
        kv_heads: H.
        head_dim: D.
        dtype: of keys and values.
        device: where they are.
    """

    def __init__(self, layers: int, kv_heads: int, head_dim: int, dtype: torch.dtype, device: torch.device) -> None:
        self.kv_heads = kv_heads
        self.head_dim = head_dim
        self.dtype = dtype
        self.device = device
        self._memory = [torch.empty(0, dtype=dtype, device=device) for _ in range(2 * layers)]
        self._view(0, 0)

    def _view(self, slots: int, positions: int) -> None:
        shape = (slots, self.kv_heads, positions, self.head_dim)
        size = slots * self.kv_heads * positions * self.head_dim
        tensors = [memory[:size].view(shape) for memory in self._memory]
        self.slots, self.positions = slots, positions
        self.keys, self.values = tensors[::2], tensors[1::2]

    def reserve(self, slots: int, positions: int) -> bool:
        """Make sure that a layout of this size needs no allocation; tell whether memory moved. Contents are kept."""
        size = slots * self.kv_heads * positions * self.head_dim
        if size <= self._memory[0].numel():
            return False
        for place, memory in enumerate(self._memory):
            # Zeros, not garbage: attention multiplies what it must not see by 0, and 0 times NaN is NaN.
            self._memory[place] = torch.zeros(size, dtype=self.dtype, device=self.device)
            self._memory[place][: memory.numel()] = memory
        self._view(self.slots, self.positions)
        return True

    def layout(self, slots: int, positions: int) -> None:
        """Change the number of slots and positions, keeping what fits into both."""
        if (slots, positions) == (self.slots, self.positions):
            return
        kept_slots, kept = min(slots, self.slots), min(positions, self.positions)
        old = [tensor[:kept_slots, :, :kept] for pair in zip(self.keys, self.values, strict=True) for tensor in pair]
        self._view(slots, positions)
        new = [tensor[:kept_slots, :, :kept] for pair in zip(self.keys, self.values, strict=True) for tensor in pair]
        if kept_slots and kept:
            for source, target in zip(old, new, strict=True):
                target.copy_(source.clone())  # both lie in the same memory

    def swap(self, first: Sequence[int], second: Sequence[int], positions: int) -> None:
        """Exchange the first positions of slots, pairwise; no slot may appear twice."""
        self._gather([*second, *first], [*first, *second], positions)

    def copy(self, source: Sequence[int], target: Sequence[int], positions: int) -> None:
        """Copy the first positions of slots to other slots."""
        self._gather(source, target, positions)

    def _gather(self, source: Sequence[int], target: Sequence[int], positions: int) -> None:
        if not source:
            return
        here, there = (torch.tensor(list(slots), device=self.device) for slots in (target, source))
        for tensor in (*self.keys, *self.values):
            tensor[here, :, :positions] = tensor[there, :, :positions]

    def free(self) -> None:
        """Give the memory back."""
        self._memory = [memory.new_empty(0) for memory in self._memory]
        self._view(0, 0)
