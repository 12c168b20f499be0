"""Typed configuration of the reward layer, and how it becomes a pipeline.

There is one model and there are two dialects that it reads. The cookbook's has a section for each question:
`reward_components` names the parts, `reward_shaping` their weights, `composer_settings` what holds for all. The guide's
puts class, parameters and weight of a component into one entry of `reward_shaping` (see `config_dialects`). What is
written back is always the cookbook's.

Read `config_component` for one component, `config_shaping` for one weight, `config_composer` for normalisation and
reducer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from rlenvs.config_file import load_config, parse_config
from rlenvs.config_problems import ConfigParamsError, ConfigProblemsError, strict_validate
from rlenvs.config_source import KeyPath
from rlenvs.errors import ConfigError
from rlenvs.wrappers.config.component import ComponentConfig
from rlenvs.wrappers.config.composer import ComposerSettings
from rlenvs.wrappers.config.dialects import GuideConfig, in_cookbook_dialect, is_guide, place_in_guide
from rlenvs.wrappers.config.rules import rule_problems
from rlenvs.wrappers.config.shaping import ShapingConfig
from rlenvs.wrappers.normalization.strategies import Normalization
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.scoring import ErrorPolicy

__all__ = ["ComponentConfig", "ComposerSettings", "RewardConfig", "ShapingConfig", "build_pipeline"]


@dataclass(frozen=True)
class WrittenDialect:
    """In which dialect a configuration was written. No part of a comparison: both mean the same."""

    guide: bool = field(default=False, compare=False)


class RewardConfig(BaseModel):
    """A whole reward: components, how their weights move, and how they become one number.

    Example:
        >>> cookbook = RewardConfig.load({"reward_components": {"right": {"class": "CorrectnessReward"}}})
        >>> guide = RewardConfig.load({"reward_shaping": {"right": {"class": "CorrectnessReward"}}})
        >>> guide == cookbook, guide.to_dict()
        (True, {'reward_components': {'right': {'class': 'CorrectnessReward'}}})
    """

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    composer_settings: ComposerSettings = Field(
        default_factory=ComposerSettings, description="normalisation and reducer"
    )
    reward_components: dict[str, ComponentConfig] = Field(min_length=1, description="name -> component")
    reward_shaping: dict[str, ShapingConfig] = Field(
        default_factory=dict, description="name -> weight; a component without an entry keeps weight 1"
    )
    _dialect: WrittenDialect = PrivateAttr(default_factory=WrittenDialect)

    @model_validator(mode="wrap")
    @classmethod
    def _in_either_dialect(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        guide = isinstance(data, dict) and is_guide(data)
        if guide:
            try:
                strict_validate(GuideConfig, data)
            except ValidationError as error:
                raise ConfigParamsError((), GuideConfig, data, error) from None
            data = in_cookbook_dialect(data)
        config = handler(data)
        config._dialect = WrittenDialect(guide)
        if problems := rule_problems(config):
            raise ConfigProblemsError(problems)
        return config

    @classmethod
    def load(cls, config: "str | Path | Mapping[str, Any] | RewardConfig") -> "RewardConfig":
        """Read a YAML file or a mapping; a `RewardConfig` is returned as it is.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        if isinstance(config, RewardConfig):
            return config
        if isinstance(config, Mapping):
            return parse_config(cls, config, name="rewards")
        return load_config(cls, config)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, in the cookbook's dialect, that `load` reads back to an equal configuration."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def place_of(self, name: str, *path: str) -> KeyPath:
        """Return where a parameter of a component was written, in the dialect of the author.

        Rules of those who embed a configuration blame a parameter by its place.

        Args:
            name: the component.
            path: the parameter, and what leads further into it.

        Example:
            >>> config = RewardConfig.load({"reward_shaping": {"long": {"class": "LengthPenalty", "max_length": 3}}})
            >>> config.place_of("long", "max_length")
            ('reward_shaping', 'long', 'max_length')
        """
        return self.place(("reward_components", name, *self.reward_components[name].place_of(*path)))

    def place(self, path: KeyPath) -> KeyPath:
        """Return where a path of the cookbook's dialect was written."""
        return place_in_guide(path) if self._dialect.guide else path

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe both dialects to editors."""
        from rlenvs.wrappers.config.schema import either_dialect

        return either_dialect(handler(core_schema), handler(GuideConfig.__pydantic_core_schema__), handler)


def build_pipeline(config: RewardConfig) -> RewardPipeline:
    """Return the pipeline that `config` describes.

    Raises:
        ConfigError: a component refuses its parameters; the message names the component.
    """
    parts = {}
    for name, component in config.reward_components.items():
        try:
            parts[name] = component.build()
        except ConfigError as error:
            raise ConfigError(f"{'.'.join(map(str, config.place_of(name)))}: {error}") from error
    policies = {
        name: ErrorPolicy(part.on_error, nan if part.error_value is None else part.error_value)
        for name, part in config.reward_components.items()
    }
    return RewardPipeline(
        parts,
        schedules={name: shaping.build() for name, shaping in config.reward_shaping.items()},
        policies=policies,
        reducer=config.composer_settings.build_reducer(),
        normalizations=normalizations(config),
        output_normalization=config.composer_settings.output_normalization(),
    )


def normalizations(config: RewardConfig) -> dict[str, Normalization]:
    """Return how each component is normalised; components that are not, potentials among them, are left out."""
    found = {
        name: component.normalize_as(config.composer_settings)
        for name, component in config.reward_components.items()
        if not component.is_potential
    }
    return {name: spec for name, spec in found.items() if spec.strategy != "none"}
