"""The same programs behind another wall: bubblewrap, one container for each execution."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlenvs.errors import SandboxError
from rlenvs.sandbox import kernel
from rlenvs.sandbox.codec import decode, encode
from rlenvs.sandbox.limits import Limits
from rlenvs.sandbox.pool import HARMLESS, SandboxPool
from rlenvs.sandbox.worker import BOOTSTRAP, FLAGS

SYSTEM_FOLDERS = ("/usr", "/lib", "/lib64", "/bin")
"""Where a dynamic linker and the libraries of an interpreter lie, as far as they exist."""


class BubblewrapBackend(SandboxPool):
    """Runs each execution in a container of `bwrap`, with Landlock and seccomp inside where the kernel has them.

    An interpreter starts in every container, so an execution takes many times as long as in a `SandboxPool`. What that
    buys is a wall that this project has not built. Processor time is limited but not counted: `cpu_s` of a result is
    that of the container's outside, and code that takes too much reads as a crash. For the arguments see `SandboxPool`.

    Raises:
        SandboxError: bwrap is not installed, or cannot make containers here.
    """

    def __init__(
        self, workers: int | None = None, limits: Limits | None = None, *, modules: Sequence[str] | None = None
    ) -> None:
        found = shutil.which("bwrap")
        if found is None:
            raise SandboxError("bwrap is not installed: install bubblewrap, or use SandboxPool")
        self.bwrap = found
        super().__init__(workers, limits, modules=modules, unsafe=True)
        self.inner = "unsafe" if self.tier == "unsafe" else "B"
        self.tier = "bubblewrap"
        result = self.run_batch([HARMLESS])[0]
        if result.status != "ok":
            self.close()
            raise SandboxError(f"bwrap cannot make containers here: {result.stderr.strip() or result.reason}")

    def settings_of(self, uid: int | None) -> bytes:
        """See `SandboxPool`: workers here start containers, and nothing is forked from them."""
        tier = getattr(self, "inner", "unsafe")
        settings: dict[str, Any] = decode(super().settings_for(tier, None))
        return encode({**settings, "command": self.command(settings["extras"]), "preload_all": False})

    def command(self, extras: dict[str, str]) -> list[str]:
        """Return bwrap with its arguments, up to the script that it runs."""
        packages = kernel.package_paths(extras)
        arguments = ["--unshare-all", "--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"]
        arguments += ["--setenv", "PYTHONHASHSEED", "0", "--proc", "/proc", "--dev", "/dev", "--chdir", "/"]
        for path in interpreter_places():
            arguments += ["--ro-bind", path, path]
        for path in kernel.interpreter_paths()[1]:
            if os.path.isdir(path):
                arguments += ["--tmpfs", path]
        sandbox = Path(BOOTSTRAP).parents[1]
        for path in (*packages, str(sandbox), str(sandbox.parent / "errors.py")):
            arguments += ["--ro-bind", path, path]
        return [self.bwrap, *arguments, "--", os.path.realpath(sys.executable), *FLAGS, BOOTSTRAP]


def interpreter_places() -> list[str]:
    """Return files and folders that an interpreter needs in order to start, none of them inside another."""
    program = os.path.realpath(sys.executable)
    library = os.path.join(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "")
    places = [*SYSTEM_FOLDERS, program, library, *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))]
    found = sorted({place for place in places if os.path.isabs(place) and os.path.exists(place)})
    return [place for place in found if not any(place.startswith(other + os.sep) for other in found)]
