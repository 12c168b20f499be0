"""The settings of a reward as a whole: normalisation, and how components become one number."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from rlenvs.config_file import did_you_mean
from rlenvs.config_problems import ConfigProblemsError
from rlenvs.config_source import KeyPath, Problem
from rlenvs.shown import shown
from rlenvs.wrappers.config.construct import construct, construction_problems
from rlenvs.wrappers.config.schema import of_each_choice
from rlenvs.wrappers.normalization.strategies import NORMALIZATION_STRATEGIES, Normalization, Strategy, fields_used_by
from rlenvs.wrappers.reducers import Reducer, reducer_registry

__all__ = ["ComposerSettings", "build_normalization", "normalization_problems", "without_defaults"]

INPUT_KEYS = {
    "window": "norm_window",
    "epsilon": "norm_epsilon",
    "warmup": "norm_warmup",
    "floor": "norm_floor",
    "decay": "norm_decay",
    "clip": "norm_clip",
    "center": "norm_center",
}
OUTPUT_KEYS = {"window": "output_norm_window", "epsilon": "output_epsilon", "clip": "output_clip"}
OLDER_WARMUP = "norm_warmup_steps"
DEFAULT = Normalization()


@dataclass(frozen=True)
class WrittenKeys:
    """The keys that the author wrote. No part of a comparison: a default that is written out changes nothing."""

    names: frozenset[str] = field(default_factory=frozenset, compare=False)


class ComposerSettings(BaseModel):
    """`composer_settings`: what holds for all components together.

    `normalize: true` is the older form of `normalization_strategy: z_score`, `norm_warmup_steps` that of
    `norm_warmup`; giving both forms is an error. Keys that the chosen strategy does not use are errors.

    Example:
        >>> ComposerSettings(normalization_strategy="z_score", norm_window=50).normalization()
        Normalization(strategy='z_score', window=50, ..., center=True)
    """

    model_config = ConfigDict(extra="forbid")

    normalization_strategy: Strategy | None = Field("none", description="of each component's values; null: none")
    norm_window: int = Field(DEFAULT.window, description="z_score, min_max: values looked back on")
    norm_epsilon: float = Field(DEFAULT.epsilon, description="added to every scale")
    norm_warmup: int = Field(DEFAULT.warmup, description="values seen before statistics are used")
    norm_floor: float = Field(DEFAULT.floor, description="smallest deviation or range that is divided by")
    norm_decay: float = Field(DEFAULT.decay, description="ema: weight of a value relative to the next one")
    norm_clip: float | None = Field(None, description="normalised values are cut to [-clip, clip]; null: no limit")
    norm_center: bool = Field(True, description="false: only scale, which keeps the optimal policy")
    reducer: str = Field("weighted_sum", description="how weighted components become one number")
    reducer_params: dict[str, Any] = Field(default_factory=dict, description="parameters of the reducer")
    output_normalization_strategy: Strategy | None = Field("none", description="of the reduced reward; null: none")
    output_norm_window: int = Field(DEFAULT.window, description="as norm_window, for the reduced reward")
    output_epsilon: float = Field(DEFAULT.epsilon, description="as norm_epsilon, for the reduced reward")
    output_clip: float | None = Field(None, description="as norm_clip, for the reduced reward")
    # The older forms: read, turned into the ones above, never written.
    normalize: bool = Field(False, exclude=True, description="older form: true is normalization_strategy z_score")
    norm_warmup_steps: int = Field(DEFAULT.warmup, exclude=True, description="older form of norm_warmup")
    _written: WrittenKeys = PrivateAttr(default_factory=WrittenKeys)

    @model_validator(mode="after")
    def _is_consistent(self) -> "ComposerSettings":
        self._written = WrittenKeys(frozenset(self.model_fields_set))
        problems = self._settle_older_forms()
        problems += self._reducer_problems()
        problems += self._output_problems()
        problems += normalization_problems(
            {"strategy": self.normalization_strategy, **self.given(INPUT_KEYS)}, self.normalization_keys, may_lie=True
        )
        if problems:
            raise ConfigProblemsError(problems)
        return self

    @property
    def normalization_keys(self) -> dict[str, KeyPath]:
        """Where each field of the components' normalisation was written."""
        keys: dict[str, KeyPath] = {name: (key,) for name, key in INPUT_KEYS.items()}
        if OLDER_WARMUP in self._written.names:
            keys["warmup"] = (OLDER_WARMUP,)
        return {"strategy": ("normalization_strategy",), **keys}

    def given(self, keys: Mapping[str, str]) -> dict[str, Any]:
        """Return the fields of a normalisation that the author wrote: field -> value."""
        older = {"warmup": OLDER_WARMUP} if OLDER_WARMUP in self._written.names else {}
        return {
            name: getattr(self, key)
            for name, key in keys.items()
            if key in self._written.names or (key == "norm_warmup" and older)
        }

    def normalization(self, strategy: str | None = None) -> Normalization:
        """Return how the values of a component are normalised.

        Args:
            strategy: another strategy than `normalization_strategy`, with the same settings as far as it has them.
        """
        chosen = self.normalization_strategy if strategy is None else strategy
        used = fields_used_by(chosen or "none")
        settings = {name: value for name, value in self.given(INPUT_KEYS).items() if name in used}
        return build_normalization({"strategy": chosen or "none", **settings})

    def output_normalization(self) -> Normalization | None:
        """Return how the reduced reward is normalised; None for not at all."""
        if self.output_normalization_strategy is None or self.output_normalization_strategy == "none":
            return None
        return build_normalization({"strategy": self.output_normalization_strategy, **self.given(OUTPUT_KEYS)})

    def build_reducer(self) -> Reducer:
        """Return the reducer, not yet bound to any names."""
        built: Reducer = construct(reducer_registry.get(self.reducer), self.reducer_params)
        return built

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the parameters of each reducer to editors."""
        schema = handler(core_schema)
        reducers = {name: reducer_registry.get(name) for name in sorted(reducer_registry.names())}
        handler.resolve_ref_schema(schema)["allOf"] = of_each_choice("reducer", "reducer_params", reducers, handler)
        return schema

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what differs from the defaults: keys that the strategy does not use would be refused."""
        return without_defaults(self, handler(self))

    def _settle_older_forms(self) -> list[Problem]:
        """Turn the older forms into today's; null into `none`."""
        written, problems, settled = self._written.names, [], dict[str, Any]()
        for key in ("normalization_strategy", "output_normalization_strategy"):
            if getattr(self, key) is None:
                settled[key] = "none"
        if "normalize" in written and "normalization_strategy" in written:
            problems.append(Problem(("normalize",), "is the older form of 'normalization_strategy'; give one of them"))
        elif self.normalize:
            settled["normalization_strategy"] = "z_score"
        if {OLDER_WARMUP, "norm_warmup"} <= written:
            problems.append(Problem((OLDER_WARMUP,), "is the older form of 'norm_warmup'; give one of them"))
        elif OLDER_WARMUP in written:
            settled["norm_warmup"] = self.norm_warmup_steps
        # Not by setattr: what the author wrote stays what the author wrote.
        self.__dict__.update({**settled, "normalize": False, OLDER_WARMUP: DEFAULT.warmup})
        return problems

    def _reducer_problems(self) -> list[Problem]:
        if self.reducer not in reducer_registry:
            guess = did_you_mean(self.reducer, reducer_registry.names())
            known = ", ".join(reducer_registry.names())
            return [Problem(("reducer",), f"unknown reducer {shown(self.reducer)}{guess} (known: {known})")]
        found = construction_problems(reducer_registry.get(self.reducer), self.reducer_params, ("reducer_params",))
        if self.reducer_params:
            return found
        # There are no parameters to point at: what is missing is missing beside the reducer's name.
        return [Problem(("reducer",), f"{self.reducer!r} needs reducer_params: {problem.message}") for problem in found]

    def _output_problems(self) -> list[Problem]:
        keys: dict[str, KeyPath] = {name: (key,) for name, key in OUTPUT_KEYS.items()}
        return normalization_problems(
            {"strategy": self.output_normalization_strategy, **self.given(OUTPUT_KEYS)},
            {"strategy": ("output_normalization_strategy",), **keys},
        )


