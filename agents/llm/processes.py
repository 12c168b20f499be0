"""The processes that train together; here, one."""

from torch import Tensor, nn


class Processes:
    """One process that trains alone: sums are its own.

    Attributes:
        rank: its number.
        count: how many there are.
    """

    rank = 0
    count = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, without changing it."""
        return tensor

    def reduce_gradients(self, module: nn.Module) -> None:
        """Sum the gradients of all processes, in place: losses are divided by counts over all of them."""


ALONE = Processes()
