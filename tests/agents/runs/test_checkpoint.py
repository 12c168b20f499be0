"""Checkpoints are whole or absent, and notice what happened to them since."""

import errno
import io
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import torch

from rlenvs.agents.runs.checkpoint import (
    FORMAT,
    MANIFEST_FILE,
    STATE_FILE,
    list_checkpoints,
    load_latest_checkpoint,
    save_checkpoint,
)
from rlenvs.errors import RunFolderError


def names(folder: Path) -> list[str]:
    return [path.name for path in list_checkpoints(folder)]


def test_the_newest_comes_back_and_old_ones_go(tmp_path):
    for iteration in range(5):
        save_checkpoint(tmp_path, iteration, {"x": torch.tensor([iteration])}, keep=2)
    assert names(tmp_path) == ["iteration-000003", "iteration-000004"]
    state = load_latest_checkpoint(tmp_path)
    assert (state["iteration"], state["x"].item()) == (4, 4)


def test_checkpoints_are_in_the_order_of_their_iterations(tmp_path):
    for iteration in (999_999, 1_000_000):
        save_checkpoint(tmp_path, iteration, {}, keep=2)
    assert load_latest_checkpoint(tmp_path)["iteration"] == 1_000_000


def test_one_is_kept_where_one_is_to_be_kept(tmp_path):
    for iteration in (1, 2):
        save_checkpoint(tmp_path, iteration, {}, keep=1)
    assert names(tmp_path) == ["iteration-000002"]


def test_a_write_that_dies_leaves_the_one_before(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    real = torch.save

    def dies(state, file):
        real(state, file)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(RunFolderError, match=r"iteration-000002: No space left on device \([\d,]+ MB free\)"):
        save_checkpoint(tmp_path, 2, {"x": 2}, keep=2)
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["iteration-000001"]
    assert load_latest_checkpoint(tmp_path)["x"] == 1
    save_checkpoint(tmp_path, 2, {"x": 3}, keep=2)
    assert load_latest_checkpoint(tmp_path)["x"] == 3


def test_what_a_killed_process_left_half_written_goes_with_the_next(tmp_path):
    (tmp_path / ".draft-000007").mkdir()
    (tmp_path / ".draft-000007" / STATE_FILE).write_bytes(b"half")
    save_checkpoint(tmp_path, 1, {}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["iteration-000001"]


def zeroed(content: bytes) -> bytes:
    return bytes(len(content))


def flipped(content: bytes) -> bytes:
    """One bit in the middle, where a tensor lies."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE = {
    "empty": lambda content: b"",
    "truncated": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "zeroed": zeroed,
    "end zeroed": lambda content: content[:-200] + bytes(min(200, len(content))),
    "bit flip": flipped,
    "longer": lambda content: content + b"\0",
    "garbage": lambda content: b"garbage",
}


@pytest.mark.parametrize("name", [STATE_FILE, MANIFEST_FILE])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_used(tmp_path, damage, name):
    save_checkpoint(tmp_path, 1, {"x": torch.zeros(5_000)}, keep=2)
    newest = save_checkpoint(tmp_path, 2, {"x": torch.ones(5_000)}, keep=2)
    content = (newest / name).read_bytes()
    (newest / name).write_bytes(DAMAGE[damage](content))
    notes = []
    state = load_latest_checkpoint(tmp_path, notes.append)
    assert state["iteration"] == 1
    assert not state["x"].any()
    (note,) = notes
    assert "iteration-000002 is damaged" in note
    assert "\n" not in note


def test_no_bit_of_a_manifest_can_flip_unnoticed(tmp_path):
    save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    manifest = save_checkpoint(tmp_path, 2, {"x": 2}, keep=2) / MANIFEST_FILE
    content = manifest.read_bytes()
    for bit in range(8 * len(content)):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        manifest.write_bytes(changed)
        assert load_latest_checkpoint(tmp_path)["x"] == 1


@pytest.mark.parametrize("name", [STATE_FILE, MANIFEST_FILE])
def test_a_file_that_is_gone_is_damage(tmp_path, name):
    folder = save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    (folder / name).unlink()
    with pytest.raises(
        RunFolderError, match=r"the only checkpoint in .* is damaged \(iteration-000001: .*start the run"
    ):
        load_latest_checkpoint(tmp_path)


def test_the_next_checkpoint_takes_the_place_of_damaged_ones(tmp_path):
    """Else the damaged one would count as one of those that are kept, and the good ones would go."""
    for iteration in (10, 20, 30):
        newest = save_checkpoint(tmp_path, iteration, {}, keep=3)
    (newest / STATE_FILE).write_bytes(b"")
    assert load_latest_checkpoint(tmp_path)["iteration"] == 20
    save_checkpoint(tmp_path, 25, {}, keep=3)
    assert names(tmp_path) == ["iteration-000010", "iteration-000020", "iteration-000025"]


def test_a_checkpoint_of_another_version_is_not_called_damaged(tmp_path):
    folder = save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    content = json.dumps({"format": FORMAT + 1}).encode()
    (folder / MANIFEST_FILE).write_bytes(content + f"\n{zlib.crc32(content):08x}\n".encode())
    with pytest.raises(RunFolderError, match="another version"):
        load_latest_checkpoint(tmp_path)


def test_nothing_in_a_checkpoint_is_executed(tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (print, ("executed",))

    save_checkpoint(tmp_path, 1, {"trap": Trap()}, keep=2)  # with the right checksum
    with pytest.raises(RunFolderError, match="cannot be read"):
        load_latest_checkpoint(tmp_path)
    assert capsys.readouterr().out == ""


def test_no_checkpoint_is_one_clear_line(tmp_path):
    with pytest.raises(RunFolderError, match="holds no checkpoint to resume from"):
        load_latest_checkpoint(tmp_path)


FULL = """
import resource, sys
from pathlib import Path
import torch
from rlenvs.agents.runs.checkpoint import save_checkpoint
from rlenvs.errors import RunFolderError
folder = Path(sys.argv[1])
save_checkpoint(folder, 1, {"x": torch.ones(10)}, keep=1)
for limit in (399_000, 100_000, 1_000, 1):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        save_checkpoint(folder, 2, {"x": torch.ones(100_000)}, keep=1)
    except RunFolderError as error:
        print(error, *(path.name for path in folder.iterdir()))
"""


def test_a_file_system_that_refuses_leaves_the_one_before(tmp_path):
    """For real: the kernel refuses what goes beyond a limit, wherever in the file that is."""
    command = [sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    line = f"cannot write checkpoint {tmp_path}/iteration-000002: File too large iteration-000001\n"
    assert (done.stdout, done.stderr) == (4 * line, "")
    assert load_latest_checkpoint(tmp_path)["iteration"] == 1


def test_writes_that_the_kernel_takes_in_parts_are_whole(tmp_path, monkeypatch):
    """It takes 2 GB at most at a time; here it takes 1,000 bytes."""

    class Reluctant(io.FileIO):
        def write(self, data):
            return super().write(memoryview(data)[:1_000])

    def opened(self, mode, buffering=-1):
        return Reluctant(self, mode) if buffering == 0 else open(self, mode, buffering)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", opened)
        save_checkpoint(tmp_path, 1, {"x": torch.arange(5_000)}, keep=1)
    assert torch.equal(load_latest_checkpoint(tmp_path)["x"], torch.arange(5_000))
