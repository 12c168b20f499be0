"""Which system calls are left: one filter for the whole worker, a second on top for the process that runs model text.

Both are allow-lists. What is not named fails with `EPERM`; what is newer than our tables fails with `ENOSYS`, so that
the C library falls back to what it used before; a foreign calling convention kills the process.
"""

import ctypes
import errno

from rlenvs.sandbox.kernel import bpf
from rlenvs.sandbox.kernel.bpf import Code, if_in, if_zero
from rlenvs.sandbox.kernel.libc import PR_GET_DUMPABLE, PR_GET_NAME, PR_SET_NAME, PR_SET_VMA, Step, address, in_turn
from rlenvs.sandbox.kernel.syscalls import Architecture

ALLOWED = bpf.answer(bpf.ALLOW)
DENIED = bpf.fail(errno.EPERM)
UNWRITABLE = bpf.fail(errno.EACCES)
ABSENT = bpf.fail(errno.ENOSYS)
KILLED = bpf.answer(bpf.KILL_PROCESS)

CLONE_VM, CLONE_SIGHAND, CLONE_THREAD = 0x100, 0x800, 0x10000
CLONE_PTRACE, CLONE_PARENT = 0x2000, 0x8000
CLONE_NAMESPACES = 0x7E020000  # NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET and NEWNS
AF_UNIX = 1
SOCK_STREAM = 1
SOCK_OPTIONS = 0o2004000  # SOCK_CLOEXEC, SOCK_NONBLOCK
SECCOMP_SET_MODE_FILTER = 1

ORDINARY = """
read write readv writev pread64 pwrite64 lseek close close_range dup dup2 dup3 pipe ftruncate
fstat stat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getcwd chdir fchdir getdents64
poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 eventfd eventfd2
munmap mprotect mremap brk
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack
alarm pause setitimer getitimer nanosleep clock_nanosleep restart_syscall
clock_gettime clock_getres gettimeofday time times getrusage
getpid getppid gettid getpgid getpgrp getsid getuid geteuid getgid getegid getresuid getresgid getgroups
set_robust_list rseq sched_yield sched_getaffinity getcpu
getrandom uname sysinfo umask getrlimit
shutdown getsockname getpeername getsockopt
wait4 waitid exit exit_group
"""
"""What the text of a model may call: it reaches no further than its own process and the files that are left."""

ZYGOTE_ONLY = "fork vfork kill tgkill recvmsg sendmsg sendto seccomp prctl prlimit64 setrlimit setpgid setsid"
"""What the worker needs on top, to start, confine, talk to and end its children."""

SCRATCH = """
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 truncate fallocate fsync fdatasync
"""
"""What changes files: only where there is a scratch folder, and there Landlock keeps it inside."""

READ_FCNTL = (0, 1, 2, 3, 4, 1030, 1032)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_GETPIPE_SZ. Not F_SETOWN and F_SETSIG, which send
signals; no locks, which are seen by every other reader of the same file."""
HARMLESS_IOCTL = (0x5451, 0x5450, 0x5401, 0x5413, 0x5421, 0x541B)
"""FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ, FIONBIO, FIONREAD."""
HARMLESS_MADVISE = (0, 1, 2, 3, 4, 8, 14, 15, 16, 17)
"""NORMAL, RANDOM, SEQUENTIAL, WILLNEED, DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP. Not MERGEABLE and
PAGEOUT, by which processes learn of each other's pages."""
MAP_HUGETLB = 0x40000
"""Huge pages come from a store that the whole machine shares."""
CHANGES_FILES = 0o1103
"""Access modes beyond reading, O_CREAT and O_TRUNC. Landlock alone would not do: it does not see a file opened in mode
3, which is for neither reading nor writing, and before its third version not that O_TRUNC empties it."""
PIPE_OPTIONS = 0o2004000
"""O_CLOEXEC, O_NONBLOCK. Not O_EXCL, by which the kernel reports events of its own."""
MSG_OOB = 1
"""Out-of-band bytes of a stream: to the reader on the other side they are a stream that is ready and has nothing."""
PLAIN_FUTEX = (0, 1, 3, 4, 5, 9, 10)
"""WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAKE_OP and the BITSET ones: nobody here uses the doors to priority inheritance."""
FUTEX_COMMAND = 0x7F
HARMLESS_PRCTL = (PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_SET_VMA)
ABOUT_A_PROCESS = "getpgid getsid sched_getaffinity"
"""Answers differ for ids that exist and ids that do not: where ids are shared, that tells who else is there."""

OWN_PID = 0xFFFFFFF5
"""Stands for the process id of a child while its filter is put together; no process has it."""
HOLE = OWN_PID.to_bytes(4, "little")


def worker_code(architecture: Architecture, *, scratch: bool) -> Code:
    """The filter of the worker and of everything that it starts: names what is allowed, and nothing else is."""
    numbers = _numbered(architecture, worker_cases(scratch=scratch))
    numbers.setdefault(architecture.last, DENIED)
    decide = bpf.by_number(numbers, default=DENIED, above=ABSENT)
    if architecture.foreign_bit:
        decide = bpf.branch(bpf.JUMP_GREATER_EQUAL, architecture.foreign_bit, KILLED, decide)
    known = (*bpf.load(bpf.NUMBER_OFFSET), *decide)
    right = bpf.branch(bpf.JUMP_EQUAL, architecture.audit, known, KILLED)
    return (*bpf.load(bpf.ARCHITECTURE_OFFSET), *right)


