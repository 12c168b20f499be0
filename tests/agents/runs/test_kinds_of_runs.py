"""What runs of all kinds share, without any of them."""

from pathlib import Path
from typing import ClassVar

import pytest

from rlenvs.agents.runs.changes import changes, plain_config, refuse_breaking
from rlenvs.agents.runs.command import kind_of_run
from rlenvs.agents.runs.config import OutputConfig, RunConfig
from rlenvs.agents.runs.kinds import Kind, kind_of
from rlenvs.agents.runs.loading import load_run
from rlenvs.agents.runs.resuming import find_run, in_its_folder
from rlenvs.agents.runs.run_folder import RunFolder, choose_run_folder
from rlenvs.errors import ConfigError, RunFolderError


class Toy(RunConfig):
    """A kind of run for these tests: it would be taken for one of Stable-Baselines3."""

    kind: ClassVar[Kind] = Kind.SB3
    name: str = "toy"
    algorithm: dict[str, int] = {"steps": 1}  # noqa: RUF012
    rewards: dict[str, dict[str, dict[str, int]]] | None = None
    output: OutputConfig = OutputConfig(trackers=[])


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[3] / "configs").glob("[ts][rf]*/*.yaml")), ids=lambda p: p.name
)
def test_every_shipped_configuration_is_of_the_kind_that_its_place_says(path):
    found = kind_of_run(str(path), None)
    expected = Kind.SUPERVISED if path.parent.name == "sft" else Kind.SB3 if path.name.startswith("sb3_") else Kind.PPO
    assert found is expected


def test_the_kind_of_a_run_that_goes_on_is_in_its_folder(tmp_path):
    folder = RunFolder.create(tmp_path / "run", Toy())
    assert kind_of_run(None, str(folder.path)) is Kind.SB3
    assert kind_of_run("configs/nothing.yaml", str(folder.path)) is Kind.SB3
    assert kind_of_run(None, str(tmp_path)) is Kind.PPO
    assert kind_of_run(None, "auto") is Kind.PPO
    assert {kind.command for kind in Kind} == {"rlenvs train", "rlenvs sft"}
    assert kind_of({}) is Kind.PPO


def test_a_folder_gives_back_what_it_was_made_with(tmp_path):
    config = Toy(output=OutputConfig(trackers=[], checkpoint_dir=str(tmp_path / "elsewhere")))
    folder = RunFolder.create(tmp_path / "run", config)
    assert RunFolder.open(tmp_path / "run", Toy).config == config
    (folder.checkpoints / "iteration-000001").mkdir()
    taken = Toy(output=OutputConfig(dir=str(tmp_path / "run")))
    with pytest.raises(RunFolderError, match="or go on with it by --resume"):
        choose_run_folder(taken)
    assert find_run(taken) == tmp_path / "run"


def test_folders_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = Toy(output=OutputConfig(checkpoint_dir="there"))
    assert config.from_anywhere().output.checkpoint_dir == str(tmp_path / "there")
    assert config.output.checkpoint_dir == "there"


def test_a_run_keeps_its_own_folder_when_it_goes_on(tmp_path):
    folder = RunFolder(tmp_path, Toy(output=OutputConfig(dir="here", keep_checkpoints=1)))
    wanted = in_its_folder(Toy(output=OutputConfig(dir="there", keep_checkpoints=5)), folder)
    assert (wanted.output.dir, wanted.output.keep_checkpoints) == ("here", 5)


def test_changes_are_refused_by_key_and_below_it():
    found = changes(plain_config(Toy()), plain_config(Toy(algorithm={"steps": 2})))
    assert [str(change) for change in found] == ["algorithm.steps: 1 -> 2"]
    refuse_breaking(found, {"algo": "a prefix of a key is no key"}, "leave it")
    with pytest.raises(ConfigError, match=r"algorithm.steps: 1 -> 2 cannot change .* \(it is in the way\): leave it"):
        refuse_breaking(found, {"algorithm": "it is in the way"}, "leave it")


def test_rewards_are_left_out_before_anything_is_checked():
    data = {"rewards": {"reward_components": {"a": {"x": 1}, "b": {"x": 2}}}}
    assert load_run(Toy, data, (), ["a"]).rewards == {"reward_components": {"b": {"x": 2}}}
    with pytest.raises(ConfigError, match="there is no reward component 'c'"):
        load_run(Toy, data, (), ["c"])
