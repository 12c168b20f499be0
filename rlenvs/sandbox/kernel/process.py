"""Limits of the one process that runs model text."""

import ctypes
import math
import os
import resource
import signal

from rlenvs.sandbox.kernel.libc import PR_SET_PDEATHSIG, KernelError, prctl
from rlenvs.sandbox.kernel.plan import ProcessLimits

MIB = 2**20
M_ARENA_MAX = -8
STACK_BYTES = 64 * MIB
PENDING_SIGNALS = 64


def address_space() -> int:
    """Return how many bytes this process has mapped; 0 if that is not to be known."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0


def keep_one_arena() -> None:
    """Let all threads allocate from one arena: glibc maps 128 MiB for each further one, which the limit would count."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other C libraries have no arenas
        mallopt(M_ARENA_MAX, 1)


def set_limits(limits: ProcessLimits, *, mapped: int, processes: int | None) -> None:
    """Set resource limits for good: none can be raised again.

    Args:
        limits: of the execution.
        mapped: bytes of address space that the worker has; the text's memory comes on top.
        processes: how many other processes the user of this worker has; None: the user is not the worker's own, so
            that a limit would count strangers.

    Raises:
        KernelError: one is refused.
    """
    bounds = {
        resource.RLIMIT_AS: mapped + limits.memory_mb * MIB,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_STACK: STACK_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_SIGPENDING: PENDING_SIGNALS,
    }
    if limits.cpu_s is not None:
        bounds[resource.RLIMIT_CPU] = max(1, math.ceil(limits.cpu_s))
    if processes is not None:
        bounds[resource.RLIMIT_NPROC] = processes + limits.threads
    for kind, bound in bounds.items():
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            bound = min(bound, most)
        try:
            resource.setrlimit(kind, (bound, bound))
        except (OSError, ValueError) as error:
            raise KernelError("limiting resources", str(error)) from error


def die_with_parent(parent: int) -> None:
    """Be killed when the worker ends.

    Raises:
        KernelError: it has ended already.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, step="dying with the worker")
    if os.getppid() != parent:
        raise KernelError("dying with the worker", "it has ended")
