"""Tier A: a worker in namespaces of its own; `root` gives it a file system of its own."""

import os
import select
import signal
from typing import NoReturn

from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import PR_SET_PDEATHSIG, address, close_from, prctl, syscall, text
from rlenvs.sandbox.kernel.plan import Plan
from rlenvs.sandbox.kernel.privileges import CAP_SYS_ADMIN, become, has_capability, renounce
from rlenvs.sandbox.kernel.root import build_root, clone_trees

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

HOST_NAME = "sandbox"


def isolate(plan: Plan) -> int:
    """Go on as the first process of new namespaces, with a private root and the planned user.

    The process that called stays outside, waits for the new one and ends with it. Capabilities over the namespaces are
    left, for `renounce` to drop.

    Returns:
        A descriptor for `die_with_outer`.

    Raises:
        KernelError: a step failed.
    """
    privileged = has_capability(CAP_SYS_ADMIN)
    if privileged:
        syscall("unshare", NAMESPACES, step="making namespaces")
    else:
        _unshare_as_user(plan.uid)
    outer_lives, outer_end = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child:
        _wait_outside(child, outer_end, plan.uid)
    os.close(outer_end)
    name = text(HOST_NAME)
    syscall("sethostname", address(name), len(HOST_NAME), step="naming the host")
    trees = clone_trees(plan)  # first: what another user may not look up is still reachable
    if plan.uid is not None and not privileged:
        become(plan.uid)  # files of the old user, which the new namespace does not map, could not be made
    build_root(plan, trees)
    if plan.uid is not None and privileged:
        become(plan.uid)
    return outer_lives


def die_with_outer(outer_lives: int) -> None:
    """Be killed when the outer process ends. To be called after the last change of user, which would clear it.

    Args:
        outer_lives: what `isolate` returned.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL, step="dying with the outer process")
    poll = select.poll()
    poll.register(outer_lives, select.POLLIN)
    if poll.poll(0):
        os._exit(1)  # it ended before the kernel knew that we want to hear of it
    os.close(outer_lives)


def _unshare_as_user(uid: int | None) -> None:
    """Make namespaces without privilege: in a user namespace that maps one user.

    Args:
        uid: the user to map, which takes CAP_SETUID outside; None: oneself.
    """
    flags, step = CLONE_NEWUSER | NAMESPACES, "making namespaces as an ordinary user"
    if uid is None:
        user, group = os.geteuid(), os.getegid()
        syscall("unshare", flags, step=step)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
        return
    ready, mapped = os.pipe2(os.O_CLOEXEC), os.getpid()
    helper = os.fork()
    if not helper:
        _map_from_outside(mapped, uid, ready)
    os.close(ready[0])
    syscall("unshare", flags, step=step)
    os.close(ready[1])  # the helper hears the end of the pipe, and writes the maps
    if os.waitpid(helper, 0)[1]:
        raise KernelError(step, f"user {uid} cannot be mapped")


def _map_from_outside(pid: int, uid: int, ready: tuple[int, int]) -> NoReturn:
    """Give a process in a new user namespace its one user, as only a process outside may."""
    code = 1
    try:
        os.close(ready[1])
        os.read(ready[0], 1)
        for kind in ("uid", "gid"):
            _write(f"/proc/{pid}/{kind}_map", f"{uid} {uid} 1")
        code = 0
    finally:
        os._exit(code)


def _write(path: str, content: str) -> None:
    try:
        with open(path, "w") as file:
            file.write(content)
    except OSError as error:
        raise KernelError(f"writing {path}", error.errno or 0) from error


def _wait_outside(child: int, kept: int, uid: int | None) -> NoReturn:
    """Hold nothing but the pipe that says that this process lives, and end as the child ends."""
    code = 1
    try:
        os.closerange(0, kept)
        close_from(kept + 1)
        if uid is not None:
            become(uid)
        renounce()
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
    finally:
        # A failure here ends this process, and with it the child.
        os._exit(code if code >= 0 else 128 - code)
