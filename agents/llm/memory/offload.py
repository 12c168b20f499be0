"""What is not in use waits in main memory: the reference between its passes, the optimiser's moments during rollouts.

Moving changes no number: the bytes that come back are those that went. On a CPU there is nowhere to go, and nothing is
moved.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from rlenvs.agents.llm.policy.reference import FrozenCopy, Reference


class ParkedModule:
    """A frozen module whose weights lie in main memory and are on the device only between `enter` and `leave`.

    The weights never change, so that leaving the device copies nothing: the device's copy is forgotten.

    Args:
        module: frozen; its parameters and buffers are moved to main memory at once.
        device: where it computes.

    Attributes:
        resident: whether it is on the device now.
    """

    def __init__(self, module: nn.Module, device: torch.device) -> None:
        self.module = module
        self.device = device
        self.resident = False
        self._waiting = [(tensor, in_main_memory(tensor.data)) for tensor in _tensors(module)]
        self.leave()

    def enter(self) -> None:
        """Copy the weights to the device. Those that modules share (tied weights) are copied once."""
        for tensor, waiting in self._waiting:
            tensor.data = torch.empty_like(waiting, device=self.device).copy_(waiting, non_blocking=True)
        self.resident = True

    def leave(self) -> None:
        """Give the device's memory back."""
        for tensor, waiting in self._waiting:
            tensor.data = waiting
        self.resident = False

    def bytes(self) -> int:
        """Size of what is moved."""
        return sum(waiting.nbytes for _, waiting in self._waiting)


class OffloadedReference:
    """A reference that is on the device only while it scores.

    A single call moves the weights there and back; `on_device` around several calls moves them once.

    Args:
        reference: a frozen copy of the policy.
        device: where it computes.
    """

    def __init__(self, reference: FrozenCopy, device: torch.device) -> None:
        self.reference = reference
        self.parked = ParkedModule(reference.policy, device)

    def logprobs(self, ids_BL: Tensor, attention_BL: Tensor, action_BL: Tensor, temperature: float) -> Tensor:
        """Return the log-probabilities `[M]` of the action tokens."""
        with self.on_device():
            return self.reference.logprobs(ids_BL, attention_BL, action_BL, temperature)

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Hold the weights on the device; within another such block, nothing is moved."""
        if self.parked.resident:
            yield
            return
        self.parked.enter()
        try:
            yield
        finally:
            self.parked.leave()


def offload_reference(reference: Reference | None, device: torch.device) -> Reference | None:
    """Return a reference that waits in main memory; itself where the device's memory is the main memory.

    A reference that is the policy itself with its adapters off has nothing of its own to move.
    """
    if device.type == "cpu" or not isinstance(reference, FrozenCopy):
        return reference
    return OffloadedReference(reference, device)


def on_device(reference: Reference) -> AbstractContextManager[None]:
    """Hold a reference on the device for several passes; does nothing for one that always is there."""
    return reference.on_device() if isinstance(reference, OffloadedReference) else nullcontext()


class ParkedOptimizer:
    """Holds an optimiser's state in main memory except between `enter` and `leave`.

    Args:
        optimizer: its state moves; its parameters and gradients stay.
        device: where it steps.
        enabled: False leaves everything where it is.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, device: torch.device, enabled: bool = True) -> None:
        self.optimizer = optimizer
        self.device = device
        self.enabled = enabled
        self._buffers: dict[tuple[int, str], Tensor] = {}

    def enter(self) -> None:
        """Copy the state to the device."""
        self._move(lambda _, tensor: torch.empty_like(tensor, device=self.device).copy_(tensor, non_blocking=True))

    def leave(self) -> None:
        """Copy the state to main memory and give the device's memory back."""
        self._move(self._to_buffer)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # whoever reads the state next may do so at once

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """Hold the state on the device, whatever happens within."""
        if not self.enabled:
            yield
            return
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def bytes(self) -> int:
        """Size of what is moved."""
        return sum(value.nbytes for _, _, _, value in self.entries())

    def _to_buffer(self, place: tuple[int, str], tensor: Tensor) -> Tensor:
        buffer = self._buffers.get(place)
        if buffer is None or buffer.shape != tensor.shape or buffer.dtype != tensor.dtype:
            buffer = self._buffers[place] = in_main_memory(tensor)
            return buffer
        return buffer.copy_(tensor, non_blocking=True)

    def _move(self, moved: Callable[[tuple[int, str], Tensor], Tensor]) -> None:
        """Replace every tensor of the state; one that several parameters share stays shared."""
        seen: dict[int, tuple[Tensor, Tensor]] = {}
        for number, key, state, value in list(self.entries()):
            if id(value) not in seen:
                seen[id(value)] = value, moved((number, key), value)
            state[key] = seen[id(value)][1]

    def entries(self) -> Iterator[tuple[int, str, dict[str, Any], Tensor]]:
        """Yield number of the parameter, name, state and tensor of all that is moved.

        Counters of steps are left alone: they are a few bytes, and the optimiser says where they must be.
        """
        parameters = (parameter for group in self.optimizer.param_groups for parameter in group["params"])
        for number, parameter in enumerate(parameters):
            state = self.optimizer.state.get(parameter, {})
            for key, value in state.items():
                if isinstance(value, Tensor) and value.dim() > 0:
                    yield number, key, state, value


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers, each once, also where modules share it."""
    yield from module.parameters()
    yield from module.buffers()


def in_main_memory(tensor: Tensor) -> Tensor:
    """Return a copy in main memory, page-locked where there is a GPU, so that it travels fast and asynchronously."""
    target = torch.empty_like(tensor, device="cpu", pin_memory=torch.cuda.is_available())
    return target.copy_(tensor)
