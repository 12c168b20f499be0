"""The scratch folder is empty at the start of every execution, whatever the last one left in it."""

import os
from pathlib import Path

import pytest

from rlenvs.errors import ParameterError
from rlenvs.sandbox import SandboxPool, kernel
from rlenvs.sandbox.inside.scratch import empty

ONLY_WITH_A = pytest.mark.skipif(kernel.probe().tier != "A", reason="tier A alone has a scratch folder")


def test_everything_goes_and_nothing_outside(tmp_path: Path) -> None:
    outside, box = tmp_path / "outside", tmp_path / "box"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "file").write_text("kept")
    (box / "a" / "b" / "c").mkdir(parents=True)
    for name in ("x", ".hidden", "new\nline", "-rf", "é", "a/x", "a/b/x", "a/b/c/x"):
        (box / name).write_text("x")
    os.mkfifo(box / "a" / "pipe")
    for place in ("link", "a/b/link"):
        (box / place).symlink_to(outside, target_is_directory=True)
    empty(str(box))
    assert list(box.iterdir()) == []
    assert (outside / "inner" / "file").read_text() == "kept"


def test_depth_needs_no_path_and_no_recursion(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    for level in range(1500):
        name = "d" * (1 + level % 250)
        os.mkdir(name, dir_fd=folder)
        inner = os.open(name, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    empty(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_deleted_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing"):
        empty(str(tmp_path / "missing"))


@ONLY_WITH_A
def test_each_execution_finds_it_empty_and_can_fill_it() -> None:
    code = """
import os
def solve(mode):
    found = os.listdir("/box")
    os.mkdir("/box/folder", mode)
    try:
        open("/box/folder/file", "w").write("x" * 3_000_000)
    except PermissionError:
        pass
    return found
"""
    with SandboxPool(1, scratch_mb=4) as pool:
        for mode in (0o700, 0o300, 0o700, 0o000, 0o500, 0o700):
            result = pool.run(code, [[mode]])
            assert result.status == "ok"
            assert result.outcomes[0].value == [], result


@ONLY_WITH_A
def test_sessions_cannot_share_it() -> None:
    with SandboxPool(1, scratch_mb=4) as pool, pytest.raises(ParameterError, match="sessions"):
        pool.session()
