"""What Landlock is told: every right that a version governs, and rules that leave out what is hidden."""

import pickle
from pathlib import Path

import pytest

from rlenvs.sandbox.kernel import KernelError, landlock


@pytest.mark.parametrize(
    ("version", "files", "net", "scopes"),
    [
        (1, 0x1FFF, 0, 0),
        (2, 0x3FFF, 0, 0),
        (3, 0x7FFF, 0, 0),
        (4, 0x7FFF, 3, 0),
        (5, 0xFFFF, 3, 0),
        (6, 0xFFFF, 3, 3),
        (9, 0xFFFF, 3, 3),
    ],
)
def test_everything_that_a_version_knows_is_governed(version: int, files: int, net: int, scopes: int) -> None:
    assert landlock.governed(version) == (files, net, scopes)


def test_hidden_folders_are_left_out_of_the_rules(tmp_path: Path) -> None:
    for name in ("lib/a.py", "lib/json/b.py", "lib/site-packages/x/c.py", "lib/site-packages/y/d.py", "zone/e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "lib/out").symlink_to("/etc")
    root = str(tmp_path.resolve())
    rules = landlock.read_rules(
        [f"{root}/lib", f"{root}/lib/site-packages/y", f"{root}/zone"], [f"{root}/lib/site-packages"]
    )
    assert rules == {
        f"{root}/lib": landlock.READ_DIR,
        f"{root}/lib/a.py": landlock.READ,
        f"{root}/lib/json": landlock.READ,
        f"{root}/lib/site-packages/y": landlock.READ,
        f"{root}/zone": landlock.READ,
    }


def test_no_right_to_execute_or_to_make_devices_is_ever_given() -> None:
    for right in (landlock.EXECUTE, landlock.IOCTL_DEV, 1 << 6, 1 << 9, 1 << 10, 1 << 11, 1 << 12):
        assert not landlock.READ & right
        assert not landlock.SCRATCH & right


def test_errors_say_the_step_and_cross_processes() -> None:
    error = KernelError("changing the root", 22)
    assert str(error) == "changing the root: Invalid argument (EINVAL)"
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (copy.step, copy.number, str(copy)) == (error.step, 22, str(error))
    assert str(pickle.loads(pickle.dumps(KernelError("a", "b")))) == "a: b"  # noqa: S301
