"""What the commands that start runs have in common: where their configuration comes from."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from rlenvs.agents.runs.kinds import Kind, kind_of
from rlenvs.agents.runs.names import CONFIG
from rlenvs.agents.runs.studies import is_study
from rlenvs.config_file import read_config
from rlenvs.errors import ConfigError
from rlenvs.suggestions import nearest

AUTO = "auto"
"""As `--resume`: go on with the run of this configuration where there is one, else start it."""


@contextlib.contextmanager
def shipped_config(kind: str, name: str) -> Iterator[str]:
    """Yield the path of a configuration file; where there is none of that name, of the shipped one.

    Args:
        kind: folder of the shipped ones.
        name: path of a file, or name of a shipped one.

    Raises:
        ConfigError: neither is there; names the nearest shipped one, or the command that this one is for.
    """
    if Path(name).exists():
        yield name
        return
    if not is_shipped(kind, name):
        raise ConfigError(f"{name}: no such file{_hint(kind, name)}")
    with resources.as_file(resources.files("rlenvs.configs") / kind / name) as path:
        yield str(path)


def is_shipped(kind: str, name: str) -> bool:
    """Return whether a configuration of that name ships in that folder."""
    return (resources.files("rlenvs.configs") / kind / name).is_file()


COMMANDS = {"train": "rlenvs train", "sft": "rlenvs sft", "tune": "rlenvs tune", "rewards": "rlenvs rewards"}
"""Folder of shipped configurations -> the command that takes them."""


def _hint(kind: str, name: str) -> str:
    """Say what else the name of an absent file may mean."""
    configs = resources.files("rlenvs.configs")
    for folder, command in COMMANDS.items():
        if folder != kind and is_shipped(folder, name):
            return f"; the shipped configuration of that name is for `{command}`"
    stems = sorted(Path(entry.name).stem for entry in (configs / kind).iterdir() if entry.name.endswith(".yaml"))
    near = nearest(name.removesuffix(".yaml"), stems)  # without the suffix, which all of them share
    if near is not None:
        return f"; did you mean the shipped '{near}.yaml'?"
    return "" if "/" in name else f" (shipped: {', '.join(f'{stem}.yaml' for stem in stems)})"


def with_output(overrides: Sequence[str], output: str | None) -> list[str]:
    """Return overrides with the folder that `--output` names.

    Example:
        >>> with_output(["seed=1"], "123")
        ['seed=1', 'output.dir="123"']
    """
    # json.dumps: a folder called 123 is text, and a path with a colon is no mapping
    return [*overrides, *([f"output.dir={json.dumps(output)}"] if output else [])]


def kind_of_run(config_path: str | None, resume_dir: str | None) -> Kind:
    """Return what a command line asks to train.

    Args:
        config_path: a file, or the name of a shipped one; None for the default.
        resume_dir: a run folder, `auto` or None.

    Returns:
        The kind; where there is nothing to read, reinforcement learning of a language model, which says so.

    Raises:
        ConfigError: the file is no configuration, or that of a study.
    """
    if resume_dir is not None and resume_dir != AUTO:
        path = Path(resume_dir) / CONFIG
        return kind_of(read_config(path)[0]) if path.is_file() else Kind.PPO
    if config_path is None or not (Path(config_path).is_file() or is_shipped("train", config_path)):
        return Kind.PPO
    with shipped_config("train", config_path) as found:
        data = read_config(found)[0]
    if is_study(data):
        raise ConfigError(f"{config_path}: is a study, which `rlenvs tune` runs; what it finds is what can be trained")
    return kind_of(data)
