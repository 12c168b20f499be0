"""How many sequences go through the model at once."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from rlenvs.agents.llm.config import MemoryConfig
from rlenvs.errors import DeviceError

logger = logging.getLogger(__name__)
T = TypeVar("T")


class MicroBatches:
    """Splits rows into micro-batches, and into smaller ones where memory runs out.

    Args:
        config: limits in sequences and in tokens.
        can_shrink: False where other processes count on this one to make as many passes as it said.
        packed: whether the sequences of a micro-batch lie one behind the other, without padding.
    """

    def __init__(self, config: MemoryConfig, can_shrink: bool = True, packed: bool = False) -> None:
        self.can_shrink = can_shrink
        self.packed = packed
        self.sequences = config.micro_batch_size
        self.tokens = config.micro_batch_tokens

    def split(self, index: Tensor, lengths_B: Tensor) -> Iterator[Tensor]:
        """Yield micro-batches of rows.

        With a limit in tokens, rows of like length go together: less padding, and as many of them as fit. A single
        row that is longer than the limit goes alone.

        Args:
            index: rows, on the CPU.
            lengths_B: `[B]` tokens of every row of the batch, on the CPU.
        """
        if self.tokens is None:
            yield from index.split(self.sequences) if len(index) else ()  # no rows are no micro-batch, not an empty one
            return
        order = index[torch.sort(lengths_B[index], stable=True).indices]
        start = together = 0
        for end, length in enumerate(lengths_B[order].tolist()):
            rows, together = end - start + 1, together + length
            tokens = together if self.packed else rows * length
            if rows > 1 and (rows > self.sequences or tokens > self.tokens):
                yield order[start:end]
                start, together = end, length
        if len(order):
            yield order[start:]

    def halve(self) -> bool:
        """Halve both limits; False where they cannot become smaller."""
        if self.sequences == 1:
            return False
        self.sequences //= 2
        if self.tokens is not None:
            self.tokens = max(1, self.tokens // 2)
        return True

    def survive(self, work: Callable[[], T], begin_again: Callable[[], None] = lambda: None) -> T:
        """Do work that splits rows by this object; where memory runs out, halve the micro-batches and begin again.

        Args:
            work: has no effect that outlives a failure, or one that `begin_again` takes back.
            begin_again: called between a failure and the next attempt.

        Raises:
            torch.OutOfMemoryError: a single sequence is too much.
            DeviceError: there is too little memory, and micro-batches cannot shrink.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:
                if not self.can_shrink:
                    raise DeviceError(
                        f"out of memory with micro-batches of {self.sequences} sequences: lower "
                        "memory.micro_batch_size or memory.micro_batch_tokens (with distributed.strategy: fsdp2 all "
                        "processes make their passes together, and one cannot make smaller ones)"
                    ) from error
                if not self.halve():
                    raise
            # Outside of the handler: the traceback of the error holds the tensors that were in the way.
            begin_again()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            logger.warning("out of memory: going on with micro-batches of %d sequences", self.sequences)
