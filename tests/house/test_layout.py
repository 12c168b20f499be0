"""The rooms of the house: sizes, imports, guards, exported names."""

import ast
import graphlib
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINKED = ("wrappers", "agents", "configs")
MAX_LINES = 450
OPTIONAL = (
    "torch", "transformers", "accelerate", "peft", "stable_baselines3", "sb3_contrib", "optuna", "reasoning_gym",
    "math_verify", "datasets", "pettingzoo", "ray", "rich", "tensorboard", "wandb", "rapidfuzz", "jsonschema", "markdown_it", "py3langid",
)  # fmt: skip


def _modules() -> dict[str, Path]:
    """Return every module by its import name, found at its real place and not through the links."""
    found: dict[str, Path] = {}
    for path in sorted((ROOT / "rlenvs").rglob("*.py")):
        if path.relative_to(ROOT / "rlenvs").parts[0] not in LINKED:
            found[_name(path.relative_to(ROOT))] = path
    for room in LINKED:
        for path in sorted((ROOT / room).rglob("*.py")):
            found["rlenvs." + _name(path.relative_to(ROOT))] = path
    return found


def _name(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = _modules()
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]


def tree(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def imports(node: ast.AST, *, at_import_time: bool) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name) for each import; those inside functions and for type checkers only where asked for."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, None) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((child.module or "", alias.name) for alias in child.names)
        elif at_import_time and (isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or _is_type_checking(child)):
            continue
        else:
            yield from imports(child, at_import_time=at_import_time)


def targets(name: str, *, at_import_time: bool) -> set[str]:
    """Return the modules of this project that a module imports."""
    found = set()
    for module, attribute in imports(tree(name), at_import_time=at_import_time):
        full = f"{module}.{attribute}"
        target = full if full in MODULES else module
        if target in MODULES and target != name:
            found.add(target)
    return found


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in (*LINKED, "cli", "__main__") else "core"


MAY_IMPORT = {
    "core": {"core", "configs"},
    "configs": {"configs"},
    "wrappers": {"core", "configs", "wrappers"},
    "agents": {"core", "configs", "wrappers", "agents"},
    "cli": {"core", "configs", "wrappers", "agents", "cli"},
    "__main__": {"cli"},
}


def test_the_search_finds_every_room() -> None:
    assert {room(name) for name in MODULES} == set(MAY_IMPORT)
    assert len(MODULES) > 30


@pytest.mark.parametrize("name", MODULES)
def test_module_is_small(name: str) -> None:
    lines = len(MODULES[name].read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_LINES, f"{name} has {lines} lines; split it"


@pytest.mark.parametrize("name", MODULES)
def test_imports_are_absolute_and_point_down(name: str) -> None:
    relative = [node for node in ast.walk(tree(name)) if isinstance(node, ast.ImportFrom) and node.level]
    assert not relative
    wrong = {target for target in targets(name, at_import_time=False) if room(target) not in MAY_IMPORT[room(name)]}
    assert not wrong, f"{name} ({room(name)}) must not import {wrong}"


def test_no_import_cycles() -> None:
    # A cycle makes what imports work depend on who imports first.
    graph = {name: targets(name, at_import_time=True) for name in MODULES}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_left_to_do(name: str) -> None:
    text = MODULES[name].read_text(encoding="utf-8")
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", text)
    stubs = [
        node.lineno
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Raise) and node.exc is not None and "NotImplementedError" in ast.unparse(node.exc)
    ]
    assert not stubs, f"{name}: NotImplementedError in lines {stubs}; an abstract method is @abstractmethod"


@pytest.mark.parametrize("name", MODULES)
def test_type_ignores_name_their_code(name: str) -> None:
    assert not re.search(r"#\s*type:\s*ignore(?!\[)", MODULES[name].read_text(encoding="utf-8"))


def test_light_rooms_need_no_extra() -> None:
    """Everything outside the agents imports on a machine that has none of the optional packages."""
    light = [name for name in MODULES if room(name) != "agents" and name != "rlenvs.__main__"]
    script = f"""
import importlib, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
for name in {light!r}:
    importlib.import_module(name)
print(len({light!r}))
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert result.stderr == ""
    assert result.stdout == f"{len(light)}\n"


@pytest.mark.parametrize("folder", LINKED)
def test_links_are_relative_and_bare_names_are_refused(folder: str) -> None:
    assert os.readlink(ROOT / "rlenvs" / folder) == f"../{folder}"
    result = subprocess.run(
        [sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 1
    assert f"ImportError: imported as '{folder}': use 'rlenvs.{folder}'" in result.stderr


@pytest.mark.parametrize("name", PACKAGES)
def test_package_says_what_lives_in_it(name: str) -> None:
    assert ast.get_docstring(tree(name)), f"{name} has no docstring"


@pytest.mark.parametrize("name", [name for name in PACKAGES if name != "rlenvs.configs"])
def test_package_exports_are_stated_sorted_and_documented(name: str) -> None:
    module = importlib.import_module(name)
    if not hasattr(module, "__all__"):
        # A package that re-exports nothing has nothing to state.
        assert not list(imports(tree(name), at_import_time=True)), f"{name} imports names but states no __all__"
        return
    exported = list(module.__all__)
    assert exported == sorted(set(exported), key=_sort_key)
    for item in exported:
        value = getattr(module, item)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert (value.__doc__ or "").strip(), f"{name}.{item} has no docstring"


def _sort_key(name: str) -> tuple[int, str]:
    # Constants, then classes, then functions: the order that ruff keeps.
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
