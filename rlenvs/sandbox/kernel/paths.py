"""Where the interpreter and its modules lie: what a worker may be left to read."""

import importlib.util
import os
import sysconfig
from collections.abc import Iterable

from rlenvs.sandbox.kernel.libc import KernelError

PACKAGE_FOLDERS = ("site-packages", "dist-packages")
ZONE_FILES = "/usr/share/zoneinfo"


def interpreter_paths() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what to leave readable for the standard library, and which folders in it to hide.

    Hidden is what is installed: nobody knows what it holds.
    """
    roots = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")}
    readable = [path for path in roots if path and os.path.isdir(path)]
    hidden = [os.path.join(root, name) for root in readable for name in PACKAGE_FOLDERS]
    libraries = _loaded_libraries()
    zones = [ZONE_FILES] if os.path.isdir(ZONE_FILES) else []
    return tuple(sorted({*readable, *libraries, *zones})), tuple(sorted(hidden))


def package_paths(names: Iterable[str]) -> tuple[str, ...]:
    """Return where installed packages lie, with the shared libraries that their wheels bring beside them.

    Raises:
        KernelError: one is not installed.
    """
    paths: set[str] = set()
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise KernelError(f"leaving {name} readable", "it is not installed")
        locations = list(spec.submodule_search_locations or [])
        paths.update(locations or ([spec.origin] if spec.has_location and spec.origin else []))
        paths.update(path for folder in locations if os.path.isdir(path := f"{folder}.libs"))
    return tuple(sorted(paths))


def _loaded_libraries() -> set[str]:
    """Shared libraries that this process has mapped: what a lazily loaded module links to is mostly among them."""
    try:
        with open("/proc/self/maps") as file:
            paths = {line.split(maxsplit=5)[-1].strip() for line in file if ".so" in line}
    except OSError:
        return set()
    return {path for path in paths if os.path.isfile(path)}
