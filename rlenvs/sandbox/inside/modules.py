"""Which modules the code may import. A matter of hygiene and of clear messages: what holds is the kernel's part."""

import _sitebuiltins
import builtins
import importlib
import importlib.machinery
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

STDLIB_NAMES = (
    "abc argparse array ast asyncio atexit base64 binascii bisect builtins bz2 calendar cmath cmd code codecs "
    "codeop collections colorsys concurrent contextlib contextvars copy copyreg csv dataclasses datetime decimal "
    "difflib dis doctest email encodings enum errno fileinput fnmatch fractions functools gc genericpath getopt "
    "gettext glob graphlib gzip hashlib heapq hmac html importlib inspect io ipaddress itertools json keyword "
    "linecache locale logging lzma marshal math mimetypes ntpath numbers opcode operator optparse os pathlib "
    "pickle pickletools pkgutil platform posixpath pprint profile pstats queue quopri random re reprlib resource "
    "sched secrets shlex shutil signal sre_compile sre_constants sre_parse stat statistics string stringprep "
    "struct symtable sys sysconfig tempfile textwrap threading time timeit token tokenize tomllib trace traceback "
    "tracemalloc types typing unicodedata unittest urllib uuid warnings wave weakref xml zipfile zlib zoneinfo "
)
STDLIB = frozenset(STDLIB_NAMES.split())
"""Of the standard library: what computes. Not what talks to other processes, to the network or to C."""
CORE_NAMES = (
    "abc array ast base64 bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime "
    "decimal enum fractions functools heapq io itertools json keyword linecache math numbers operator os random "
    "re reprlib resource signal statistics string struct sys textwrap threading time traceback types typing "
    "unicodedata warnings weakref "
)
CORE = tuple(CORE_NAMES.split())
"""Loaded before the first fork. Each module more makes every fork dearer, so the others load where they are used."""
SUBMODULES = {
    "asyncio": (), "collections": ("abc",), "concurrent": ("futures", "futures.thread"), "email": ("message",),
    "encodings": ("ascii", "latin_1", "utf_8", "utf_16", "utf_32", "idna", "cp1252", "hex_codec", "rot_13"),
    "html": ("parser", "entities"), "importlib": ("util", "machinery"), "json": ("tool",), "logging": ("handlers",),
    "unittest": ("mock", "case"), "urllib": ("parse",), "xml": ("etree.ElementTree",),
    "numpy": ("linalg", "random", "fft", "polynomial", "ma"),
}  # fmt: skip
"""Parts that are loaded with a package where its files cannot be read later."""


class Policy:
    """Refuses what is not allowed, finds packages that were named, and lets the library itself import what it needs.

    Args:
        allowed: top-level names.
        extras: packages from outside the standard library, each with the folder that holds it.
    """

    def __init__(self, allowed: Sequence[str], extras: dict[str, str]) -> None:
        self.allowed = frozenset(allowed) | extras.keys()
        self.extras = extras
        self.hidden: dict[str, ModuleType] = {}
        folders = [os.path.dirname(os.__file__), *(os.path.join(folder, name) for name, folder in extras.items())]
        self.trusted = ("<frozen ", *folders)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer the import system: a place, None to go on looking, or ModuleNotFoundError."""
        root = name.partition(".")[0]
        if root in self.allowed or root.startswith("_") or self.is_library(sys._getframe(1)):
            if name in self.hidden:
                return ModuleSpec(name, Loaded(self.hidden[name]))  # type: ignore[arg-type] # see there
            return PathFinder.find_spec(name, [self.extras[root]]) if root in self.extras and path is None else None
        raise ModuleNotFoundError(f"No module named {name!r}: it is not allowed here", name=name)

    def is_library(self, frame: object) -> bool:
        """Whether the import was written in a module of the library, and not in the code."""
        while frame is not None:
            filename = frame.f_code.co_filename  # type: ignore[attr-defined]
            if "importlib" not in filename:
                return bool(filename.startswith(self.trusted))
            frame = frame.f_back  # type: ignore[attr-defined]
        return False

    def hide(self) -> None:
        """Take loaded modules that are not allowed out of sight; those of the sandbox for good."""
        for name in list(sys.modules):
            root = name.partition(".")[0]
            if root == "rlenvs":
                del sys.modules[name]
            elif root not in self.allowed and not root.startswith("_"):
                self.hidden[name] = sys.modules.pop(name)


class Loaded:
    """Loader of a module that is there already. It has no base class, which would load two dozen modules."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: it was executed long ago."""


def add_exits() -> None:
    """Define `exit` and `quit`, which programs use and `site` would have defined."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))


def preload(names: Sequence[str], *, whole: bool) -> None:
    """Import modules; those that this interpreter was built without are left out.

    Args:
        names: of modules.
        whole: also the parts of packages that are usually loaded when they are needed.
    """
    for name in names:
        try:
            importlib.import_module(name)
            for part in SUBMODULES.get(name, ()) if whole else ():
                importlib.import_module(f"{name}.{part}")
        except ImportError:
            continue
