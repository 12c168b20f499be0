"""Processes that each hold the whole model: sums over `torch.distributed`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from rlenvs.agents.llm.processes.alone import Processes
from rlenvs.errors import PeerError, RlenvsError

T = TypeVar("T")
BUCKET_BYTES = 64 * 2**20  # large enough to fill a network, small beside the gradients


class LostPeerError(PeerError):
    """Another process does not answer; why, it may have written down before it went."""


class DataParallel(Processes):
    """The default process group. Every process has all weights and all moments, and steps by itself.

    Weights stay equal because every process adds the same sums to the same weights.
    """

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.count = dist.get_world_size()

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes, without changing it."""
        total = tensor.detach().clone()
        with _talking():
            dist.all_reduce(total)
        return total

    def gather(self, value: T) -> list[T]:
        """Return the value of every process, by rank."""
        values: list[Any] = [None] * self.count
        with _talking():
            dist.all_gather_object(values, value)
        return values

    def gather_rows(self, tensors: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Stack the rows of all processes."""
        everyones = self.gather([None if tensor is None else tensor.cpu() for tensor in tensors])
        return [
            None if own is None else stack_rows([theirs[place] for theirs in everyones]).to(own.device)  # type: ignore[misc]
            for place, own in enumerate(tensors)
        ]

    def main_value(self, value: T) -> T:
        """Return the value of the main process."""
        box: list[Any] = [value if self.is_main else None]
        with _talking():
            dist.broadcast_object_list(box, src=0)
        return box[0]  # type: ignore[no-any-return]

    def any(self, flag: bool) -> bool:
        """Say whether any process says so."""
        return bool(self.sum(torch.tensor(int(flag))))

    def together(self, work: Callable[[], T]) -> T:
        """Do what every process does by itself; where it fails in one, it fails in all."""
        result: Any = None
        failure: Exception | None = None
        try:
            result = work()
        except Exception as error:  # noqa: BLE001 - it is raised again below, after the others know of it
            failure = error
        failures = self.gather(None if failure is None else describe(failure))
        if failure is not None:
            raise failure
        for rank, text in enumerate(failures):
            if text is not None:
                raise PeerError(f"process {rank} failed: {text}")
        return result  # type: ignore[no-any-return]

    def prepare(self, *modules: nn.Module) -> None:
        """Give modules the weights that the main process has."""
        with _talking(), torch.no_grad():
            for module in modules:
                for tensor in (*module.parameters(), *module.buffers()):
                    theirs = tensor.data.contiguous()
                    dist.broadcast(theirs.view(-1).view(torch.uint8), src=0)  # as bytes: not every type can be sent
                    tensor.data.copy_(theirs)

    def reduce_gradients(self, module: nn.Module) -> None:
        """Sum the gradients of all processes, in place.

        A process without a share of a minibatch has no gradients and counts as 0. What has a gradient in no process
        keeps none, so that the optimiser leaves it alone.
        """
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        if not parameters:
            return
        owned = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32, device=parameters[0].device)
        gradients = []
        for parameter, owners in zip(parameters, self.sum(owned).tolist(), strict=True):
            if owners:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        for bucket in buckets(gradients):
            flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
            with _talking():
                dist.all_reduce(flat)
            for gradient, summed in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(summed.view_as(gradient))


def stack_rows(parts: Sequence[Tensor]) -> Tensor:
    """Stack `[B, A]` tensors of different A, filled up with 0 (False) on the right.

    Example:
        >>> stack_rows([torch.tensor([[1, 2]]), torch.tensor([[3]])]).tolist()
        [[1, 2], [3, 0]]
    """
    longest = max(part.shape[1] for part in parts)
    stacked = parts[0].new_zeros(sum(len(part) for part in parts), longest)
    row = 0
    for part in parts:
        stacked[row : row + len(part), : part.shape[1]] = part
        row += len(part)
    return stacked


def buckets(tensors: Sequence[Tensor], size: int = BUCKET_BYTES) -> Iterator[list[Tensor]]:
    """Yield neighbours of one type that are about `size` bytes together, and larger ones alone.

    Example:
        >>> [len(bucket) for bucket in buckets([torch.zeros(2), torch.zeros(2), torch.zeros(9)], size=16)]
        [2, 1]
    """
    bucket: list[Tensor] = []
    held = 0
    for tensor in tensors:
        if bucket and (held + tensor.nbytes > size or tensor.dtype != bucket[0].dtype):
            yield bucket
            bucket, held = [], 0
        bucket.append(tensor)
        held += tensor.nbytes
    if bucket:
        yield bucket


def describe(error: BaseException) -> str:
    """Say in one line what failed.

    Example:
        >>> describe(ValueError("must be >= 0, got -1"))
        'ValueError: must be >= 0, got -1'
    """
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


@contextmanager
def _talking() -> Iterator[None]:
    """Turn what `torch.distributed` raises when a process is gone or late into an error that says so.

    Raises:
        LostPeerError: another process is gone or late.
    """
    try:
        yield
    except RlenvsError:
        raise
    except RuntimeError as error:
        if lost := lost_peer(error):
            raise lost from error
        raise


def lost_peer(error: BaseException) -> LostPeerError | None:
    """Say that another process is gone, if that is what an exception means.

    NCCL and stores raise classes of their own; gloo raises RuntimeError with its name or the socket's trouble in it.
    """
    text = str(error).lower()
    if isinstance(error, LostPeerError):
        return error
    if isinstance(error, dist.DistError) or any(word in text for word in ("gloo", "connection closed", "timed out")):
        return LostPeerError(f"another process of the run is gone or does not answer ({describe(error)})")
    return None
