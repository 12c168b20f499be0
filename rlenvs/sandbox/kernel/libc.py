"""The C library by `ctypes`: system calls by name, with errors that say which step failed and why."""

import ctypes
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.syscalls import this_architecture

PR_SET_PDEATHSIG = 1
PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_GET_NAME = 16
PR_CAPBSET_READ = 23
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_GET_NO_NEW_PRIVS = 39
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
PR_SET_VMA = 0x53564D41

SYSCALL_ARGUMENTS = 6
CLOSE_RANGE = 436
"""Its number on every architecture; a worker that has hidden itself does not find it by name any more."""
HIGHEST_DESCRIPTOR = 0xFFFFFFFF


def _entry() -> Any:
    if sys.platform != "linux":
        return None
    function: Any = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long] * (SYSCALL_ARGUMENTS + 1)
    return function


ENTRY = _entry()


@cache
def _number(name: str) -> int:
    architecture = this_architecture()
    if name not in architecture.numbers:
        raise KernelError(name, f"{architecture.name} has no such system call")
    return architecture.numbers[name]


def raw_syscall(number: int, *arguments: int) -> int:
    """Make a system call by number.

    Returns:
        Its result, or minus the `errno`.
    """
    result = int(ENTRY(number, *padded(arguments)))
    return result if result != -1 else -ctypes.get_errno()


def padded(arguments: tuple[int, ...]) -> tuple[int, ...]:
    """Return as many arguments as a system call can have."""
    return (*arguments, *(0,) * (SYSCALL_ARGUMENTS - len(arguments)))


@dataclass(frozen=True, slots=True)
class Step:
    """A system call that is made later, and then by touching little: in a child what is touched is copied.

    Args:
        name: of the system call.
        arguments: integers; pointers are addresses, of what is kept.
        purpose: what it is for, as the error says it.
        kept: what a pointer points to.
    """

    name: str
    arguments: tuple[int, ...]
    purpose: str
    kept: object = None


def in_turn(steps: Sequence[Step]) -> Callable[[], None]:
    """Return a function that makes system calls of which each must return 0, or else raises KernelError."""
    calls = [((_number(step.name), *padded(step.arguments)), step.purpose, step.kept) for step in steps]
    entry = ENTRY

    def make() -> None:
        for arguments, purpose, _ in calls:
            if entry(*arguments) != 0:
                raise KernelError(purpose, ctypes.get_errno())

    return make


def attempt(name: str, *arguments: int) -> int:
    """Make a system call; pointers are addresses.

    Returns:
        Its result, or minus the `errno`.
    """
    return raw_syscall(_number(name), *arguments)


def syscall(name: str, *arguments: int, step: str | None = None) -> int:
    """Make a system call that must succeed.

    Args:
        name: its name.
        arguments: integers; pointers are addresses.
        step: what it is for, as the error says it; its name by default.

    Raises:
        KernelError: it failed.
    """
    result = attempt(name, *arguments)
    if result < 0:
        raise KernelError(step or name, -result)
    return result


def prctl(option: int, *arguments: int, step: str) -> int:
    """Call `prctl`, which must succeed."""
    return syscall("prctl", option, *arguments, step=step)


def close_from(lowest: int) -> None:
    """Close every descriptor from this one on, in one call: there may be a billion of them."""
    if ENTRY(CLOSE_RANGE, lowest, HIGHEST_DESCRIPTOR, 0, 0, 0, 0) < 0:
        os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def text(value: str) -> "ctypes.Array[ctypes.c_char]":
    """Return a zero-terminated copy of a text; keep it alive while the kernel reads it."""
    return ctypes.create_string_buffer(os.fsencode(value))


def address(value: Any) -> int:
    """Return where a ctypes object lies."""
    return ctypes.addressof(value)
