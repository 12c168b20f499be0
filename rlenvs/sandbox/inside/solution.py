"""The code as a module, and its exceptions as text."""

import ast
import linecache
import sys
import traceback
from types import CodeType, ModuleType
from typing import Any

FILENAME = "<solution>"
ERROR_CHARACTERS = 500


def as_module(name: str) -> dict[str, Any]:
    """Return the namespace of a new module that can be imported by its name."""
    module = ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def compiled(code: str, filename: str = FILENAME) -> CodeType:
    """Return the code ready to be executed, and let tracebacks show its lines.

    Raises:
        SyntaxError, ValueError, MemoryError, RecursionError: it is no Python.
    """
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    return compile(code, filename, "exec", dont_inherit=True)


def compiled_tree(tree: ast.Module | ast.Expression, code: str, filename: str) -> CodeType:
    """Return part of a cell ready to be executed, and let tracebacks show its lines."""
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    return compile(tree, filename, "exec" if isinstance(tree, ast.Module) else "eval", dont_inherit=True)


def described(error: BaseException, filename: str = FILENAME) -> str:
    """Return an exception in one line, whatever its class does: its type, its text and where the code raised it."""
    try:
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        lines = [line for frame, line in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == filename]
        place = f" (line {lines[-1]})" if lines else ""
    except BaseException:  # noqa: BLE001 - the code's own __str__ may raise anything
        return "an exception that cannot be shown"
    return text[:ERROR_CHARACTERS] + place


def flush() -> None:
    """Let out what the code printed."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # noqa: BLE001 - the code may have closed or replaced it
            continue
