"""Names of shipped configurations, and what is said where there is no such file."""

from pathlib import Path

import pytest

from rlenvs.agents.runs.command import shipped_config
from rlenvs.errors import ConfigError


def test_a_file_here_goes_before_a_shipped_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with shipped_config("train", "sb3_ppo.yaml") as path:
        assert Path(path).is_absolute()
        assert "maskable" not in Path(path).read_text()
    Path("sb3_ppo.yaml").write_text("name: mine")
    with shipped_config("train", "sb3_ppo.yaml") as path:
        assert Path(path).read_text() == "name: mine"


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("tune", "plantd.yaml", r"plantd\.yaml: no such file; did you mean the shipped 'planted\.yaml'\?$"),
        ("tune", "planted", r"planted: no such file; did you mean the shipped 'planted\.yaml'\?$"),
        ("tune", "sb3_ppo.yaml", r"sb3_ppo\.yaml: no such file; the shipped .* is for `rlenvs train`$"),
        ("train", "planted.yaml", r"planted\.yaml: no such file; the shipped .* is for `rlenvs tune`$"),
        ("tune", "xyzzy.yaml", r"xyzzy\.yaml: no such file \(shipped: .*offline\.yaml.*\)$"),
        ("train", "some/where/xyzzy.yaml", r"some/where/xyzzy\.yaml: no such file$"),
    ],
)
def test_what_is_not_there_is_told_with_what_may_be_meant(kind, name, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=message), shipped_config(kind, name):
        raise AssertionError("a file was found")
