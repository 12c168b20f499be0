"""The base of a study is found beside its file, where one stands, and among the shipped configurations."""

import pytest

from rlenvs.agents.tuning.base_file import find_base
from rlenvs.config_file import SourceMap
from rlenvs.errors import ConfigError


def test_beside_the_file_comes_first_then_here_then_what_ships(tmp_path, monkeypatch):
    beside, here = tmp_path / "beside", tmp_path / "here"
    beside.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    assert find_base("sb3_ppo.yaml", beside, SourceMap())[0]["algorithm"]["name"] == "ppo"
    (here / "sb3_ppo.yaml").write_text("a: 1")
    assert find_base("sb3_ppo.yaml", beside, SourceMap())[0] == {"a": 1}
    (beside / "sb3_ppo.yaml").write_text("a: 2")
    data, source = find_base("sb3_ppo.yaml", beside, SourceMap())
    assert data == {"a": 2}
    assert source.place(("a",))[0] == f"{beside / 'sb3_ppo.yaml'}:1:1"


def test_a_recipe_has_its_short_and_its_long_name(tmp_path):
    long, _ = find_base("rewards/tuning_base.yaml", tmp_path, SourceMap())
    short, _ = find_base("tuning_base.yaml", tmp_path, SourceMap())
    assert long == short
    assert "reward_components" in long


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sb3_pp.yaml", r"study: base: no such file, and no shipped configuration: 'sb3_pp.yaml'; did you mean 'sb3_p"),
        ("/nowhere/at/all.yaml", r"no such file"),
        ("../train/sb3_none.yaml", r"no such file"),
    ],
)
def test_what_is_not_found_is_named_with_the_nearest(name, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        find_base(name, tmp_path, SourceMap("study"))