def build_normalization(settings: Mapping[str, Any]) -> Normalization:
    """Return a normalisation; a window shorter than the default warm-up shortens the warm-up where none is written.

    Example:
        >>> build_normalization({"strategy": "z_score", "window": 5}).warmup
        5
    """
    return Normalization(**_with_warmup(settings))


def _with_warmup(settings: Mapping[str, Any]) -> dict[str, Any]:
    window = settings.get("window")
    shortened = "warmup" not in settings and isinstance(window, int) and 1 <= window < DEFAULT.warmup
    return {**settings, "warmup": window} if shortened else dict(settings)


def without_defaults(model: BaseModel, data: dict[str, Any]) -> dict[str, Any]:
    """Return what a model was dumped to, without the keys that have their default values."""
    defaults = {
        key: field.get_default(call_default_factory=True, validated_data={})
        for name, field in type(model).model_fields.items()
        if not field.is_required()
        for key in (name, field.alias or name)
    }
    return {key: value for key, value in data.items() if key not in defaults or value != defaults[key]}


def normalization_problems(
    settings: Mapping[str, Any], keys: Mapping[str, KeyPath], *, may_lie: bool = False
) -> list[Problem]:
    """Return what is wrong with the settings of a normalisation.

    Args:
        settings: fields of `Normalization`, those that were written.
        keys: where each of them was written.
        may_lie: leave out the complaint about fields that the strategy does not use: somebody else may use them.
    """
    strategy = settings.get("strategy") or "none"
    if not isinstance(strategy, str) or strategy not in NORMALIZATION_STRATEGIES:
        guess = did_you_mean(strategy, NORMALIZATION_STRATEGIES) if isinstance(strategy, str) else ""
        known = ", ".join(NORMALIZATION_STRATEGIES)
        return [Problem(keys["strategy"], f"unknown strategy {shown(strategy)}{guess} (known: {known})")]
    used = {"strategy", *fields_used_by(strategy)}
    problems = [] if may_lie else [
        Problem(keys[name], f"is not used by {_last(keys['strategy'])} {strategy!r}; remove it")
        for name in settings
        if name not in used and name in keys
    ]  # fmt: skip
    given = {name: value for name, value in settings.items() if name in used and value is not None}
    found = construction_problems(Normalization, _with_warmup(given), ())
    for problem in found:
        name = str(problem.path[0]) if problem.path else "strategy"
        problems.append(Problem((*keys.get(name, (name,)), *problem.path[1:]), problem.message))
    return problems


def _last(path: KeyPath) -> str:
    return str(path[-1])
