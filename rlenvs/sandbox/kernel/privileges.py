"""Giving up what a process may do: capabilities, the user, and ever getting more."""

import ctypes
import os
import random

from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_CAPBSET_READ,
    PR_GET_NO_NEW_PRIVS,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    address,
    attempt,
    prctl,
    syscall,
)

CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_ADMIN = 5, 6, 7, 8, 21
NEEDED_FOR_ANOTHER_USER = (CAP_SETUID, CAP_SETGID, CAP_KILL)
"""To become it, and to kill what runs as it."""
CAPABILITY_VERSION = 0x20080522
LAST_CAPABILITY = 63
FIRST_UID, LAST_UID = 61_000, 64_999
"""Between the ordinary users and `nobody`, and inside the 65,536 ids that a rootless container has."""


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    """Effective, permitted and inheritable, the low halves first, then the high ones."""

    _fields_ = (("words", ctypes.c_uint32 * 6),)


def capabilities() -> int:
    """Return the effective capabilities of this thread, as bits."""
    header, sets = _Header(CAPABILITY_VERSION, 0), _Sets()
    syscall("capget", address(header), address(sets))
    return int(sets.words[0] | sets.words[3] << 32)


def has_capability(number: int) -> bool:
    """Whether this thread has a capability in its own user namespace."""
    return bool(capabilities() >> number & 1)


def set_capabilities(kept: int) -> None:
    """Keep these capabilities (bits) and no other, for this thread and whatever it starts."""
    if has_capability(CAP_SETPCAP):
        for number in range(LAST_CAPABILITY + 1):
            if attempt("prctl", PR_CAPBSET_READ, number) == 1 and not kept >> number & 1:
                prctl(PR_CAPBSET_DROP, number, step="dropping capabilities")
    low, high = kept & 0xFFFFFFFF, kept >> 32
    header, sets = _Header(CAPABILITY_VERSION, 0), _Sets((ctypes.c_uint32 * 6)(low, low, 0, high, high, 0))
    syscall("capset", address(header), address(sets), step="dropping capabilities")


def become(uid: int) -> None:
    """Become another user and group, without supplementary groups.

    Raises:
        KernelError: not allowed, or this user namespace does not have the id.
    """
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    except OSError as error:
        raise KernelError(f"becoming user {uid}", error.errno or 0) from error
    if os.getresuid() != (uid,) * 3 or os.getresgid() != (uid,) * 3 or os.getgroups():
        raise KernelError(f"becoming user {uid}", f"it is still {os.getresuid()}, groups {os.getgroups()}")


def renounce() -> None:
    """Give up every capability, the way to more, and being looked into by other processes of the same user."""
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, step="dropping capabilities")
    set_capabilities(0)
    prctl(PR_SET_NO_NEW_PRIVS, 1, step="setting no_new_privs")
    prctl(PR_SET_DUMPABLE, 0, step="hiding memory")
    if capabilities() or prctl(PR_GET_NO_NEW_PRIVS, step="setting no_new_privs") != 1:
        raise KernelError("dropping capabilities", f"{capabilities():#x} are left")


def can_become_another() -> bool:
    """Whether a worker can be given a user of its own here."""
    return all(map(has_capability, NEEDED_FOR_ANOTHER_USER)) and _is_mapped(FIRST_UID) and _is_mapped(LAST_UID)


def _is_mapped(uid: int) -> bool:
    try:
        with open("/proc/self/uid_map") as file:
            ranges = [[int(word) for word in line.split()] for line in file]
    except FileNotFoundError:
        return True  # no /proc, or no user namespaces: whether it works shows when it is done
    return any(first <= uid < first + count for first, _, count in ranges)


def free_uid(taken: frozenset[int] = frozenset()) -> int:
    """Return a user id that no process here has: limits on processes are counted by user.

    Args:
        taken: ids that are promised already.
    """
    used = set(taken)
    try:
        entries = [entry for entry in os.scandir("/proc") if entry.name.isdigit()]
    except OSError:
        entries = []
    for entry in entries:
        try:
            used.add(entry.stat().st_uid)
        except OSError:
            continue  # it ended meanwhile
    free = [uid for uid in range(FIRST_UID, LAST_UID + 1) if uid not in used]
    if not free:
        raise KernelError("finding a free user id", f"all of {FIRST_UID}..{LAST_UID} are in use")
    return random.SystemRandom().choice(free)
