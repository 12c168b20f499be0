"""What a process of a run can ask, and the answers where it is the only one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


class Processes:
    """One process that trains alone: sums are its own.

    Methods are called by all processes, in the same order, unless they say otherwise.

    Attributes:
        rank: its number.
        count: how many there are.
        lockstep: whether every forward pass needs all processes.
    """

    rank = 0
    count = 1
    lockstep = False

    @property
    def is_main(self) -> bool:
        """Whether this process writes what the run leaves behind."""
        return self.rank == 0

    def share(self, total: int, unit: int = 1) -> int:
        """Return this process's share of a number that is dealt in whole units; the first processes get what is over.

        Example:
            >>> Processes().share(24, unit=4)
            24
        """
        units = total // unit
        return (units // self.count + (self.rank < units % self.count)) * unit

    def first(self, total: int, unit: int = 1) -> int:
        """Return how much the processes before this one have in `share`."""
        units = total // unit
        return (self.rank * (units // self.count) + min(self.rank, units % self.count)) * unit

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, without changing it."""
        return tensor

    def gather(self, value: T) -> list[T]:
        """Return the value of every process, by rank: plain data and tensors, which keep no device but the CPU."""
        return [value]

    def gather_rows(self, tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Stack the rows of all processes.

        Args:
            tensors: `[B, A]` each; None where no process has one.

        Returns:
            `[B of all, longest A]`, 0 (False) on what is filled up.
        """
        return list(tensors)

    def main_value(self, value: T) -> T:
        """Return the value of the main process."""
        return value

    def any(self, flag: bool) -> bool:
        """Say whether any process says so."""
        return flag

    def together(self, work: Callable[[], T]) -> T:
        """Do what every process does by itself; where it fails in one, it fails in all.

        Raises:
            PeerError: it failed in another process.
        """
        return work()

    def on_main(self, work: Callable[[], T]) -> T:
        """Let the main process do something, and return what it returned to all.

        Raises:
            PeerError: it failed; the main process raises why.
        """
        done = self.together(lambda: work() if self.is_main else None)
        return self.main_value(done)  # type: ignore[return-value]

    def most(self, passes: int) -> int:
        """Return how many forward passes to make: the most that any process needs, where passes are in lockstep."""
        return passes

    def prepare(self, *modules: nn.Module) -> None:
        """Give modules the weights that the main process has, and spread them where a process holds a share."""

    def reduce_gradients(self, module: nn.Module) -> None:
        """Sum the gradients of all processes, in place: losses are divided by counts over all of them."""

    def clip_gradients(self, module: nn.Module, max_norm: float) -> float:
        """Scale the summed gradients to a norm; returns the norm that they had."""
        return float(torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm))

    @contextmanager
    def whole_weights(self, module: nn.Module) -> Iterator[None]:
        """Hold all weights of a module in this process, to use it without the others."""
        yield

    def whole(self, state: Any) -> Any:
        """Return a state with whole tensors on the CPU where processes hold shares of them."""
        return state

    def shares(self, state: Any, like: Any) -> Any:
        """Return a state with this process's shares of the tensors: the reverse of `whole`.

        Args:
            state: with whole tensors.
            like: a state of the same form that says how each tensor is shared.
        """
        return state

    def optimizer_shares(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return an optimiser's state with this process's shares of the moments."""
        return state


ALONE = Processes()
