"""Micro-batches: every row once, none beyond the limits, as few as the limits allow."""

from itertools import pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from rlenvs.agents.llm.config import MemoryConfig
from rlenvs.agents.llm.memory.micro_batches import MicroBatches


@given(
    lengths=st.lists(st.integers(1, 40), max_size=30),
    sequences=st.integers(1, 8),
    tokens=st.integers(1, 120),
    packed=st.booleans(),
)
def test_every_row_comes_once_and_no_micro_batch_is_too_large(lengths, sequences, tokens, packed):
    micro_batches = MicroBatches(MemoryConfig(micro_batch_size=sequences, micro_batch_tokens=tokens), packed=packed)
    lengths_B = torch.tensor(lengths, dtype=torch.long)
    parts = [part.tolist() for part in micro_batches.split(torch.arange(len(lengths)), lengths_B)]
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))

    def size(part):
        own = [lengths[row] for row in part]
        return sum(own) if packed else len(own) * max(own)

    for part in parts:
        assert len(part) <= sequences
        assert len(part) == 1 or size(part) <= tokens
    for part, following in pairwise(parts):
        grown = [*part, following[0]]
        assert len(grown) > sequences or size(grown) > tokens, "the next row had room here"


def test_without_padding_more_sequences_fit():
    index, lengths = torch.arange(4), torch.tensor([10, 2, 2, 10])
    config = MemoryConfig(micro_batch_tokens=24)
    assert [part.tolist() for part in MicroBatches(config).split(index, lengths)] == [[1, 2], [0, 3]]
    assert [part.tolist() for part in MicroBatches(config, packed=True).split(index, lengths)] == [[1, 2, 0, 3]]
