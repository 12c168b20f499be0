"""How far this machine lets a worker be confined, found out by doing it in a throw-away process."""

import functools
import json
import os
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from rlenvs.sandbox.kernel.paths import interpreter_paths, package_paths
from rlenvs.sandbox.kernel.plan import Plan, Tier
from rlenvs.sandbox.kernel.privileges import can_become_another, free_uid

DEADLINE_S = 60.0
"""Far beyond what a loaded machine takes."""
LONGEST_MESSAGE = 300

ADVICE = {
    "architecture": "the sandbox needs 64-bit Linux on x86_64 or aarch64",
    "seccomp": "needs a kernel with CONFIG_SECCOMP_FILTER",
    "landlock": "needs Linux >= 5.13 with landlock in its lsm= list, and a container runtime that lets it through",
    "another user": "start as root with CAP_SETUID, CAP_SETGID and CAP_KILL to give each worker a user of its own",
    "namespaces": "needs CAP_SYS_ADMIN, or user namespaces for ordinary users, and a runtime that lets both through",
}
"""What to do, by the name of what is missing."""

# Stub packages: the modules of a worker load without the rest of the project.
BOOTSTRAP = """
import sys, types
for name, folder in zip(("rlenvs", "rlenvs.sandbox"), sys.argv[1:]):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [folder]
from rlenvs.sandbox.kernel.trial import main
main()
"""


@dataclass(frozen=True)
class Probe:
    """What this machine offers."""

    tier: Literal["A", "B", "C"]
    """The strongest tier whose every step worked; C: none."""
    mechanisms: Mapping[str, str] = field(default_factory=dict)
    """What works, with what it is."""
    missing: tuple[str, ...] = ()
    """A line for what does not: its name, the problem as the kernel put it, and what to do."""

    @property
    def summary(self) -> str:
        """One line for people."""
        meaning = {
            "A": "namespaces, private root, Landlock, seccomp",
            "B": "Landlock and seccomp, no namespaces",
            "C": "model text cannot be confined here",
        }[self.tier]
        return f"tier {self.tier}: {meaning}"


@functools.cache
def probe() -> Probe:
    """Find out how far workers can be confined here: once per process, in about a tenth of a second.

    It never raises: what cannot be tried is missing.

    Example:
        >>> probe().tier in ("A", "B", "C")
        True
    """
    import subprocess  # which workers, who load this module too, do without

    if sys.platform != "linux":
        return _without(f"this is {sys.platform}")
    kernel = os.path.dirname(os.path.abspath(__file__))
    sandbox = os.path.dirname(kernel)
    command = [sys.executable, "-I", "-S", "-c", BOOTSTRAP, os.path.dirname(sandbox), sandbox]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S, env={}, check=False
        )
        found: dict[str, tuple[bool, str]] = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _without(str(error))
    except ValueError:
        return _without(done.stderr.decode(errors="replace")[-LONGEST_MESSAGE:] or f"exit status {done.returncode}")
    works = {name: text for name, (worked, text) in found.items() if worked}
    tier: Literal["A", "B", "C"] = "A" if "tier A" in works else "B" if "tier B" in works else "C"
    return Probe(tier, works, _complaints({name: text for name, (worked, text) in found.items() if not worked}))


def _complaints(problems: dict[str, str]) -> tuple[str, ...]:
    """One line for each problem; a tier that fails for a reason named already needs no line of its own."""
    named = {text for name, text in problems.items() if name in ADVICE}
    lines = [
        f"{name}: {text.removeprefix(f'{name}: ')}; {ADVICE[name]}" for name, text in problems.items() if name in ADVICE
    ]
    lines += [f"{name}: {text}" for name, text in problems.items() if name not in ADVICE and text not in named]
    return tuple(lines)


def _without(problem: str) -> Probe:
    return Probe("C", {}, _complaints({"architecture": problem}))


def make_plan(
    tier: Tier, *, packages: Collection[str] = (), scratch_mb: int = 0, taken: frozenset[int] = frozenset()
) -> Plan:
    """Return the plan of one worker of this interpreter.

    Args:
        tier: how far to go; `probe` says how far one can.
        packages: installed packages that stay readable on top of the standard library.
        scratch_mb: size of a writable `/box`; tier A alone.
        taken: users of other workers.

    Raises:
        KernelError: a package is not installed, or no user id is free.
        ValueError: scratch in tier B.
    """
    readable, hidden = interpreter_paths()
    uid = free_uid(taken) if can_become_another() else None
    return Plan(tier, uid, (*readable, *package_paths(packages)), hidden, scratch_mb)
