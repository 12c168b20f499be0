"""What text of a model may try against the machine, one function each. Each says in `EXPECTED` how it must end.

Runs inside a confined process that has loaded the standard library's C modules already; see `inmates`.
"""

import ctypes
import errno
import fcntl
import gc
import mmap
import os
import platform
import resource
import select
import signal
import socket
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"
EXPECTED = {}
EPERM, EACCES = ("errno", "EPERM"), ("errno", "EACCES")
UNREADABLE = (("errno", "EACCES"), ("errno", "ENOENT"))


def ends(*ways):
    def note(function):
        EXPECTED[function.__name__] = ways
        return function

    return note


def call(name, *arguments):
    from rlenvs.sandbox.kernel.libc import attempt

    result = attempt(name, *arguments)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def refused(names, *arguments):
    """Make every call, and tell those that were not refused."""
    from rlenvs.sandbox.kernel.syscalls import this_architecture

    numbers = this_architecture().numbers
    wrong = {}
    for name in names.split():
        if name in numbers:
            try:
                wrong[name] = call(name, *arguments)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOSYS):
                    wrong[name] = errno.errorcode[error.errno]
    return wrong


def write(path, mode):
    with open(path, mode) as file:
        file.write("x")


# processes


@ends(EPERM)
def fork():
    return os.fork()


@ends(EPERM, *UNREADABLE)
def forkpty():
    return os.forkpty()


@ends(EPERM)
def execute():
    os.execv(sys.executable, [sys.executable, "-c", "pass"])


@ends(EPERM)
def spawn():
    return os.posix_spawn("/bin/true", ["true"], {})


@ends(("returned", {}))
def process_calls():
    return refused("fork vfork execve execveat setsid setpgid") | refused("clone", signal.SIGCHLD)


@ends(EPERM)
def clone_with_a_new_user_namespace():
    return call("clone", 0x10000000 | signal.SIGCHLD)


@ends(EPERM)
def clone_with_shared_memory_but_no_thread():
    return call("clone", 0x100 | signal.SIGCHLD)


@ends(EPERM)
def clone_a_thread_into_new_namespaces():
    return call("clone", 0x10900 | 0x20000)


@ends(("errno", "ENOSYS"))
def clone3():
    return call("clone3", 0, 0)


@ends(("returned", []))
def threads_beyond_the_limit():
    """Also an honest thread: the first ones must start."""
    gate, started = threading.Event(), []
    try:
        for _ in range(1000):
            thread = threading.Thread(target=gate.wait, daemon=True)
            thread.start()
            started.append(thread)
    except RuntimeError:
        pass
    count = len(started)
    gate.set()
    # Where users share an id, the memory bounds threads: 128 MiB hold 16 stacks of 8 MiB at most.
    return [] if 3 <= count <= 20 else [count]


@ends(("returned", 7))
def a_thread_with_a_big_stack():
    threading.stack_size(64 << 20)
    found = []
    thread = threading.Thread(target=lambda: found.append(7))
    thread.start()
    thread.join()
    return found[0]


# signals


@ends(EPERM)
def kill_the_worker():
    os.kill(os.getppid(), signal.SIGKILL)


@ends(EPERM)
def kill_the_first_process():
    os.kill(1, signal.SIGKILL)


@ends(EPERM)
def kill_everything():
    os.kill(-1, signal.SIGKILL)


@ends(EPERM)
def kill_the_group():
    os.kill(0, signal.SIGKILL)


@ends(EPERM)
def signal_a_thread_of_the_worker():
    call("tgkill", os.getppid(), os.getppid(), 9)


@ends(("returned", {}))
def other_ways_to_signal():
    return refused("tkill rt_sigqueueinfo rt_tgsigqueueinfo pidfd_open pidfd_send_signal", os.getppid(), 9, 9)


@ends(EPERM)
def let_the_kernel_signal_the_worker():
    reader, _ = os.pipe()
    fcntl.fcntl(reader, 8, os.getppid())  # F_SETOWN


@ends(EPERM)
def choose_the_signal():
    reader, _ = os.pipe()
    fcntl.fcntl(reader, 10, signal.SIGKILL)  # F_SETSIG


@ends(("signal", signal.SIGTERM))
def end_oneself():
    os.kill(os.getpid(), signal.SIGTERM)


@ends(("signal", signal.SIGABRT))
def abort():
    os.abort()


# the network and other channels


@ends(("returned", {}))
def sockets_of_every_family():
    return {
        family: got
        for family in range(46)
        if (got := refused("socket", family, 1, 0) | refused("socket", family, 2, 0))
    }


@ends(("returned", {}))
def socket_calls():
    return refused("connect bind listen accept accept4 setsockopt sendmsg sendmmsg recvmmsg", 0)


