"""One execution: a process that the zygote forked."""

import gc
import resource
from collections.abc import Callable
from os import _exit, dup2, write
from typing import NoReturn

from rlenvs.sandbox.frames import STARTED
from rlenvs.sandbox.inside import calls, candidate, script, session, tester
from rlenvs.sandbox.kernel.libc import close_from
from rlenvs.sandbox.limits import MEBIBYTE, Limits

Confine = Callable[[str, Limits, int], Callable[[], None]]
"""Returns what locks a child, given its mode, its limits and how many threads other children of the worker may have.
It is called in the worker, and what it returns in the child."""
CHANNEL = 3
"""Descriptor on which an execution and the grader talk."""
EXIT_BROKEN = 97
"""Ended before the code had its turn."""
MODES: dict[str, Callable[[int], int]] = {
    "calls": calls.serve,
    "script": script.serve,
    "session": session.serve,
    "candidate": candidate.serve,
    "tester": tester.serve,
}


def run(mode: str, given: list[int], lock: Callable[[], None]) -> NoReturn:
    """Lock this process and execute what comes on the channel.

    Args:
        mode: a key of `MODES`.
        given: descriptors: the channel, stdout, stderr and, unless it is empty, stdin.
        lock: locks this process.
    """
    channel, stdout, stderr, *stdin = given
    dup2(stdout, 1)
    dup2(stderr, 2)
    for descriptor in stdin:
        dup2(descriptor, 0)
    dup2(channel, CHANNEL)
    close_from(CHANNEL + 1)  # above are also those on which the worker reports about other executions
    lock()
    serve(mode)


def serve(mode: str) -> NoReturn:
    """Execute what comes on the channel, and end."""
    gc.enable()
    write(CHANNEL, STARTED)
    _exit(MODES[mode](CHANNEL))


def limit_resources(limits: Limits) -> None:
    """Set the resource limits alone: what there is without isolation."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        used = int(statm.read().split()[0]) * resource.getpagesize()
    bounds = {
        resource.RLIMIT_AS: used + limits.memory_mb * MEBIBYTE,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_CORE: 0,
    }
    if limits.cpu_s is not None:
        bounds[resource.RLIMIT_CPU] = max(1, int(-(-limits.cpu_s // 1)))
    for which, bound in bounds.items():
        _, most = resource.getrlimit(which)
        bound = bound if most == resource.RLIM_INFINITY else min(bound, most)
        resource.setrlimit(which, (bound, bound))
