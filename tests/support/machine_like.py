"""Machines that are not at hand, simulated for one command: `python machine_like.py docker,no-landlock -- command...`

* `docker`: a default container: Docker's default capabilities, and its seccomp profile as far as it denies things.
* `default-caps`: a container without a seccomp profile, as Kubernetes starts it: root with Docker's capabilities.
* `no-caps`: root without any capability.
* `user`: an ordinary user (the interpreter and this checkout are made readable where they lie).
* `no-userns`: user namespaces and mounts are refused, as on hardened hosts.
* `no-landlock`, `no-seccomp`: kernels without them.
* `no-proc`: /proc is masked.

All but the last steps need root. In tests use `command_on`.
"""

import errno
import os
import pwd
import sys
import types
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "rlenvs"
CONDITIONS = ("docker", "default-caps", "no-caps", "user", "no-userns", "no-landlock", "no-seccomp", "no-proc")
DOCKER_CAPABILITIES = 0xA80425FB
DOCKER_DENIES = """
mount umount2 pivot_root unshare setns move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr open_tree_attr
swapon swapoff reboot sethostname setdomainname init_module finit_module delete_module kexec_load kexec_file_load
bpf perf_event_open keyctl add_key request_key userfaultfd kcmp process_vm_readv process_vm_writev acct quotactl
settimeofday clock_settime adjtimex clock_adjtime lookup_dcookie open_by_handle_at personality io_uring_setup
io_uring_enter io_uring_register fanotify_init name_to_handle_at vhangup syslog uselib ustat sysfs iopl ioperm
"""
NAMESPACE_CALLS = "unshare setns mount move_mount open_tree fsopen fsmount mount_setattr pivot_root"
LANDLOCK_CALLS = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
NEW_NAMESPACES = 0x7E020000


def command_on(*conditions: str) -> list[str]:
    """Return what to put in front of a command. No conditions: nothing."""
    return [sys.executable, __file__, ",".join(conditions), "--"] if conditions else []


def can_simulate(*conditions: str) -> bool:
    """Whether this process may take away what the conditions take away, and has what they leave."""
    if not conditions:
        return True
    from rlenvs.sandbox.kernel.privileges import CAP_SYS_ADMIN, has_capability

    if sys.platform != "linux" or not has_capability(CAP_SYS_ADMIN):
        return False
    return not {"user", "default-caps"} & set(conditions) or "no-userns" in conditions or has_user_namespaces()


def has_user_namespaces() -> bool:
    """Whether the host lets ordinary users make user namespaces."""
    switches = {"user/max_user_namespaces": "0", "kernel/apparmor_restrict_unprivileged_userns": "1"}
    paths = {Path("/proc/sys") / name: off for name, off in switches.items()}
    return not any(path.exists() and path.read_text().strip() == off for path, off in paths.items())


def main() -> None:
    """Take away what the conditions say, then become the command."""
    names = sys.argv[1].split(",")
    assert set(names) <= set(CONDITIONS), f"unknown conditions: {names}"
    assert sys.argv[2] == "--", sys.argv
    use_stub_packages()
    from rlenvs.sandbox.kernel import privileges

    if "user" in names:
        open_the_way([sys.base_prefix, sys.prefix, str(PACKAGE.parent)])
    if "no-proc" in names:
        mask("/proc")
    install_filter(names)
    if "docker" in names or "default-caps" in names:
        privileges.set_capabilities(DOCKER_CAPABILITIES & privileges.capabilities())
    if "no-caps" in names:
        privileges.set_capabilities(0)
    if "user" in names:
        privileges.become(ordinary_user())
    os.execv(sys.argv[3], sys.argv[3:])


def use_stub_packages() -> None:
    """Let the kernel modules load without the rest of the project."""
    for name, folder in (("rlenvs", PACKAGE), ("rlenvs.sandbox", PACKAGE / "sandbox")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def ordinary_user() -> int:
    """A user id that no account has."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return next(uid for uid in range(20_001, 60_000) if uid not in taken)


def install_filter(names: list[str]) -> None:
    """Deny what the conditions deny."""
    from rlenvs.sandbox.kernel import bpf, seccomp
    from rlenvs.sandbox.kernel.syscalls import this_architecture

    numbers = this_architecture().numbers
    cases: dict[str, bpf.Code] = {}
    if {"docker", "no-caps", "no-userns"} & set(names):
        listed = DOCKER_DENIES if "docker" in names else NAMESPACE_CALLS
        cases |= dict.fromkeys(listed.split(), seccomp.DENIED)
        cases["clone"] = bpf.if_in(0, [0], seccomp.ALLOWED, seccomp.DENIED, mask=NEW_NAMESPACES)
        cases["clone3"] = seccomp.ABSENT
    if "no-landlock" in names:
        cases |= dict.fromkeys(LANDLOCK_CALLS.split(), seccomp.ABSENT)
    if "no-seccomp" in names:
        cases["seccomp"] = bpf.fail(errno.EINVAL)
    if not cases:
        return
    by_number = {numbers[name]: code for name, code in cases.items() if name in numbers}
    decide = bpf.by_number(by_number, default=seccomp.ALLOWED, above=seccomp.ALLOWED)
    seccomp.Filter((*bpf.load(bpf.NUMBER_OFFSET), *decide)).install()


def own_mounts() -> None:
    """Mount from here on without the host seeing it."""
    from rlenvs.sandbox.kernel import root
    from rlenvs.sandbox.kernel.libc import address, syscall, text
    from rlenvs.sandbox.kernel.namespaces import CLONE_NEWNS

    syscall("unshare", CLONE_NEWNS, step="simulating")
    slash = text("/")
    syscall("mount", 0, address(slash), 0, root.MS_REC | root.MS_PRIVATE, 0, step="simulating")


def mask(folder: str) -> None:
    """Mount an empty folder over one."""
    from rlenvs.sandbox.kernel import root

    own_mounts()
    root._attach(root._new_tmpfs(mode="0755"), root.AT_FDCWD, folder)


def open_the_way(paths: list[str]) -> None:
    """Make folders readable for everybody that lie beneath ones that are not, such as an interpreter in /root."""
    from rlenvs.sandbox.kernel import root
    from rlenvs.sandbox.kernel.libc import address, syscall, text

    own_mounts()
    closed: dict[str, list[tuple[str, int]]] = {}
    for path in dict.fromkeys(map(os.path.realpath, paths)):
        ancestors = [str(parent) for parent in reversed(Path(path).parents)]
        blocked = next((each for each in ancestors if not os.stat(each).st_mode & 0o001), None)
        if blocked is not None:
            source = text(path)
            flags = root.OPEN_TREE_CLONE | os.O_CLOEXEC | root.AT_RECURSIVE
            tree = syscall("open_tree", root.AT_FDCWD, address(source), flags, step="simulating")
            closed.setdefault(blocked, []).append((path, tree))
    for blocked, trees in closed.items():
        root._attach(root._new_tmpfs(mode="0755"), root.AT_FDCWD, blocked)
        for path, tree in trees:
            os.makedirs(path, exist_ok=True)
            root._attach(tree, root.AT_FDCWD, path)


if __name__ == "__main__":
    main()
