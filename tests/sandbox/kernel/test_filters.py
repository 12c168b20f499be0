"""What the two filters decide, on both architectures: the same, by name."""

import errno
import re
from pathlib import Path

import pytest
from bpf_machine import decide

from rlenvs.sandbox.kernel import bpf, seccomp
from rlenvs.sandbox.kernel.syscalls import AARCH64, ARCHITECTURES, X86_64, Architecture, this_architecture

BOTH = pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=lambda architecture: architecture.name)
PID = 4321
OTHER_PID = 4322
ALLOW, KILL = bpf.ALLOW, bpf.KILL_PROCESS
EPERM, ENOSYS, EACCES = (bpf.ERRNO | number for number in (errno.EPERM, errno.ENOSYS, errno.EACCES))
THREAD = 0x3D0F00  # what the C library passes for a thread
FORK = 0x1200011  # and for a process
LEGACY = """access alarm dup2 epoll_create epoll_wait eventfd fork getpgrp lstat mkdir open pause
pipe poll readlink rename rmdir select stat time unlink vfork"""


class Policy:
    """Both filters, as a child has them: the stricter answer holds."""

    def __init__(self, architecture: Architecture, *, scratch: bool = False) -> None:
        self.architecture = architecture
        self.worker = bpf.assemble(seccomp.worker_code(architecture, scratch=scratch))
        holes = seccomp.child_code(architecture)
        self.child = bpf.assemble(
            tuple(each._replace(constant=PID) if each.constant == seccomp.OWN_PID else each for each in holes)
        )

    def in_worker(self, name: str, *arguments: int) -> int:
        return decide(
            self.worker,
            self.architecture.numbers[name],
            architecture=self.architecture.audit,
            arguments=arguments,
        )

    def in_child(self, name: str, *arguments: int) -> int:
        number = self.architecture.numbers[name]
        child = decide(self.child, number, architecture=self.architecture.audit, arguments=arguments)
        worker = self.in_worker(name, *arguments)
        return child if worker == ALLOW else worker


