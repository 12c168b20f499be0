"""How much memory code takes, found by running it on tensors that have shapes and no memory.

A fake tensor knows its shape, type and device; operations on it compute the same of their results and nothing else.
So the real forward and backward pass of a model that would fill a GPU can be run anywhere in seconds, and every tensor
that would have been alive at any moment is counted.
"""

import weakref
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# What operations raise that look at numbers, or at hardware that is not there.
NOT_TRACEABLE = (RuntimeError, NotImplementedError, TypeError, ValueError, AttributeError, LookupError, ImportError)


class LiveBytes(TorchDispatchMode):
    """Counts the memory behind tensors that come into being while it is active.

    Args:
        held: tensors that are there already and are not counted, nor are views of them.

    Attributes:
        now: bytes alive at this moment.
        peak: most bytes that were ever alive at once.
    """

    def __init__(self, held: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.peak = 0
        self._sizes: dict[int, int] = {}
        for tensor in held:
            self._sizes[_key(tensor)] = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._meet(leaf)
        return result

    def _meet(self, tensor: Tensor) -> None:
        key = _key(tensor)
        if key in self._sizes:
            return
        storage = tensor.untyped_storage()
        self._sizes[key] = storage.nbytes()
        self.now += self._sizes[key]
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key)

    def _forget(self, key: int) -> None:
        self.now -= self._sizes.pop(key, 0)


def peak_bytes(work: Callable[[], Any], held: Iterable[Tensor]) -> int:
    """Return the most bytes that some work holds at once, beyond the tensors that are there before it.

    Args:
        work: runs on fake tensors, or on real ones.
        held: what is there before.
    """
    live = LiveBytes(held)
    with live:
        work()
    return live.peak


def fake_tensors() -> FakeTensorMode:
    """Return a context in which tensors that are made have no memory."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def make_fake(module: nn.Module) -> nn.Module:
    """Replace parameters and buffers by fake ones of the same shapes and types on the CPU; shared ones stay shared.

    Called within `fake_tensors`.
    """
    made: dict[int, Tensor] = {}
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                if id(parameter) not in made:
                    empty = torch.empty(parameter.shape, dtype=parameter.dtype)
                    made[id(parameter)] = nn.Parameter(empty, requires_grad=parameter.requires_grad)
                part._parameters[name] = made[id(parameter)]  # type: ignore[assignment]
        for name, buffer in part._buffers.items():
            if buffer is not None:
                if id(buffer) not in made:
                    made[id(buffer)] = torch.empty(buffer.shape, dtype=buffer.dtype)
                part._buffers[name] = made[id(buffer)]
    return module


def nbytes(tensors: Iterable[Tensor]) -> int:
    """Return the bytes behind tensors; memory that several share counts once."""
    sizes: dict[int, int] = {}
    for tensor in tensors:
        sizes[_key(tensor)] = tensor.untyped_storage().nbytes()
    return sum(sizes.values())


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def largest(tensors: Iterable[Tensor]) -> int:
    """Return the bytes of the largest of some tensors, 0 where there is none."""
    return max((tensor.nbytes for tensor in tensors), default=0)


@torch.no_grad()
def give_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every parameter a gradient to add to, as all but the first micro-batch find it."""
    for parameter in parameters:
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
