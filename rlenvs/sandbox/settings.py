"""What a worker is told before it locks itself."""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from rlenvs.errors import ParameterError
from rlenvs.sandbox import kernel
from rlenvs.sandbox.codec import encode
from rlenvs.sandbox.inside.modules import STDLIB


def find_packages(names: Sequence[str]) -> dict[str, str]:
    """Return the folder that holds each package; nothing is imported.

    Raises:
        ParameterError: a package is not installed.
    """
    found = {}
    for name in names:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        if spec is None or spec.origin is None or not os.path.isabs(spec.origin):
            raise ParameterError("modules", f"must be installed top-level packages, got {name!r}")
        place = Path(spec.origin)
        found[name] = str(place.parents[1] if spec.submodule_search_locations else place.parent)
    return found


def is_open_to_all(path: str) -> bool:
    """Whether any user can read a folder and what is in it."""
    folder = Path(path).resolve()
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents)) and bool(
        folder.stat().st_mode & 0o004
    )


def worker_settings(tier: str, modules: Sequence[str] | None, scratch_mb: int, uid: int | None) -> bytes:
    """Return what a worker is told, encoded.

    Args:
        tier: "A", "B" or "unsafe".
        modules: names to add to what may be imported.
        scratch_mb: size of its scratch folder.
        uid: the user it becomes; None to stay who it is.

    Raises:
        ParameterError: a module is not installed.
    """
    added = [name for name in modules or () if name not in STDLIB]
    standard = [name for name in added if name in sys.stdlib_module_names]
    extras = find_packages([name for name in added if name not in standard])
    plan = {"tier": tier, "uid": uid, "readable": kernel.package_paths(extras), "scratch_mb": scratch_mb}
    return encode(
        {
            "plan": None if tier == "unsafe" else plan,
            "allowed": sorted(STDLIB | set(standard)),
            "extras": extras,
            "preload_all": tier == "B" and uid is not None and not is_open_to_all(sysconfig.get_path("stdlib")),
        }
    )
