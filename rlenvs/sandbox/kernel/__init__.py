"""How a worker of the sandbox gives up what a process can do, by the kernel's own means. Linux on x86_64 and aarch64.

A worker calls `enter` once, after it has loaded what it needs; each process that it forks calls `confine` before it
runs text of a model. `probe` says how far this machine lets a worker go. Read `confinement` first, then `seccomp` and
`landlock`, which every tier has, and `namespaces` and `root`, which tier A adds.

Everything here imports the standard library and itself alone, because workers load nothing else.
"""

from rlenvs.sandbox.kernel.confinement import confine, confining, enter
from rlenvs.sandbox.kernel.error import KernelError
from rlenvs.sandbox.kernel.paths import interpreter_paths, package_paths
from rlenvs.sandbox.kernel.plan import Plan, Tier
from rlenvs.sandbox.kernel.privileges import can_become_another, free_uid
from rlenvs.sandbox.kernel.probe import Probe, make_plan, probe
from rlenvs.sandbox.kernel.root import SCRATCH_FOLDER

__all__ = [
    "SCRATCH_FOLDER",
    "KernelError",
    "Plan",
    "Probe",
    "Tier",
    "can_become_another",
    "confine",
    "confining",
    "enter",
    "free_uid",
    "interpreter_paths",
    "make_plan",
    "package_paths",
    "probe",
]
