"""The C library by `ctypes`: system calls by name, with errors that say which step failed and why."""

import ctypes
import errno
import os
from functools import cache
from typing import Any

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


class KernelError(RuntimeError):
    """A step of confinement that the kernel refused. Nothing runs unconfined after it.

    Attributes:
        step: what was tried.
        number: the `errno`, 0 where the kernel gave none.
    """

    def __init__(self, step: str, problem: str | int) -> None:
        self.step = step
        self.number = problem if isinstance(problem, int) else 0
        if isinstance(problem, int):
            problem = f"{os.strerror(problem)} ({errno.errorcode.get(problem, problem)})"
        self.problem = problem
        super().__init__(f"{step}: {problem}")

    def __reduce__(self) -> tuple[type["KernelError"], tuple[str, str | int]]:
        return KernelError, (self.step, self.number or self.problem)


@cache
def _entry() -> Any:
    function: Any = ctypes.CDLL(None, use_errno=True).syscall
    function.restype = ctypes.c_long
    function.argtypes = [ctypes.c_long] * (SYSCALL_ARGUMENTS + 1)
    return function


@cache
def _number(name: str) -> int:
    from rlenvs.sandbox.kernel.syscalls import this_architecture  # it imports KernelError from here

    architecture = this_architecture()
    if name not in architecture.numbers:
        raise KernelError(name, f"{architecture.name} has no such system call")
    return architecture.numbers[name]


def raw_syscall(number: int, *arguments: int) -> int:
    """Make a system call by number.

    Returns:
        Its result, or minus the `errno`.
    """
    padded = (*arguments, *(0,) * (SYSCALL_ARGUMENTS - len(arguments)))
    result = int(_entry()(number, *padded))
    return result if result != -1 else -ctypes.get_errno()


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
    if raw_syscall(CLOSE_RANGE, lowest, HIGHEST_DESCRIPTOR, 0) < 0:
        os.closerange(lowest, os.sysconf("SC_OPEN_MAX"))


def text(value: str) -> "ctypes.Array[ctypes.c_char]":
    """Return a zero-terminated copy of a text; keep it alive while the kernel reads it."""
    return ctypes.create_string_buffer(os.fsencode(value))


def address(value: Any) -> int:
    """Return where a ctypes object lies."""
    return ctypes.addressof(value)
