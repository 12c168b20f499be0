"""Landlock: which files are left to read, and nothing else of the file system.

The rules name what is allowed; every kind of access that the running kernel can govern is governed.
"""

import ctypes
import os
import stat
from collections.abc import Iterable

from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import address, attempt, syscall

VERSION_FLAG = 1
RULE_PATH_BENEATH = 1

EXECUTE = 1 << 0
WRITE_FILE = 1 << 1
READ_FILE = 1 << 2
READ_DIR = 1 << 3
REMOVE_DIR = 1 << 4
REMOVE_FILE = 1 << 5
MAKE_DIR = 1 << 7
MAKE_REG = 1 << 8
REFER = 1 << 13
TRUNCATE = 1 << 14
IOCTL_DEV = 1 << 15

READ = READ_FILE | READ_DIR
SCRATCH = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

FIRST_FILE_RIGHTS = (1 << 13) - 1
NET_RIGHTS = 0b11  # TCP bind and connect
SCOPES = 0b11  # abstract unix sockets, signals


class _Attributes(ctypes.Structure):
    """`struct landlock_ruleset_attr`."""

    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    """`struct landlock_path_beneath_attr`, which is packed."""

    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def abi() -> int:
    """Return the version of Landlock that the running kernel offers.

    Raises:
        KernelError: none: not built in, or not switched on.
    """
    version = attempt("landlock_create_ruleset", 0, 0, VERSION_FLAG)
    if version < 1:
        raise KernelError("landlock", -version if version else "version 0")
    return version


def governed(version: int) -> tuple[int, int, int]:
    """Return the rights over files, the rights over the network, and the scopes that a version can govern."""
    files = FIRST_FILE_RIGHTS
    for since, right in ((2, REFER), (3, TRUNCATE), (5, IOCTL_DEV)):
        if version >= since:
            files |= right
    return files, NET_RIGHTS if version >= 4 else 0, SCOPES if version >= 6 else 0


class Ruleset:
    """Rules that are gathered first and take effect at once.

    Args:
        version: of Landlock, as `abi` says.
    """

    def __init__(self, version: int) -> None:
        self.files, net, scoped = governed(version)
        attributes = _Attributes(self.files, net, scoped)
        # Older kernels take a shorter structure, and refuse a longer one only if the rest is not zero.
        size = ctypes.sizeof(attributes)
        self.descriptor = syscall("landlock_create_ruleset", address(attributes), size, step="making Landlock rules")

    def allow(self, path: str, rights: int) -> None:
        """Allow these rights to a file, or to a folder and what is beneath.

        Raises:
            KernelError: the path cannot be opened.
        """
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError as error:
            raise KernelError(f"leaving {path} readable", error.errno or 0) from error
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= OF_FILES
            rule = _PathRule(rights & self.files, descriptor)
            step = f"leaving {path} readable"
            syscall("landlock_add_rule", self.descriptor, RULE_PATH_BENEATH, address(rule), 0, step=step)
        finally:
            os.close(descriptor)

    def enforce(self) -> None:
        """Confine this thread and all that it starts, for good."""
        try:
            syscall("landlock_restrict_self", self.descriptor, 0, step="enforcing Landlock rules")
        finally:
            os.close(self.descriptor)


def read_rules(readable: Iterable[str], hidden: Iterable[str]) -> dict[str, int]:
    """Return path to rights, so that readable folders are readable without the hidden ones in them.

    Landlock cannot take back what it allows above: a folder that holds a hidden one is listed entry by entry. That one
    shows the names in the hidden folder, not what they hold.
    """
    hidden = [os.path.realpath(path) for path in hidden]
    rules: dict[str, int] = {}
    for path in readable:
        pending = [os.path.realpath(path)]
        while pending:
            folder = pending.pop()
            if folder in hidden:
                continue
            if not any(other.startswith(folder + "/") for other in hidden):
                rules[folder] = rules.get(folder, 0) | READ
                continue
            rules[folder] = rules.get(folder, 0) | READ_DIR
            pending.extend(entry.path for entry in os.scandir(folder) if not entry.is_symlink())
    return rules
