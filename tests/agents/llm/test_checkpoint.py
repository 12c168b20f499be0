"""Checkpoints are whole or absent."""

import pytest
import torch

from rlenvs.agents.llm.checkpoint import STATE_FILE, list_checkpoints, load_latest_checkpoint, save_checkpoint
from rlenvs.errors import RunFolderError


def test_the_newest_comes_back_and_old_ones_go(tmp_path):
    for iteration in range(5):
        save_checkpoint(tmp_path, iteration, {"x": torch.tensor([iteration])}, keep=2)
    assert [path.name for path in list_checkpoints(tmp_path)] == ["iteration-000003", "iteration-000004"]
    state = load_latest_checkpoint(tmp_path)
    assert (state["iteration"], state["x"].item()) == (4, 4)


def test_a_write_that_dies_leaves_the_one_before(tmp_path, monkeypatch):
    save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    real = torch.save

    def dies(state, file):
        real(state, file)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path, 2, {"x": 2}, keep=2)
    monkeypatch.undo()
    assert load_latest_checkpoint(tmp_path)["x"] == 1
    save_checkpoint(tmp_path, 2, {"x": 3}, keep=2)
    assert load_latest_checkpoint(tmp_path)["x"] == 3


@pytest.mark.parametrize("content", [b"", b"garbage", b"\x80\x04."])
def test_a_torn_file_is_one_clear_line(tmp_path, content):
    folder = save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    (folder / STATE_FILE).write_bytes(content)
    with pytest.raises(RunFolderError, match=r"iteration-000001 cannot be read|another version"):
        load_latest_checkpoint(tmp_path)


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    class Trap:
        def __reduce__(self):
            return (print, ("executed",))

    folder = save_checkpoint(tmp_path, 1, {"x": 1}, keep=2)
    torch.save({"format": 1, "trap": Trap()}, folder / STATE_FILE)
    with pytest.raises(RunFolderError, match="cannot be read"):
        load_latest_checkpoint(tmp_path)


def test_no_checkpoint_is_one_clear_line(tmp_path):
    with pytest.raises(RunFolderError, match="holds no checkpoint to resume from"):
        load_latest_checkpoint(tmp_path)
