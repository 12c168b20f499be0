"""How the processes of a run come together, and part."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore

from rlenvs.agents.llm.config import DistributedConfig
from rlenvs.agents.llm.processes.alone import ALONE, Processes
from rlenvs.agents.llm.processes.failing import explained
from rlenvs.agents.llm.processes.launch import Launch
from rlenvs.errors import DeviceError, PeerError


@contextmanager
def joined(config: DistributedConfig, device: str) -> Iterator[Processes]:
    """Join the other processes of the run, for the time of the block; alone, where nobody started any.

    A process group that exists already is used as it is, and left.

    Args:
        config: how to work together.
        device: `auto`, `cpu` or `cuda`; the same for all processes.

    Raises:
        ConfigError: the environment variables of torchrun are not all there.
        DeviceError: there are more processes than GPUs on this machine.
        PeerError: the others did not come.
    """
    if dist.is_available() and dist.is_initialized():
        yield _processes(config, device)
        return
    launch = Launch.from_environment()
    if launch is None:
        yield ALONE
        return
    kind = _device_type(device)
    if kind == "cuda":
        if launch.local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"process {launch.local_rank} of this machine has no GPU of its own (there are "
                f"{torch.cuda.device_count()}): start one process per GPU, or use device=cpu"
            )
        torch.cuda.set_device(launch.local_rank)
    from rlenvs.agents.llm.processes.sharded import backend_of

    try:
        dist.init_process_group(
            backend_of(kind),
            store=PrefixStore("rlenvs", launch.store()),
            rank=launch.rank,
            world_size=launch.count,
            timeout=timedelta(seconds=config.timeout),
        )
    except RuntimeError as error:
        raise PeerError(f"the {launch.count} processes of the run did not connect to each other: {error}") from error
    try:
        with explained(launch):
            processes = _processes(config, device)
            yield processes
            # Whoever starts processes may end all as soon as one has ended: none does before the main one has written.
            processes.gather(None)
    finally:
        # Closes the connections: a process that waits for this one in vain hears of it at once.
        dist.destroy_process_group()


def _processes(config: DistributedConfig, device: str) -> Processes:
    if dist.get_world_size() == 1:
        return ALONE
    from rlenvs.agents.llm.processes.data_parallel import DataParallel
    from rlenvs.agents.llm.processes.sharded import Sharded

    return DataParallel() if config.strategy == "ddp" else Sharded(_device_type(device))


def _device_type(device: str) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
