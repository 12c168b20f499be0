"""Limits of the one process that runs model text."""

import ctypes
import math
import signal
import sys

from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import PR_SET_PDEATHSIG, Step, address
from rlenvs.sandbox.kernel.plan import ProcessLimits

if sys.platform == "linux":
    import resource

MIB = 2**20
M_ARENA_MAX = -8
STACK_BYTES = 64 * MIB
PENDING_SIGNALS = 64

# Linux's numbers: other systems have no names for some of them, and this module must load there too.
RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_STACK, RLIMIT_CORE, RLIMIT_NPROC = 0, 1, 3, 4, 6
RLIMIT_NOFILE, RLIMIT_MEMLOCK, RLIMIT_AS, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE = 7, 8, 9, 11, 12

LASTING = {
    RLIMIT_STACK: STACK_BYTES,
    RLIMIT_CORE: 0,
    RLIMIT_MEMLOCK: 0,
    RLIMIT_MSGQUEUE: 0,
    RLIMIT_SIGPENDING: PENDING_SIGNALS,
}
OF_EXECUTION = (RLIMIT_AS, RLIMIT_FSIZE, RLIMIT_NOFILE, RLIMIT_CPU, RLIMIT_NPROC)


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


def set_lasting_limits() -> None:
    """Set, for good, the limits that are the same for a worker and for all that it starts.

    Raises:
        KernelError: one is refused.
    """
    for kind, bound in LASTING.items():
        _, most = resource.getrlimit(kind)
        _set(kind, bound if most == resource.RLIM_INFINITY else min(bound, most))


def hard_limits() -> dict[int, int]:
    """Return how high the limits of an execution can be, for `limiting`."""
    found = {kind: resource.getrlimit(kind)[1] for kind in OF_EXECUTION}
    return {kind: sys.maxsize if most == resource.RLIM_INFINITY else most for kind, most in found.items()}


def limiting(limits: ProcessLimits, most: dict[int, int], *, mapped: int, processes: int | None) -> list[Step]:
    """Return what sets the limits of an execution for good: none can be raised again.

    Args:
        limits: of the execution.
        most: what `hard_limits` returned; nothing is set higher.
        mapped: bytes of address space that the worker has; the text's memory comes on top.
        processes: how many other processes the user of this worker has; None: the user is not the worker's own, so
            that a limit would count strangers.
    """
    bounds = {
        RLIMIT_AS: mapped + limits.memory_mb * MIB,
        RLIMIT_FSIZE: limits.file_bytes,
        RLIMIT_NOFILE: limits.open_files,
    }
    if limits.cpu_s is not None:
        bounds[RLIMIT_CPU] = max(1, math.ceil(limits.cpu_s))
    if processes is not None:
        bounds[RLIMIT_NPROC] = processes + limits.threads
    steps = []
    for kind, bound in bounds.items():
        pair = (ctypes.c_uint64 * 2)(*(min(bound, most[kind]),) * 2)
        steps.append(Step("prlimit64", (0, kind, address(pair), 0), "limiting resources", pair))
    return steps


def _set(kind: int, bound: int) -> None:
    try:
        resource.setrlimit(kind, (bound, bound))
    except (OSError, ValueError) as error:
        raise KernelError("limiting resources", str(error)) from error


def dying_with_parent() -> Step:
    """Return what has this process killed when the one that forked it ends; whether it has not yet is to be asked."""
    return Step("prctl", (PR_SET_PDEATHSIG, signal.SIGKILL), "dying with the worker")