def child_code(architecture: Architecture) -> Code:
    """What a process that runs model text loses on top: it is one process and its threads, and signals itself alone.

    It holds together with the filter of the worker only, and it is short, because it is installed for each execution.
    """
    numbers = _numbered(architecture, child_cases())
    return (*bpf.load(bpf.NUMBER_OFFSET), *bpf.by_number(numbers, default=ALLOWED, above=ALLOWED))


def worker_cases(*, scratch: bool) -> dict[str, Code]:
    """What the worker's filter decides, by name; what is not named is denied."""
    only_streams = if_in(1, [SOCK_STREAM], ALLOWED, DENIED, mask=0xFFFFFFFF ^ SOCK_OPTIONS)
    to_read = 0 if scratch else CHANGES_FILES
    return {
        **_allow(ORDINARY, ZYGOTE_ONLY, SCRATCH if scratch else ""),
        "open": if_in(1, [0], ALLOWED, UNWRITABLE, mask=to_read),
        "openat": if_in(2, [0], ALLOWED, UNWRITABLE, mask=to_read),
        "pipe2": if_in(1, [0], ALLOWED, DENIED, mask=0xFFFFFFFF ^ PIPE_OPTIONS),
        "recvfrom": if_in(3, [0], ALLOWED, DENIED, mask=MSG_OOB),
        "clone": if_in(0, [0], ALLOWED, DENIED, mask=CLONE_NAMESPACES | CLONE_PTRACE | CLONE_PARENT),
        "clone3": ABSENT,  # its flags lie behind a pointer; the C library falls back to clone
        "fcntl": if_in(1, READ_FCNTL, ALLOWED, DENIED),
        "futex": if_in(1, PLAIN_FUTEX, ALLOWED, ABSENT, mask=FUTEX_COMMAND),
        "ioctl": if_in(1, HARMLESS_IOCTL, ALLOWED, DENIED),
        "madvise": if_in(2, HARMLESS_MADVISE, ALLOWED, DENIED),
        "mmap": if_in(3, [0], ALLOWED, DENIED, mask=MAP_HUGETLB),
        # asyncio wakes itself up through a socket pair: one of streams has no other end than its own.
        "socketpair": if_in(0, [AF_UNIX], only_streams, DENIED),
    }


def child_cases() -> dict[str, Code]:
    """What a child's filter decides on top, by name; what is not named is left to the worker's."""
    thread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD
    to_itself = if_in(0, [OWN_PID], ALLOWED, DENIED)
    return {
        **dict.fromkeys(ZYGOTE_ONLY.split(), DENIED),
        "clone": if_in(0, [thread], ALLOWED, DENIED, mask=thread | CLONE_NAMESPACES | CLONE_PTRACE),
        "kill": to_itself,
        "tgkill": to_itself,
        "sendto": if_in(3, [0], if_zero(4, ALLOWED, DENIED), DENIED, mask=MSG_OOB),
        "prctl": if_in(0, HARMLESS_PRCTL, ALLOWED, DENIED),
        "prlimit64": if_zero(2, if_in(0, [0, OWN_PID], ALLOWED, DENIED), DENIED),
        **dict.fromkeys(ABOUT_A_PROCESS.split(), if_in(0, [0, OWN_PID], ALLOWED, DENIED)),
    }


def _allow(*names: str) -> dict[str, Code]:
    return dict.fromkeys(" ".join(names).split(), ALLOWED)


def _numbered(architecture: Architecture, cases: dict[str, Code]) -> dict[int, Code]:
    """By number instead of by name; what this architecture never had falls away."""
    return {architecture.numbers[name]: code for name, code in cases.items() if name in architecture.numbers}


class _Program(ctypes.Structure):
    """`struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


class Filter:
    """A filter, laid out for the kernel.

    Args:
        code: what it decides. `OWN_PID` in it stands for the process that installs it.
    """

    def __init__(self, code: Code) -> None:
        self.content = bpf.assemble(code)
        self.instructions = bytearray(self.content)
        self.shared = (ctypes.c_char * len(self.content)).from_buffer(self.instructions)
        self.program = _Program(len(code), address(self.shared))
        own = [each for each in code if each.code == bpf.JUMP_EQUAL and each.constant == OWN_PID]
        self.is_filled_in = not own
        assert self.content.count(HOLE) == len(own), "bytes that look like a hole"

    def fill_in(self, pid: int) -> None:
        """Put the number of this process where the filter asks for it."""
        self.instructions[:] = self.content.replace(HOLE, pid.to_bytes(4, "little"))

    def installing(self) -> Step:
        """Return what puts it on this thread and on all that it starts, for good; before that its holes are filled."""
        arguments = (SECCOMP_SET_MODE_FILTER, 0, address(self.program))
        return Step("seccomp", arguments, "installing a seccomp filter", self)

    def install(self) -> None:
        """Put it on this thread and on all that it starts, for good.

        Raises:
            KernelError: the kernel has no seccomp, or `no_new_privs` is not set.
        """
        assert self.is_filled_in, "a filter with a hole"
        in_turn([self.installing()])()
