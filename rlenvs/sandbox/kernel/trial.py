"""Each step of confinement, done for real and looked at from inside. Runs in a throw-away process: see `probe`."""

import errno
import json
import os
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass

from rlenvs.sandbox.kernel import landlock, seccomp
from rlenvs.sandbox.kernel.bpf import NUMBER_OFFSET, by_number, load
from rlenvs.sandbox.kernel.confinement import confine, enter
from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.libc import PR_SET_NO_NEW_PRIVS, attempt, prctl
from rlenvs.sandbox.kernel.namespaces import isolate
from rlenvs.sandbox.kernel.plan import Plan
from rlenvs.sandbox.kernel.privileges import CAP_SYS_ADMIN, become, can_become_another, free_uid, has_capability
from rlenvs.sandbox.kernel.syscalls import this_architecture

LONGEST_REPORT = 4096


@dataclass(frozen=True)
class _TrialLimits:
    """Limits unlike any default, so that they are recognised."""

    cpu_s: float | None = 61.0
    memory_mb: int = 64
    threads: int = 3
    file_bytes: int = 12_345
    open_files: int = 29


def main() -> None:
    """Print what works: name to an empty text, or to the problem."""
    tries: dict[str, Callable[[], str]] = {
        "architecture": lambda: this_architecture().name,
        "seccomp": _seccomp,
        "landlock": _landlock,
        "another user": _another_user,
        "namespaces": _namespaces,
        "tier A": lambda: _tier("A"),
        "tier B": lambda: _tier("B"),
    }
    json.dump({name: in_child(work) for name, work in tries.items()}, sys.stdout)


def in_child(work: Callable[[], str]) -> tuple[bool, str]:
    """Do something that cannot be undone in a child.

    Returns:
        Whether it worked, and what it returned or what the problem was.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if not child:
        report = json.dumps((False, "it ended without a report"))
        try:
            report = json.dumps((True, work()))
        except (KernelError, OSError, ValueError) as error:
            report = json.dumps((False, str(error)))
        finally:
            os.write(writer, report.encode())
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        report = file.read(LONGEST_REPORT).decode()
    os.waitpid(child, 0)
    if not report:
        return False, "the process was killed"
    worked, text = json.loads(report)
    return bool(worked), str(text)


def _require(condition: bool, step: str, problem: str) -> None:
    if not condition:
        raise KernelError(step, problem)


def _seccomp() -> str:
    architecture = this_architecture()
    prctl(PR_SET_NO_NEW_PRIVS, 1, step="setting no_new_privs")
    cases = {architecture.numbers["getppid"]: seccomp.DENIED}
    seccomp.Filter((*load(NUMBER_OFFSET), *by_number(cases, default=seccomp.ALLOWED, above=seccomp.ALLOWED))).install()
    _require(attempt("getppid") == -errno.EPERM, "seccomp", "a filter was installed and changes nothing")
    return "filters work"


def _landlock() -> str:
    version = landlock.abi()
    prctl(PR_SET_NO_NEW_PRIVS, 1, step="setting no_new_privs")
    landlock.Ruleset(version).enforce()
    try:
        os.listdir("/")
    except PermissionError:
        return f"version {version}"
    raise KernelError("landlock", "rules were enforced and change nothing")


def _another_user() -> str:
    if os.geteuid():
        return f"workers stay user {os.geteuid()}: only root can give them another"
    if not can_become_another():
        raise KernelError("becoming another user", "root without the capabilities or the user ids for it")
    become(uid := free_uid())
    return f"became {uid}"


def _namespaces() -> str:
    privileged = has_capability(CAP_SYS_ADMIN)
    isolate(Plan("A", free_uid() if can_become_another() else None))
    _require(os.getpid() == 1, "namespaces", "not the first process")
    _require(os.listdir("/") == [], "namespaces", "the root is not empty")
    return "mount, process, network and IPC" if privileged else "user, mount, process, network and IPC"


def _tier(tier: str) -> str:
    plan = Plan("A" if tier == "A" else "B", free_uid() if can_become_another() else None)
    enter(plan)
    worked, text = in_child(lambda: _confined_child(plan))
    if not worked:
        raise KernelError("a confined child", text)
    return text


def _confined_child(plan: Plan) -> str:
    limits = _TrialLimits()
    confine(plan, limits)
    refused = {
        "starting a process": attempt("clone", 17),
        "a network socket": attempt("socket", 2, 1, 0),
        "a signal to the worker": attempt("kill", os.getppid(), 0),
        "new namespaces": attempt("unshare", 0x10000000),
        "another filter": attempt("seccomp", 1, 0, 0),
    }
    for step, result in refused.items():
        _require(result == -errno.EPERM, step, f"is answered {result}, not EPERM")
    for path in ("/", "/etc/passwd", "/proc/self/environ"):
        try:
            os.close(os.open(path, os.O_RDONLY))
        except OSError:
            continue
        raise KernelError(f"reading {path}", "is not refused")
    _require(resource.getrlimit(resource.RLIMIT_FSIZE) == (limits.file_bytes,) * 2, "limits", "are not in force")
    _require(plan.uid in (None, os.getuid()), "becoming another user", f"it is still {os.getuid()}")
    return "works"
