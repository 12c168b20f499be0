"""Reading the configuration of a run, with what the command line leaves out of its reward."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from rlenvs.agents.runs.config import RunConfig
from rlenvs.config_file import SourceMap, apply_overrides, load_config, parse_config, read_config, validate_config
from rlenvs.errors import ConfigError
from rlenvs.suggestions import did_you_mean

C = TypeVar("C", bound=RunConfig)


def load_run(
    kind: type[C],
    config: str | Path | Mapping[str, Any] | C,
    overrides: Sequence[str] = (),
    without_rewards: Sequence[str] = (),
) -> C:
    """Read a YAML file or a mapping, with `key.sub=value` overrides.

    Args:
        kind: class of the configuration.
        config: the file or plain data; a configuration is returned as it is.
        overrides: applied in order.
        without_rewards: names of reward components to leave out, with their weights.

    Raises:
        ConfigError: the configuration cannot be used; the message names file, line and key.
    """
    if isinstance(config, kind):
        return config
    if not without_rewards:
        if isinstance(config, Mapping):
            return parse_config(kind, config, overrides=overrides)
        assert isinstance(config, str | Path)
        return load_config(kind, config, overrides)
    if isinstance(config, Mapping):
        data, source = apply_overrides(config, overrides), SourceMap()
    else:
        assert isinstance(config, str | Path)
        data, source = read_config(config, overrides)
    for name in without_rewards:
        leave_out_reward(data.get("rewards"), name)
    return validate_config(kind, data, source=source)


def leave_out_reward(rewards: Any, name: str) -> None:
    """Take a component and its weight out of plain data of a reward, in either dialect.

    Args:
        rewards: changed in place; what is no mapping of mappings is left for others to refuse.
        name: of the component.

    Raises:
        ConfigError: there is no such component.

    Example:
        >>> rewards = {"reward_components": {"a": {}, "b": {}}, "reward_shaping": {"a": {}}}
        >>> leave_out_reward(rewards, "a")
        >>> rewards
        {'reward_components': {'b': {}}, 'reward_shaping': {}}
    """
    if not isinstance(rewards, dict):
        return
    sections = [rewards.get(key) for key in ("reward_components", "reward_shaping")]
    present = [section for section in sections if isinstance(section, dict)]
    if not any(name in section for section in present):
        known = list(dict.fromkeys(str(key) for section in present for key in section))
        raise ConfigError(
            f"--no-reward: there is no reward component {name!r}{did_you_mean(name, known)} (known: {', '.join(known)})"
        )
    for section in present:
        section.pop(name, None)
