"""Where the interpreter and its modules lie: what a worker may be left to read."""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable

from rlenvs.sandbox.kernel.error import KernelError

PACKAGE_FOLDERS = ("site-packages", "dist-packages")
C_LIBRARIES = ("libc.so", "libc-", "ld-musl")
LIBRARIES = tuple(
    f"lib{name}.so"
    for name in (
        *("bz2", "crypto", "dl", "expat", "ffi", "gcc_s", "lzma", "m", "mpdec", "pthread"),
        *("rt", "sqlite3", "ssl", "stdc++", "util", "uuid", "z", "zstd"),
    )
)
"""What the extension modules of the standard library link to. `libgcc_s` is loaded by the C library to end threads."""
ZONE_FILES = "/usr/share/zoneinfo"


def interpreter_paths() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what to leave readable for the standard library, and which folders in it to hide.

    Hidden is what is installed: nobody knows what it holds.
    """
    roots = {sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib")}
    readable = [path for path in roots if path and os.path.isdir(path)]
    hidden = [os.path.join(root, name) for root in readable for name in PACKAGE_FOLDERS]
    libraries = _libraries()
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


def _library_folders() -> set[str]:
    """Where the C library of this process lies, and where an interpreter that brings its own libraries keeps them."""
    folders = {os.path.join(sys.base_prefix, "lib")}
    try:
        with open("/proc/self/maps") as file:
            mapped = {line.split(maxsplit=5)[-1].strip() for line in file}
    except OSError:
        mapped = set()
    folders.update(os.path.dirname(path) for path in mapped if os.path.basename(path).startswith(C_LIBRARIES))
    return {folder for folder in folders if os.path.isdir(folder)}


def _libraries() -> set[str]:
    """Shared libraries that extension modules of the standard library link to, for those that are loaded late."""
    entries = (entry for folder in _library_folders() for entry in os.scandir(folder))
    return {entry.path for entry in entries if entry.name.startswith(LIBRARIES) and entry.is_file()}
