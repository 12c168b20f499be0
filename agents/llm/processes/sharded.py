"""Processes that each hold a share of weights, gradients and moments: FSDP2 (`torch.distributed.fsdp.fully_shard`).

A layer's weights are gathered for its forward and its backward pass and given back after each, so that passes are in
lockstep: every process makes as many as the one with the most micro-batches. Rollouts and evaluations cannot be (no
two processes sample the same number of tokens): for their time every process holds all weights, but no gradients.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map

from rlenvs.agents.llm.policy.model import Evaluation, Policy
from rlenvs.agents.llm.processes.data_parallel import DataParallel


class Sharded(DataParallel):
    """The default process group, with every policy in shares.

    Args:
        device_type: `cpu` or `cuda`.
    """

    lockstep = True

    def __init__(self, device_type: str) -> None:
        super().__init__()
        self.mesh = init_device_mesh(device_type, (self.count,))

    def most(self, passes: int) -> int:
        """Return the most forward passes that any process needs."""
        return max(self.gather(passes))

    def prepare(self, *modules: nn.Module) -> None:
        """Give modules the weights that the main process has, and keep a share of them here."""
        super().prepare(*modules)
        for module in modules:
            assert isinstance(module, Policy)
            shard(module, self.mesh)

    def reduce_gradients(self, module: nn.Module) -> None:
        """Nothing is left to do: the backward pass summed them, each process its share."""

    def clip_gradients(self, module: nn.Module, max_norm: float) -> float:
        """Scale the summed gradients to a norm; returns the norm that they had."""
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), max_norm)
        return float(norm.full_tensor() if isinstance(norm, DTensor) else norm)

    @contextmanager
    def whole_weights(self, module: nn.Module) -> Iterator[None]:
        """Hold all weights of a module in this process, to use it without the others."""
        parts = [part for part in module.modules() if isinstance(part, FSDPModule)]
        for part in parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()
        # FSDP's own hooks would give the weights back as soon as somebody asks for the state, to save it.
        hooked = [inner for inner in module.modules() if inner._state_dict_pre_hooks]
        hooks = [dict(inner._state_dict_pre_hooks) for inner in hooked]
        for inner in hooked:
            inner._state_dict_pre_hooks.clear()
        try:
            yield
        finally:
            for inner, removed in zip(hooked, hooks, strict=True):
                inner._state_dict_pre_hooks.update(removed)
            # Not only gives the weights back: also forgets which layers ran, and that differs between processes.
            assert isinstance(module, FSDPModule)
            module.reset_iter_state()
            for part in parts:
                part.reshard()
                part.set_reshard_after_forward(True, recurse=False)

    def whole(self, state: Any) -> Any:
        """Return a state with whole tensors on the CPU; tensors that are not shared stay as they are."""
        return tree_map(lambda value: value.full_tensor().cpu() if isinstance(value, DTensor) else value, state)

    def shares(self, state: Any, like: Any) -> Any:
        """Return a state with this process's shares of the tensors."""
        return {key: _share(value, like[key]) if key in like else value for key, value in state.items()}

    def optimizer_shares(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return an optimiser's state with this process's shares of the moments."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        moments = {
            number: {
                key: _share(value, parameters[number])
                if isinstance(value, Tensor) and value.shape == parameters[number].shape
                else value
                for key, value in entry.items()
            }
            for number, entry in state["state"].items()
        }
        return {**state, "state": moments}


def shard(policy: Policy, mesh: DeviceMesh) -> None:
    """Leave a share of a policy's weights in each process: layer by layer, and what is around the layers.

    Args:
        policy: the same weights in every process; changed in place.
        mesh: of all processes.
    """
    evaluate = policy.evaluate

    def evaluate_copied(*args: Any, **kwargs: Any) -> Evaluation:
        """Copies of what `evaluate` returns: FSDP hooks the tensors, and must not hook views."""
        found = evaluate(*args, **kwargs)
        return Evaluation(*(getattr(found, name).clone() for name in Evaluation.__dataclass_fields__))

    for layers in _layer_lists(policy):
        for layer in layers:
            fully_shard(layer, mesh=mesh)
    fully_shard(policy, mesh=mesh)
    for part in policy.modules():
        if isinstance(part, FSDPModule):
            # Losses are divided by counts over all processes: gradients are summed, where the default averages.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)
            part.set_reshard_after_forward(True, recurse=False)
    policy.evaluate = evaluate_copied  # type: ignore[method-assign]
    register_fsdp_forward_method(policy, "evaluate")
    # The first pass decides what the outermost module is: it must not be a layer, which an engine may call first.
    ids = torch.full((1, 2), policy.eos_id, device=policy.device)
    action = torch.tensor([[False, True]], device=policy.device)
    with torch.no_grad():
        policy.evaluate(ids, torch.ones_like(action), action, 1.0)


def _layer_lists(policy: Policy) -> list[nn.ModuleList]:
    """Return the lists of decoder layers, outermost first, whatever the architecture calls them."""
    found: list[nn.ModuleList] = []
    for module in policy.modules():
        if isinstance(module, nn.ModuleList) and not any(module in set(other.modules()) for other in found):
            found.append(module)
    return found


def _share(whole: Any, like: Any) -> Any:
    if not isinstance(like, DTensor):
        return whole
    # src_data_rank=None: every process has the whole tensor and cuts its own share, without a word to the others.
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def backend_of(device_type: str) -> str:
    """Return the backends for a device: what is on the CPU (records, requests to stop) always goes by gloo."""
    return "cpu:gloo,cuda:nccl" if device_type == "cuda" and dist.is_nccl_available() else "gloo"
