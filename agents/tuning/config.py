"""Configuration of a tuning study. YAML fills these models. Imports without Optuna and torch."""

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from rlenvs.agents.runs.section import Count, Positive, PositiveInt, Section
from rlenvs.agents.tuning.base_file import find_base
from rlenvs.agents.tuning.engine.pruners import PrunerConfig
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.agents.tuning.objectives.config import ObjectiveConfig
from rlenvs.agents.tuning.space import space_problems
from rlenvs.config_file import SourceMap, apply_overrides, config_error, read_config, validate_config
from rlenvs.config_problems import ConfigProblemsError
from rlenvs.config_source import KeyPath

__all__ = ["TuneConfig", "TuneOutputConfig", "TuneSources"]


OF_BASES = ("env", "algorithm", "reward_components", "reward_shaping")
"""Sections that a configuration has which can be tuned, and a study has not."""


class TuneOutputConfig(Section):
    """What a study leaves behind."""

    dir: str | None = Field(None, description="folder of the study; null: runs/<name>-<date>-<time>")


@dataclass(frozen=True)
class TuneSources:
    """Where a study was written.

    Attributes:
        study: its own file.
        base: that of its base.
        base_at: where in that file the base lies.
    """

    study: SourceMap = field(default_factory=SourceMap)
    base: SourceMap = field(default_factory=SourceMap)
    base_at: KeyPath = ()


class TuneConfig(Section):
    """One study: what to tune, what to measure, how to search.

    Example:
        >>> config = TuneConfig.load(
        ...     {
        ...         "base": "sb3_ppo.yaml",
        ...         "search_space": {
        ...             "algorithm.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
        ...         },
        ...         "objective": {"kind": "sb3"},
        ...     },
        ...     ["n_trials=5"],
        ... )
        >>> config.n_trials, config.base["algorithm"]["name"]
        (5, 'ppo')
    """

    name: str = Field("tune", pattern=r"^[\w.-]+$", description="names the study and its folder")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of the search; training has seeds of its own")
    base: str | dict[str, Any] = Field(
        description="what is tuned: a file (looked for beside this one first), the name of a shipped one, or the "
        "configuration itself"
    )
    search_space: dict[str, Any] = Field(
        description="a tree like the base, or paths with dots, down to {type: float|int|categorical, low, high, log, "
        "step, choices, name}; the choices of a categorical may be sub-trees with parameters of their own"
    )
    objective: ObjectiveConfig = Field(description="what a trial is worth")
    sampler: SamplerConfig = SamplerConfig()
    pruner: PrunerConfig = PrunerConfig()
    n_trials: PositiveInt = Field(30, description="trials that are to finish, all machines and sessions together")
    timeout: Positive | None = Field(None, description="seconds after which no new trial begins; null: no limit")
    workers: PositiveInt = Field(1, description="processes that run trials; with 1 they run in this one")
    storage: str | None = Field(
        None,
        description="where trials are kept: postgresql://, mysql://, sqlite:///, grpc://HOST:PORT or journal:PATH; "
        "null: journal.log in the folder of the study",
    )
    fresh_seeds: Count = Field(
        5, description="seeds, unused so far, on which the best configuration is measured against the base; 0: none"
    )
    output: TuneOutputConfig = TuneOutputConfig()

    @model_validator(mode="after")
    def _the_space_can_be_drawn(self) -> "TuneConfig":
        problems = space_problems(self.search_space)
        if problems:
            raise ConfigProblemsError([problem.under(("search_space",)) for problem in problems])
        return self

    @classmethod
    def load(cls, config: "str | Path | Mapping[str, Any] | TuneConfig", overrides: Sequence[str] = ()) -> "TuneConfig":
        """Read a YAML file or a mapping, with `key.sub=value` overrides; the base is read too.

        Args:
            config: the file or plain data; a configuration is returned as it is.
            overrides: applied in order; `base.…=value` changes the base.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        return config if isinstance(config, cls) else cls.load_with_source(config, overrides)[0]

    @classmethod
    def load_with_source(
        cls, config: "str | Path | Mapping[str, Any] | TuneConfig", overrides: Sequence[str] = ()
    ) -> "tuple[TuneConfig, TuneSources]":
        """Do as `load`, and return where each key was written too."""
        if isinstance(config, cls):
            return config, TuneSources()
        folder = Path(config).parent if isinstance(config, str | Path) else Path()
        of_base = [text for text in overrides if text.startswith("base.")]
        others = [text for text in overrides if not text.startswith("base.")]
        if isinstance(config, Mapping):
            data, source = apply_overrides(copy.deepcopy(dict(config)), others), SourceMap()
        else:
            assert isinstance(config, str | Path)
            data, source = read_config(config, others)
        if "base" not in data and not data.keys().isdisjoint(OF_BASES):
            raise config_error((), "is what can be tuned, not a study: name it as `base:` beside search_space", source)
        _find_rollouts(data, folder, source)
        if isinstance(data.get("storage"), str):
            data["storage"] = _from_anywhere(data["storage"])
        sources = TuneSources(source, source, ("base",))
        if isinstance(data.get("base"), str):
            data["base"], base_source = find_base(data["base"], folder, source)
            sources = TuneSources(source, base_source)
        if isinstance(data.get("base"), dict):
            data["base"] = apply_overrides(data["base"], [text.removeprefix("base.") for text in of_base])
        return validate_config(cls, data, source=source), sources


def _find_rollouts(data: dict[str, Any], folder: Path, source: SourceMap) -> None:
    """Make the path of stored rollouts absolute: workers and those who resume may stand elsewhere.

    Args:
        data: plain data of the study, changed in place.
        folder: of its file, where a path in it begins; one of the command line begins where that is typed.
        source: of the file.
    """
    objective = data.get("objective")
    if not isinstance(objective, dict) or not isinstance(objective.get("rollouts"), str):
        return
    typed = any(key[:1] == ("objective",) for key in source.overrides)
    places = (Path(), folder) if typed else (folder, Path())
    for place in places:
        if (place / objective["rollouts"]).exists():
            objective["rollouts"] = os.path.abspath(place / objective["rollouts"])
            return


def _from_anywhere(storage: str) -> str:
    """Return the URL of a storage with an absolute path, where it has one: workers may stand elsewhere.

    Example:
        >>> _from_anywhere("sqlite:////data/s.db"), _from_anywhere("postgresql://me@db/studies")
        ('sqlite:////data/s.db', 'postgresql://me@db/studies')
        >>> _from_anywhere("journal:a.log") == f"journal:{os.path.abspath('a.log')}"
        True
    """
    for scheme in ("journal:", "sqlite:///"):
        path = storage.removeprefix(scheme)
        if path != storage and path and not path.startswith(("/", ":")):
            return scheme + os.path.abspath(path)
    return os.path.abspath(storage) if storage.endswith(".log") and ":" not in storage else storage
