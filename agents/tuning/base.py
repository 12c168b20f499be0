"""What a study starts from: a run's configuration, a reward recipe, or a mapping of the user's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from rlenvs.agents.runs.kinds import Kind, kind_of
from rlenvs.agents.tuning.base_file import find_base
from rlenvs.config_file import dump_config
from rlenvs.config_problems import problems_of, strict_validate
from rlenvs.config_source import KeyPath, Problem, SourceMap, read_yaml
from rlenvs.errors import UserError
from rlenvs.suggestions import did_you_mean, nearest
from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline

__all__ = ["RECIPE_SECTIONS", "BaseConfig", "BaseKind"]

RECIPE_SECTIONS = ("composer_settings", "reward_components", "reward_shaping")


class BaseKind(Enum):
    """What a base configuration is; the value says it in words."""

    SB3 = "a run of Stable-Baselines3"
    LLM = "a run of the language-model agent"
    SUPERVISED = "a run on demonstrations"
    RECIPE = "a reward recipe"
    PLAIN = "a mapping of your own"


@dataclass(frozen=True)
class BaseConfig:
    """A base configuration and what is known about its kind.

    Attributes:
        data: plain values.
        kind: which model checks configurations that are made from it.
        source: where it was written.
        at: where it lies in `source`.

    Example:
        >>> BaseConfig.read(
        ...     {"reward_shaping": {"goal": {"class": "GoalReward"}}, "training": {"episodes": 50}}
        ... ).kind.name
        'RECIPE'
    """

    data: dict[str, Any]
    kind: BaseKind
    source: SourceMap = field(repr=False)
    at: KeyPath = ()

    @classmethod
    def read(
        cls, base: Mapping[str, Any] | str | Path | BaseModel, source: SourceMap | None = None, at: KeyPath = ()
    ) -> "BaseConfig":
        """Read a file, a mapping or a model, and refuse what its kind refuses.

        Args:
            base: the configuration; a path may be the name of a shipped one (`sb3_ppo.yaml`).
            source: where a mapping was written; without it messages have no line numbers.
            at: where it lies in `source`.

        Raises:
            ConfigError: it cannot be read, or does not hold by itself.
        """
        if isinstance(base, BaseModel):
            data, source = _data_of(base), SourceMap("base_config")
        elif isinstance(base, Mapping):
            data, source = dict(base), SourceMap("base_config") if source is None else source
        else:
            data, source = find_base(str(base), Path(), SourceMap("base_config"))
        config = cls(data, _kind(data), source, tuple(at))
        problems = [*source.problems, *(problem.under(config.at) for problem in config.problems(data))]
        if problems:
            raise source.error(problems)
        return config

    def problems(self, data: Mapping[str, Any]) -> list[Problem]:
        """Return what is wrong with a configuration made from this one; its reward pipeline is built.

        Paths lead from the top of the configuration.
        """
        model = model_of(self.kind)
        if model is None:
            return []
        if self.kind is not BaseKind.RECIPE:
            return _model_problems(model, data, self.kind)
        recipe = {key: value for key, value in data.items() if key in RECIPE_SECTIONS}
        own = [key for key in data if key not in RECIPE_SECTIONS]
        return [*_misspelt_sections(own), *_model_problems(model, recipe, self.kind)]

    def model(self, data: Mapping[str, Any]) -> BaseModel | None:
        """Return a configuration made from this one as its model; None where the kind has none.

        Raises:
            ConfigError: the model refuses it.
        """
        model = model_of(self.kind)
        if model is None:
            return None
        problems = self.problems(data)
        if problems:
            raise SourceMap("config").error(problems)
        recipe = self.kind is BaseKind.RECIPE
        return strict_validate(model, {key: v for key, v in data.items() if not recipe or key in RECIPE_SECTIONS})


def _kind(data: Mapping[str, Any]) -> BaseKind:
    """Return the kind of plain data.

    A recipe goes by its sections. A run has an `env`, and an algorithm with a name or a reward or `ppo` beside it:
    sections that a mapping of one's own has by chance do not make it a run.
    """
    if any(isinstance(data.get(key), Mapping) for key in ("reward_components", "reward_shaping")):
        return BaseKind.RECIPE
    runs = {Kind.SB3: BaseKind.SB3, Kind.PPO: BaseKind.LLM, Kind.SUPERVISED: BaseKind.SUPERVISED}
    marks = ("algorithm", "rewards", "ppo", "sft")
    is_run = isinstance(data.get("env"), Mapping) and any(isinstance(data.get(key), Mapping) for key in marks)
    return runs[kind_of(data)] if is_run else BaseKind.PLAIN


def model_of(kind: BaseKind) -> type[BaseModel] | None:
    """Return what checks configurations of a kind. Imports without torch."""
    if kind is BaseKind.SB3:
        from rlenvs.agents.sb3.config import SB3TrainConfig

        return SB3TrainConfig
    if kind is BaseKind.LLM:
        from rlenvs.agents.llm.config import TrainConfig

        return TrainConfig
    if kind is BaseKind.SUPERVISED:
        from rlenvs.agents.llm.sft import SFTConfig

        return SFTConfig
    return RewardConfig if kind is BaseKind.RECIPE else None


def _model_problems(model: type[BaseModel], data: Mapping[str, Any], kind: BaseKind) -> list[Problem]:
    try:
        value = strict_validate(model, dict(data))
    except ValidationError as error:
        return problems_of(error, model, data)
    except (TypeError, RecursionError) as error:
        return [Problem((), f"not plain data ({error})")]
    rewards = value if isinstance(value, RewardConfig) else getattr(value, "rewards", None)
    if rewards is None:
        return []
    try:
        build_pipeline(rewards)
    except UserError as error:
        return [Problem(() if kind is BaseKind.RECIPE else ("rewards",), " ".join(str(error).split()))]
    return []


def _misspelt_sections(keys: list[str]) -> list[Problem]:
    return [
        Problem((key,), f"unknown key {key!r}{did_you_mean(key, RECIPE_SECTIONS)}")
        for key in keys
        if isinstance(key, str) and nearest(key, RECIPE_SECTIONS) is not None
    ]


def _data_of(config: BaseModel) -> dict[str, Any]:
    if isinstance(config, RewardConfig):
        return config.to_dict()
    data = read_yaml(dump_config(config))[0]
    assert isinstance(data, dict), type(config)
    return data