@ends(EPERM)
def pair_of_datagram_sockets():
    """They could send to any abstract address."""
    socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


@ends(("returned", "hello"))
def pair_of_streams():
    one, other = socket.socketpair()
    one.sendall(b"hello")
    one.shutdown(socket.SHUT_WR)
    return other.recv(9).decode()


@ends(EPERM)
def send_to_an_address():
    one, _ = socket.socketpair()
    one.sendto(b"x", "\0somebody")


@ends(("returned", {}))
def shared_memory_and_queues():
    return refused(
        "shmget shmat shmctl semget semop semctl msgget msgsnd msgrcv mq_open mq_unlink memfd_create memfd_secret"
    )


@ends(("returned", {}))
def locks_on_shared_files():
    reader, _ = os.pipe()
    return refused("flock", reader, 2) | {
        c: got for c in (5, 6, 7, 36, 37, 38, 1024) if (got := refused("fcntl", reader, c))
    }


# other processes' memory, the kernel's rarer doors


@ends(("returned", {}))
def look_into_others():
    return refused("ptrace process_vm_readv process_vm_writev kcmp pidfd_getfd process_madvise process_mrelease", 16)


@ends(("returned", 0))
def memory_is_hidden():
    """PR_GET_DUMPABLE: 0 keeps other processes of the same user out, and core dumps from being written."""
    return call("prctl", 3)


@ends(("returned", {}))
def rare_doors():
    return refused(
        """io_uring_setup io_uring_enter io_uring_register io_setup bpf perf_event_open userfaultfd keyctl add_key
        request_key fanotify_init inotify_init inotify_init1 modify_ldt personality name_to_handle_at
        open_by_handle_at lookup_dcookie quotactl acct swapon reboot syslog init_module finit_module kexec_load
        iopl ioperm seccomp landlock_create_ruleset landlock_restrict_self timer_create timerfd_create signalfd4
        mincore cachestat splice tee vmsplice sched_setaffinity sched_setscheduler setpriority mlock mlockall
        clock_settime settimeofday adjtimex sethostname setdomainname vhangup uselib map_shadow_stack"""
    )


@ends(("returned", {}))
def mounts_and_namespaces():
    return refused(
        """mount umount2 pivot_root chroot unshare setns open_tree move_mount fsopen fsconfig fsmount fspick
        mount_setattr statmount listmount open_tree_attr"""
    )


@ends(("returned", {}))
def more_rights():
    return refused(
        "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset capget", 0, 0, 0
    )


@ends(("returned", {}))
def process_settings():
    """PDEATHSIG, DUMPABLE, NO_NEW_PRIVS, SECCOMP, PTRACER, CHILD_SUBREAPER, MM, TSC, speculation."""
    options = (1, 4, 8, 22, 24, 26, 28, 35, 36, 38, 47, 52, 53, 0x59616D61)
    return {option: got for option in options if (got := refused("prctl", option, 0, 0, 0, 0))}


@ends(("returned", {}))
def the_whole_table():
    """Every call that is not named by a filter is refused, whatever its arguments."""
    from rlenvs.sandbox.kernel import seccomp
    from rlenvs.sandbox.kernel.syscalls import this_architecture

    named = {*seccomp.worker_cases(scratch=False)} - {"clone3"}
    names = [name for name in this_architecture().numbers if name not in named]
    return refused(" ".join(names), *(-1,) * 6) if len(names) > 200 else {"table": len(names)}


@ends(("errno", "ENOSYS"))
def a_call_of_the_future():
    from rlenvs.sandbox.kernel.libc import raw_syscall

    raise OSError(-raw_syscall(9999), "")


if X86:

    @ends(("signal", signal.SIGSYS))
    def foreign_numbers():
        from rlenvs.sandbox.kernel.libc import raw_syscall

        return raw_syscall(0x40000000 + 39)

    @ends(("signal", signal.SIGSYS))
    def calls_of_32_bits():
        """mov eax, 20 (getpid); int 0x80; ret."""
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")
        start = ctypes.addressof(ctypes.c_char.from_buffer(page))
        return ctypes.CFUNCTYPE(ctypes.c_int)(start)()


# files


@ends(*UNREADABLE)
def read_passwd():
    return open("/etc/passwd").read(9)


@ends(*UNREADABLE)
def read_shadow():
    return open("/etc/shadow").read(9)


@ends(EACCES)
def list_the_root():
    return os.listdir("/")


@ends(*UNREADABLE)
def read_the_environment_of_the_worker():
    return open(f"/proc/{os.getppid()}/environ").read(9)


@ends(*UNREADABLE)
def read_own_maps():
    return open("/proc/self/maps").read(9)


@ends(*UNREADABLE)
def write_into_memory_of_the_worker():
    return open(f"/proc/{os.getppid()}/mem", "r+b").read(1)


