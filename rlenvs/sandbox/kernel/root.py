"""A file system that holds what a worker may read, read-only, and a bounded scratch folder if planned. No /proc."""

import ctypes
import os
import stat
from dataclasses import dataclass

from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import address, syscall, text
from rlenvs.sandbox.kernel.plan import Plan

AT_FDCWD = -100
AT_RECURSIVE, AT_EMPTY_PATH = 0x8000, 0x1000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
FSOPEN_CLOEXEC = FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_STRING, FSCONFIG_CMD_CREATE = 1, 6
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC = 1, 2, 4, 8
READ_ONLY = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MNT_DETACH = 2

SCRATCH_FOLDER = "/box"
SCRATCH_INODES = 4096
ROOT_INODES = 4096
ROOT_MB = 4


class _MountAttributes(ctypes.Structure):
    """`struct mount_attr`."""

    _fields_ = (
        ("set", ctypes.c_uint64),
        ("clear", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class Tree:
    """A copy of a mount that hangs nowhere yet."""

    path: str
    descriptor: int
    is_folder: bool


def clone_trees(plan: Plan) -> list[Tree]:
    """Take copies of everything readable, under each name it goes by; no change here reaches the host.

    Raises:
        KernelError: a path is missing, or the kernel refuses.
    """
    step = "making mounts private"
    syscall("mount", 0, address(root := text("/")), 0, MS_REC | MS_PRIVATE, 0, step=step)
    del root
    names = {name for path in plan.readable for name in (os.path.normpath(path), os.path.realpath(path))}
    trees = []
    for path in sorted(names, key=lambda path: (path.count("/"), path)):
        step = f"leaving {path} readable"
        source = text(path)
        flags = OPEN_TREE_CLONE | os.O_CLOEXEC | AT_RECURSIVE
        descriptor = syscall("open_tree", AT_FDCWD, address(source), flags, step=step)
        _set_attributes(descriptor, READ_ONLY, step=step)
        trees.append(Tree(path, descriptor, stat.S_ISDIR(os.fstat(descriptor).st_mode)))
    return trees


def build_root(plan: Plan, trees: list[Tree]) -> None:
    """Make the new root out of the copies, and make it the only one.

    Raises:
        KernelError: a step failed.
    """
    os.umask(0o022)  # what is made here must be open to the user to come
    root = _new_tmpfs(size=f"{ROOT_MB}m", nr_inodes=str(ROOT_INODES), mode="0755")
    # Any folder serves as the place to attach: the sources are copied, and the old root goes away.
    _attach(root, AT_FDCWD, next(entry.path for entry in os.scandir("/") if entry.is_dir(follow_symlinks=False)))
    try:
        _fill(root, plan, trees)
        if plan.scratch_mb:
            os.mkdir(SCRATCH_FOLDER[1:], dir_fd=root)
        _set_attributes(root, READ_ONLY, step="making the root read-only")
        if plan.scratch_mb:
            _attach(_scratch(plan), root, SCRATCH_FOLDER[1:])
    except OSError as error:
        raise KernelError("building the root", error.errno or 0) from error
    _pivot(root)


def _fill(root: int, plan: Plan, trees: list[Tree]) -> None:
    """Hang the copies where they belong, and empty folders over what is hidden in them."""
    hidden = {name for path in plan.hidden for name in (os.path.normpath(path), os.path.realpath(path))}
    pending = [(tree.path, tree) for tree in trees] + [(path, None) for path in hidden - {tree.path for tree in trees}]
    covered: dict[str, bool] = {}
    for path, tree in sorted(pending, key=lambda item: (item[0].count("/"), item[0])):
        nearest = max((other for other in covered if path.startswith(other + "/")), key=len, default=None)
        inside_readable = nearest is not None and covered[nearest]
        relative = path.lstrip("/")
        if tree is None:
            if inside_readable and _is_folder(relative, root):
                _attach(_new_tmpfs(size=f"{ROOT_MB}m", nr_inodes=str(ROOT_INODES), mode="0755"), root, relative)
                covered[path] = False
        elif not inside_readable:
            _make_mountpoint(root, relative, folder=tree.is_folder)
            _attach(tree.descriptor, root, relative)
            covered[path] = True
        else:
            os.close(tree.descriptor)


def _is_folder(relative: str, root: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(relative, dir_fd=root, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _make_mountpoint(root: int, relative: str, *, folder: bool) -> None:
    parts = relative.split("/")
    for end in range(1, len(parts) + folder):
        try:
            os.mkdir("/".join(parts[:end]), 0o755, dir_fd=root)
        except FileExistsError:
            continue
    if not folder:
        os.close(os.open(relative, os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644, dir_fd=root))


def _new_tmpfs(**options: str) -> int:
    """Return a descriptor of a new file system in memory, attached nowhere."""
    step = "making a file system in memory"
    kind = text("tmpfs")
    context = syscall("fsopen", address(kind), FSOPEN_CLOEXEC, step=step)
    try:
        for key, value in options.items():
            key_text, value_text = text(key), text(value)
            arguments = (context, FSCONFIG_SET_STRING, address(key_text), address(value_text), 0)
            syscall("fsconfig", *arguments, step=step)
        syscall("fsconfig", context, FSCONFIG_CMD_CREATE, 0, 0, 0, step=step)
        attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC
        return syscall("fsmount", context, FSMOUNT_CLOEXEC, attributes, step=step)
    finally:
        os.close(context)


def _scratch(plan: Plan) -> int:
    owner = {"uid": str(plan.uid), "gid": str(plan.uid)} if plan.uid is not None else {}
    return _new_tmpfs(size=f"{plan.scratch_mb}m", nr_inodes=str(SCRATCH_INODES), mode="0700", **owner)


def _attach(mount: int, folder: int, relative: str) -> None:
    """Attach what hangs nowhere. The descriptor of a root stays open: it is where the rest is built."""
    empty, target = text(""), text(relative)
    step = f"mounting {relative}"
    syscall("move_mount", mount, address(empty), folder, address(target), MOVE_MOUNT_F_EMPTY_PATH, step=step)
    if folder != AT_FDCWD:
        os.close(mount)


def _set_attributes(mount: int, attributes: int, *, step: str) -> None:
    empty, change = text(""), _MountAttributes(attributes, 0, 0, 0)
    flags = AT_EMPTY_PATH | AT_RECURSIVE
    syscall("mount_setattr", mount, address(empty), flags, address(change), ctypes.sizeof(change), step=step)


def _pivot(root: int) -> None:
    """Make a mount the root of this process, and let go of the old one."""
    step = "changing the root"
    here = text(".")
    os.fchdir(root)
    os.close(root)
    syscall("pivot_root", address(here), address(here), step=step)
    syscall("umount2", address(here), MNT_DETACH, step=step)
    os.chdir("/")