@BOTH
@pytest.mark.parametrize(
    ("call", "worker", "child"),
    [
        (("clone", FORK), ALLOW, EPERM),
        (("clone", THREAD), ALLOW, ALLOW),
        (("clone", THREAD | 1 << 40), ALLOW, ALLOW),
        (("clone", THREAD | 0x10000000), EPERM, EPERM),
        (("clone", THREAD | 0x2000), EPERM, EPERM),
        (("clone", THREAD | 0x8000), EPERM, EPERM),
        (("clone", FORK | 0x20000), EPERM, EPERM),
        (("clone", FORK | 0x2000000), EPERM, EPERM),
        (("clone", THREAD & ~0x10000), ALLOW, EPERM),
        (("clone", THREAD & ~0x800), ALLOW, EPERM),
        (("clone", 0x4111), ALLOW, EPERM),  # vfork
        (("clone3", 0, 0), ENOSYS, ENOSYS),
        (("kill", PID, 9), ALLOW, ALLOW),
        (("kill", OTHER_PID, 9), ALLOW, EPERM),
        (("kill", -PID, 9), ALLOW, EPERM),
        (("kill", -1, 9), ALLOW, EPERM),
        (("kill", 0, 9), ALLOW, EPERM),
        (("tgkill", PID, OTHER_PID, 6), ALLOW, ALLOW),
        (("tgkill", OTHER_PID, OTHER_PID, 6), ALLOW, EPERM),
        (("prctl", 15), ALLOW, ALLOW),
        (("prctl", 1, 0), ALLOW, EPERM),
        (("prctl", 4, 1), ALLOW, EPERM),
        (("prctl", 22, 2), ALLOW, EPERM),
        (("prlimit64", 0, 7, 0, 0x7FFF0000), ALLOW, ALLOW),
        (("prlimit64", PID, 7, 0, 0x7FFF0000), ALLOW, ALLOW),
        (("prlimit64", OTHER_PID, 7, 0, 0x7FFF0000), ALLOW, EPERM),
        (("prlimit64", 0, 7, 0x7FFF0000, 0), ALLOW, EPERM),
        (("prlimit64", 0, 7, 0x7FFF00000000, 0), ALLOW, EPERM),
        (("sendto", 3, 1, 1, 0, 0, 0), ALLOW, ALLOW),
        (("sendto", 3, 1, 1, 0, 0x7FFF00000000, 16), ALLOW, EPERM),
        (("seccomp", 1, 0, 0), ALLOW, EPERM),
        (("recvmsg", 3), ALLOW, EPERM),
        (("socketpair", 1, 1, 0), ALLOW, ALLOW),
        (("socketpair", 1, 1 | 0o2000000 | 0o4000, 0), ALLOW, ALLOW),
        (("socketpair", 1, 2, 0), EPERM, EPERM),
        (("socketpair", 1, 5, 0), EPERM, EPERM),
        (("socketpair", 16, 1, 0), EPERM, EPERM),
        (("socket", 1, 1, 0), EPERM, EPERM),
        (("fcntl", 3, 4), ALLOW, ALLOW),
        (("fcntl", 3, 8), EPERM, EPERM),
        (("fcntl", 3, 6), EPERM, EPERM),
        (("ioctl", 0, 0x5401), ALLOW, ALLOW),
        (("ioctl", 0, 0x5412), EPERM, EPERM),
        (("ioctl", 0, 0x5412 | 0xDEAD << 32), EPERM, EPERM),
        (("madvise", 0, 0, 4), ALLOW, ALLOW),
        (("madvise", 0, 0, 12), EPERM, EPERM),
        (("mmap", 0, 0, 3, 0x22), ALLOW, ALLOW),
        (("mmap", 0, 0, 3, 0x40022), EPERM, EPERM),
        (("futex", 0, 137), ALLOW, ALLOW),
        (("futex", 0, 128 | 6), ENOSYS, ENOSYS),
        (("futex", 0, 256 | 11), ENOSYS, ENOSYS),
        (("openat", -100, 1, 0o2000000), ALLOW, ALLOW),
        (("openat", -100, 1, 0o2000000 | 1), EACCES, EACCES),
        (("openat", -100, 1, 0o2), EACCES, EACCES),
        (("openat", -100, 1, 0o3), EACCES, EACCES),
        (("openat", -100, 1, 0o1000), EACCES, EACCES),
        (("openat", -100, 1, 0o100, 0o600), EACCES, EACCES),
        (("sendto", 3, 1, 1, 1, 0, 0), ALLOW, EPERM),
        (("recvfrom", 3, 1, 1, 0, 0, 0), ALLOW, ALLOW),
        (("recvfrom", 3, 1, 1, 0x41, 0, 0), EPERM, EPERM),
        (("pipe2", 1, 0o2004000), ALLOW, ALLOW),
        (("pipe2", 1, 0o200), EPERM, EPERM),
        (("mkdirat", 3), EPERM, EPERM),
        (("execve", 1), EPERM, EPERM),
        (("open_tree_attr", 1), EPERM, EPERM),
        (("read", 0), ALLOW, ALLOW),
        (("getpgid", 0), ALLOW, ALLOW),
        (("getpgid", PID), ALLOW, ALLOW),
        (("getpgid", OTHER_PID), ALLOW, EPERM),
        (("getsid", OTHER_PID), ALLOW, EPERM),
        (("sched_getaffinity", 0, 128, 1), ALLOW, ALLOW),
        (("sched_getaffinity", OTHER_PID, 128, 1), ALLOW, EPERM),
    ],
)
def test_a_call(architecture: Architecture, call: tuple[str, int], worker: int, child: int) -> None:
    policy = Policy(architecture)
    name, *arguments = call
    assert policy.in_worker(name, *arguments) == worker
    assert policy.in_child(name, *arguments) == child