@ends(*UNREADABLE, ("errno", "EROFS"))
def write_a_canary():
    write("/tmp/sandbox_kernel_canary", "w")


@ends(*UNREADABLE, ("errno", "EROFS"))
def write_into_the_standard_library():
    write(os.__file__, "a")


@ends(*UNREADABLE, ("errno", "EROFS"))
def write_into_shared_memory():
    write("/dev/shm/sandbox_kernel_canary", "w")


@ends(*UNREADABLE)
def read_an_installed_package():
    folder = os.path.join(os.path.dirname(os.__file__), "site-packages")
    return [open(os.path.join(folder, name)).read(1) for name in ("README.txt", "pip/__init__.py")]


@ends(("returned", {}))
def change_the_file_system():
    path = ctypes.create_string_buffer(b"/tmp")
    where = ctypes.addressof(path)
    return refused(
        """chmod chown lchown mkdir rmdir unlink rename link symlink mknod truncate utime utimes creat setxattr
        lsetxattr removexattr chroot swapoff""",
        where,
        where,
        where,
    ) | refused(
        """mkdirat unlinkat renameat renameat2 linkat symlinkat mknodat fchmodat fchmodat2 fchownat utimensat futimesat
        setxattrat removexattrat openat2""",
        -100,
        where,
        -100,
        where,
    )


@ends(("returned", {}))
def change_what_is_open():
    reader, _ = os.pipe()
    return refused(
        "fchmod fchown fsetxattr fremovexattr fallocate fsync sync syncfs sendfile copy_file_range", reader, 0
    )


@ends(("returned", {}))
def devices():
    """TIOCSTI, TIOCSCTTY, FS_IOC_SETFLAGS, FICLONE, BLKGETSIZE, LOOP_CTL_GET_FREE."""
    commands = (0x5412, 0x540E, 0x40086602, 0x40049409, 0x1260, 0x4C82, 0x5411)
    return {command: got for command in commands if (got := refused("ioctl", 0, command))}


@ends(("returned", {}))
def pages_of_others():
    """MADV_MERGEABLE, COLD, PAGEOUT, HWPOISON."""
    page = mmap.mmap(-1, mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(page))
    advice = (12, 20, 21, 100)
    return {value: got for value in advice if (got := refused("madvise", start, mmap.PAGESIZE, value))}


@ends(EPERM)
def huge_pages_of_the_machine():
    return call("mmap", 0, 2 << 20, 3, 0x40000 | 0x22, -1, 0)


@ends(("returned", {}))
def futexes_with_priorities():
    return {command: got for command in (6, 7, 8, 11, 12, 13, 134) if (got := refused("futex", 0, command))}


@ends(("returned", []))
def open_descriptors():
    """Nothing is open but the standard streams and the pipe that this answer takes."""
    found = []
    for number in range(256):
        try:
            os.fstat(number)
        except OSError:
            continue
        found.append(number)
    return [] if len(found) <= 4 else found


# limits


@ends(("raised", "MemoryError: "))
def memory_at_once():
    return len(bytearray(512 << 20))


@ends(("raised", "MemoryError: "))
def memory_by_growing():
    kept = []
    while True:
        kept.append(bytearray(4 << 20))


@ends(("errno", "ENOMEM"))
def shared_mapping():
    return len(mmap.mmap(-1, 512 << 20))


@ends(("returned", 33554432))
def memory_within_the_limit():
    return len(bytearray(32 << 20))


@ends(("errno", "EMFILE"))
def descriptors():
    kept = []
    while True:
        kept.append(os.pipe())


@ends(("returned", {}))
def raise_limits():
    """As the resource module does it, and as the C library of other programs does."""
    wrong = {}
    for kind in range(16):
        soft, hard = resource.getrlimit(kind)
        if kind in (0, 1, 4, 5, 7) and soft != hard:
            wrong[kind] = (soft, hard)
        try:
            resource.setrlimit(kind, (hard, hard))
            wrong[kind] = "set"
        except (ValueError, OSError):
            pass
    return wrong | refused("prlimit64", os.getppid(), 7, 0, 0) | refused("setrlimit", 7, 0)


@ends(("returned", True))
def what_python_needs():
    """Clocks, random numbers, polling, pipes, garbage: honest code must notice nothing."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    poll = select.epoll()
    poll.register(reader)
    os.write(writer, b"x")
    assert poll.poll(1)[0][0] == reader
    time.sleep(0.001)
    assert len(os.urandom(8)) == 8
    assert time.time() > 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0
    assert resource.getrlimit(resource.RLIMIT_AS)[0] > 0
    assert not os.isatty(reader)
    assert os.getpid() > 0
    assert os.cpu_count()
    gc.collect()
    return True
