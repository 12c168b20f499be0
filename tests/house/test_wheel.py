"""What is installed is what was written: the wheel, away from the checkout."""

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ("rlenvs", "wrappers", "agents", "configs", "pyproject.toml", "README.md", "LICENSE")

pytestmark = [pytest.mark.slow, pytest.mark.ci]

IMPORT_EVERYTHING = """
import importlib, json, pkgutil, sys
import rlenvs

def fail(name):
    raise

names = ["rlenvs", *(item.name for item in pkgutil.walk_packages(rlenvs.__path__, "rlenvs.", onerror=fail))]
modules = [importlib.import_module(name) for name in names]
print(json.dumps({"names": names, "files": [module.__file__ for module in modules]}))
"""


def run(command: list[str], cwd: Path, **environment: str) -> str:
    result = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-4000:]
    return result.stdout


def has_backend() -> bool:
    """Whether this environment holds the build backend; a venv of Python 3.12 or later comes without setuptools."""
    if importlib.util.find_spec("setuptools") is None:
        return False
    import setuptools

    return int(setuptools.__version__.split(".")[0]) >= 77


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # From a copy: a build leaves folders behind.
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in SHIPPED:
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, symlinks=True, ignore=ignore)
        else:
            shutil.copy(origin, source / name)
    out = tmp_path_factory.mktemp("dist")
    isolation = ["--no-isolation"] if has_backend() else []
    run([sys.executable, "-m", "build", "--wheel", *isolation, "--outdir", str(out), str(source)], cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_nothing_but_the_package_lands_in_site_packages(site: Path) -> None:
    names = sorted(path.name for path in site.iterdir())
    assert names[0] == "rlenvs"
    assert len(names) == 2
    assert names[1].endswith(".dist-info")


def test_every_source_file_and_every_yaml_is_in_the_wheel(site: Path) -> None:
    written = {
        path.relative_to(ROOT)
        for name in ("rlenvs", "wrappers", "agents", "configs")
        for path in (ROOT / name).rglob("*")
        if path.suffix in (".py", ".yaml", ".yml", ".typed") and "__pycache__" not in path.parts
    }
    links = {f"rlenvs/{room}/" for room in ("wrappers", "agents", "configs")}
    expected = {
        str(path) if str(path).startswith("rlenvs/") else f"rlenvs/{path}"
        for path in written
        if not any(str(path).startswith(link) for link in links)
    }
    installed = {str(path.relative_to(site)) for path in (site / "rlenvs").rglob("*") if path.is_file()}
    assert expected == {name for name in installed if "__pycache__" not in name}


def test_every_module_imports_from_a_neutral_folder(site: Path, tmp_path: Path) -> None:
    import json

    printed = run([sys.executable, "-c", IMPORT_EVERYTHING], cwd=tmp_path, PYTHONPATH=str(site))
    result = json.loads(printed.splitlines()[-1])
    files = [path for path in (site / "rlenvs").rglob("*.py")]
    assert len(result["names"]) == len(files)
    outside = [name for name in result["files"] if not name.startswith(str(site))]
    assert not outside


def test_the_command_line_runs_from_the_wheel(site: Path, tmp_path: Path) -> None:
    out = run([sys.executable, "-m", "rlenvs", "envs"], cwd=tmp_path, PYTHONPATH=str(site))
    assert "rlenvs/Arithmetic-v0" in out