@BOTH
def test_what_is_not_named_is_refused(architecture: Architecture) -> None:
    policy = Policy(architecture)
    allowed = {*seccomp.worker_cases(scratch=False)} - {"clone3"}
    for name in architecture.numbers:
        if name not in allowed:
            assert policy.in_worker(name) in (EPERM, ENOSYS), name
        if name in set(seccomp.ORDINARY.split()) - set(seccomp.ABOUT_A_PROCESS.split()):
            assert policy.in_child(name, -1, -1, -1, -1, -1, -1) == ALLOW, name


@BOTH
def test_files_change_only_where_there_is_a_scratch_folder(architecture: Architecture) -> None:
    policy = Policy(architecture, scratch=True)
    assert {policy.in_child(name) for name in seccomp.SCRATCH.split() if name in architecture.numbers} == {ALLOW}
    for name in ("linkat", "symlinkat", "mknodat", "fchmodat", "fchownat", "utimensat", "setxattr", "execve", "mount"):
        assert policy.in_child(name) == EPERM


@BOTH
def test_files_are_opened_for_writing_only_where_there_is_a_scratch_folder(architecture: Architecture) -> None:
    for place, name in enumerate(("open", "openat"), start=1):
        for flags in (0o100 | 1, 0o1000 | 1, 0o2, 0o3) if name in architecture.numbers else ():
            arguments = (1,) * place + (flags,)
            assert Policy(architecture).in_worker(name, *arguments) == EACCES
            assert Policy(architecture, scratch=True).in_worker(name, *arguments) == ALLOW


@BOTH
def test_foreign_calls_kill(architecture: Architecture) -> None:
    program = bpf.assemble(seccomp.worker_code(architecture, scratch=False))
    read = architecture.numbers["read"]
    for audit in {X86_64.audit, AARCH64.audit, 0x40000003, 0x40000028, 0} - {architecture.audit}:
        assert decide(program, read, architecture=audit) == KILL
    foreign = decide(program, 0x40000000 + read, architecture=architecture.audit)
    assert foreign == (KILL if architecture is X86_64 else ENOSYS)


@BOTH
def test_what_is_newer_than_the_tables_is_absent(architecture: Architecture) -> None:
    program = bpf.assemble(seccomp.worker_code(architecture, scratch=False))
    for number in (architecture.last + 1, 1000, 0x3FFFFFFF):
        assert decide(program, number, architecture=architecture.audit) == ENOSYS
    assert decide(program, architecture.last, architecture=architecture.audit) == EPERM


def test_the_architectures_have_the_same_calls_but_for_the_legacy() -> None:
    assert set(AARCH64.numbers) < set(X86_64.numbers)
    assert len(set(AARCH64.numbers.values())) == len(AARCH64.numbers)
    assert len(set(X86_64.numbers.values())) == len(X86_64.numbers)
    named = {*seccomp.worker_cases(scratch=True), *seccomp.child_cases()}
    assert named < set(X86_64.numbers)
    legacy = named - set(AARCH64.numbers)
    assert sorted(legacy) == LEGACY.split()
    shared = {name: number for name, number in X86_64.numbers.items() if number >= 424}
    assert all(AARCH64.numbers.get(name) == number for name, number in shared.items())


def test_every_name_has_the_number_of_the_headers() -> None:
    places = {
        "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        "aarch64": Path("/usr/include/asm-generic/unistd.h"),
    }
    headers = {name: path.read_text() for name, path in places.items() if path.exists()}
    if not headers:
        pytest.skip("no kernel headers here")
    for name, text in headers.items():
        found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text))
        found["newfstatat"] = found.get("newfstatat", found.get("fstatat", ""))
        numbers = ARCHITECTURES[name].numbers
        common = set(numbers) & {key for key, value in found.items() if value}
        assert len(common) > 250
        differ = {key for key in common if numbers[key] != int(found[key])}
        assert differ <= {"sync_file_range", "fadvise64"}


def test_this_machine_is_one_of_them() -> None:
    assert this_architecture() in (X86_64, AARCH64)
