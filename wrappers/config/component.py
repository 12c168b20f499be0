"""One reward component as configurations write it: a class, its parameters, and what becomes of its failures."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from rlenvs.config_file import did_you_mean
from rlenvs.config_problems import ConfigProblemsError, problems_of, unknown_choice
from rlenvs.config_source import KeyPath, Problem
from rlenvs.errors import ConfigError
from rlenvs.shown import shown
from rlenvs.suggestions import nearest
from rlenvs.wrappers import components as _registers_the_components  # noqa: F401
from rlenvs.wrappers import potentials as _registers_the_potentials  # noqa: F401
from rlenvs.wrappers.base import BaseReward
from rlenvs.wrappers.component_registry import component_registry
from rlenvs.wrappers.config.composer import (
    ComposerSettings,
    build_normalization,
    normalization_problems,
    without_defaults,
)
from rlenvs.wrappers.config.construct import (
    MISSING,
    construct,
    construction_problems,
    parameter_names,
    takes_anything,
    without_misspelt,
)
from rlenvs.wrappers.config.schema import of_each_choice, of_each_class
from rlenvs.wrappers.normalization.strategies import Normalization
from rlenvs.wrappers.potentials.base import LLMPotentialBasedReward, potential_class, potential_registry
from rlenvs.wrappers.scoring import OnError

__all__ = ["POTENTIAL_CLASS", "ComponentConfig", "component_class", "component_names"]

POTENTIAL_CLASS = LLMPotentialBasedReward.__name__


@dataclass(frozen=True)
class WrittenParams:
    """Where the author wrote the parameters. No part of a comparison: both places mean the same.

    Attributes:
        inline: those beside `class`.
        nested: whether there is a `params`.
    """

    inline: frozenset[str] = field(default_factory=frozenset, compare=False)
    nested: bool = field(default=True, compare=False)

    def place(self, path: KeyPath) -> KeyPath:
        """Return where a path that begins with `params` was written."""
        if path[:1] != ("params",):
            return path
        if len(path) > 1:
            return path[1:] if path[1] in self.inline or not self.nested else path
        return path if self.nested else ()


class ComponentConfig(BaseModel):
    """One entry of `reward_components`.

    The parameters of the class stand under `params` or beside `class`; the same parameter in both places is an
    error. A class that has a parameter with the name of a key of this entry gets its parameters under `params`.

    Example:
        >>> part = ComponentConfig(**{"class": "LengthPenalty", "max_length": 3, "unit": "words"})
        >>> part.params
        {'max_length': 3, 'unit': 'words'}
    """

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    class_name: str = Field(alias="class", description="registered name of the component")
    params: dict[str, Any] = Field(default_factory=dict, description="parameters of the class")
    on_error: OnError = Field("raise", description="what becomes of an error that the text cannot have provoked")
    error_value: FiniteFloat | None = Field(None, description="stands in for an error with penalty or default")
    timeout_s: Annotated[FiniteFloat, Field(gt=0)] | None = Field(
        None, description="seconds that one call may take; null: no limit"
    )
    timeout_value: FiniteFloat | None = Field(None, description="value of what took longer; null: 0")
    normalization: str | dict[str, Any] | None = Field(
        None, description="instead of composer_settings: a strategy, or {strategy, window, epsilon, ...}"
    )
    _written: WrittenParams = PrivateAttr(default_factory=WrittenParams)

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_parameters(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        keys = entry_keys(cls)
        own = {key: value for key, value in data.items() if key in keys}
        inline = {key: value for key, value in data.items() if key not in keys}
        nested = own.get("params", {})
        written = WrittenParams(frozenset(inline), "params" in own)
        problems = _unknown_keys(inline, own.get("class"), keys)
        unknown = {str(problem.path[0]) for problem in problems}
        if not written.nested:
            problems += _ambiguous_keys(own, own.get("class"))
        if isinstance(nested, dict):
            twice = [key for key in inline if key in nested]
            problems += [Problem((key,), "given twice: here and under 'params'") for key in twice]
            merged = {**{key: value for key, value in inline.items() if key not in unknown}, **nested}
            own["params"] = merged
            found = parameter_problems(own.get("class"), merged)
            if unknown:  # a parameter that seems absent may be the one that nobody knows
                in_params = any(nearest(key, keys) == "params" for key in unknown)
                found = [problem for problem in found if not _is_absent(problem, merged, in_params)]
            problems += [_placed(problem, written) for problem in without_misspelt(found, unknown)]
        try:
            component = handler(own)
        except ValidationError as error:
            problems += without_misspelt(problems_of(error, cls, own), unknown)
            raise ConfigProblemsError(problems) from None
        problems += component._rule_problems()
        if problems:
            raise ConfigProblemsError(problems)
        component._written = written
        return component

    @property
    def is_potential(self) -> bool:
        """Whether this is a potential term rather than a component of the weighted sum."""
        return self.class_name == POTENTIAL_CLASS

    def place_of(self, *path: str) -> KeyPath:
        """Return where a parameter was written inside this entry: under `params`, or beside `class`.

        Example:
            >>> ComponentConfig(**{"class": "LengthPenalty", "max_length": 3}).place_of("max_length")
            ('max_length',)
        """
        return self._written.place(("params", *path))

    def normalize_as(self, settings: ComposerSettings) -> Normalization:
        """Return how the values of this component are normalised, given what holds for all.

        A strategy by name takes the `norm_*` settings of all that it uses; a mapping stands for itself.
        """
        if isinstance(self.normalization, dict):
            return build_normalization(self.normalization)
        return settings.normalization(self.normalization)

    def build(self) -> BaseReward | LLMPotentialBasedReward:
        """Return the component, behind its deadline where it has one."""
        built: BaseReward | LLMPotentialBasedReward = construct(component_class(self.class_name), self.params)
        if self.timeout_s is None or not isinstance(built, BaseReward):
            return built
        from rlenvs.wrappers.deadline.component import DeadlineReward

        return DeadlineReward(built, self.timeout_s, self.timeout_value or 0.0)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the parameters of each class to editors."""
        schema = handler(core_schema)
        classes = {name: component_class(name) for name in component_names()}
        section = handler.resolve_ref_schema(schema)
        of_each_class(section, classes, handler)
        potentials = {name: potential_class(name) for name in sorted(potential_registry.names())}
        rules = of_each_choice("potential_function", "potential_params", potentials, handler)
        (guide,) = (entry for entry in section["anyOf"] if entry["title"] == POTENTIAL_CLASS)
        guide["allOf"] = [*rules, {"properties": {"params": {"allOf": rules}}}]
        return schema

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_defaults(self, handler(self))

    def _rule_problems(self) -> list[Problem]:
        """Return what is wrong between the keys of the entry."""
        problems = []
        stands_in = self.on_error in ("penalty", "default")
        if stands_in and self.error_value is None:
            problems.append(Problem(("on_error",), f"{self.on_error!r} needs an error_value beside it"))
        if not stands_in and self.error_value is not None:
            text = f"is used with on_error penalty or default, not {self.on_error!r}"
            problems.append(Problem(("error_value",), text))
        if self.timeout_value is not None and self.timeout_s is None:
            problems.append(Problem(("timeout_value",), "is used with a timeout_s; there is none beside it"))
        if "normalization" in self.model_fields_set and self.normalization is None:
            self.normalization = "none"
        if self.is_potential:
            return problems + self._potential_problems()
        return problems + self._normalization_problems()

    def _normalization_problems(self) -> list[Problem]:
        at: KeyPath = ("normalization",)
        if self.normalization is None:
            return []
        if isinstance(self.normalization, str):
            return normalization_problems({"strategy": self.normalization}, {"strategy": at})
        fields = parameter_names(Normalization)
        unknown = [key for key in self.normalization if key not in fields]
        problems = [_unknown(key, fields).under(at) for key in unknown]
        if "strategy" not in self.normalization:
            return problems + without_misspelt([Problem(at, "missing key 'strategy'", at=(*at, "strategy"))], unknown)
        given = {key: value for key, value in self.normalization.items() if key in fields}
        return problems + normalization_problems(given, {key: (*at, key) for key in fields})

    def _potential_problems(self) -> list[Problem]:
        problems = []
        if self.on_error != "raise":
            text = f"a potential that fails has no stand-in: use 'raise', not {self.on_error!r}"
            problems.append(Problem(("on_error",), text))
        if self.timeout_s is not None:
            problems.append(Problem(("timeout_s",), "a potential that takes too long has no stand-in; remove it"))
        if self.normalization is not None:
            text = "a normalised potential would change the optimal policy; remove it (potentials never are)"
            problems.append(Problem(("normalization",), text))
        return problems


def component_names() -> list[str]:
    """Return what `class` may name."""
    return sorted([*component_registry.names(), POTENTIAL_CLASS])


def component_class(name: str) -> type[Any]:
    """Return the class called `name`, components and the potential term alike.

    Raises:
        ConfigError: no such class.
    """
    return LLMPotentialBasedReward if name == POTENTIAL_CLASS else component_registry.get(name)


def entry_keys(model: type[BaseModel]) -> list[str]:
    """Return the keys of an entry as they are written."""
    return [info.alias or name for name, info in model.model_fields.items()]


def parameter_problems(class_name: object, params: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with class and parameters; paths begin with `class` or `params`."""
    if not isinstance(class_name, str):
        return []  # missing or no text, which the model says
    if class_name not in component_names():
        return [Problem((), str(unknown_choice("class", class_name, component_names())), at=("class",))]
    if class_name == POTENTIAL_CLASS and (found := _potential_function_problems(params)):
        return found
    return construction_problems(component_class(class_name), params, ("params",))


def _potential_function_problems(params: Mapping[str, Any]) -> list[Problem]:
    """Check the potential by itself, so that its own parameters are blamed and not the mapping they are in."""
    name, inner = params.get("potential_function"), params.get("potential_params")
    if inner is None and any(nearest(key, _parameters(POTENTIAL_CLASS)) == "potential_params" for key in params):
        return []  # they are there, misspelt
    if not isinstance(name, str) or not isinstance(inner, dict | None):
        return []
    try:
        potential = potential_class(name)
    except ConfigError as error:
        return [Problem(("params", "potential_function"), str(error))]
    found = construction_problems(potential, inner or {}, ("params", "potential_params"))
    if not found:
        return []
    # The other parameters are checked beside a potential that needs none.
    harmless = {**params, "potential_function": "progress", "potential_params": None}
    return found + construction_problems(LLMPotentialBasedReward, harmless, ("params",))


def _parameters(class_name: object) -> list[str]:
    known = isinstance(class_name, str) and class_name in component_names()
    return parameter_names(component_class(str(class_name))) if known else []


def _unknown_keys(inline: Mapping[str, Any], class_name: object, keys: list[str]) -> list[Problem]:
    """Return the keys beside `class` that are neither a key of the entry nor a parameter of the class."""
    if not isinstance(class_name, str):
        return [_unknown(key, keys) for key in inline if nearest(key, keys) is not None]
    if class_name not in component_names():
        return []  # nobody knows which parameters it would have
    if takes_anything(component_class(class_name)):
        return []
    parameters = [name for name in _parameters(class_name) if name not in keys]
    return [_unknown(key, [*keys, *parameters]) for key in inline if key not in parameters]


def _ambiguous_keys(own: Mapping[str, Any], class_name: object) -> list[Problem]:
    """Return the keys that could be this entry's or the class's, where nothing says that they are this entry's."""
    return [
        Problem((key,), f"is a key of this entry and a parameter of {class_name}: write parameters under 'params'")
        for key in own
        if key in _parameters(class_name)
    ]


def _unknown(key: str, known: list[str]) -> Problem:
    return Problem((key,), f"unknown key {shown(key)}{did_you_mean(key, known)} (known: {', '.join(known)})")


def _is_absent(problem: Problem, params: Mapping[str, Any], missing_too: bool) -> bool:
    """Return whether a problem is about a parameter that was not written."""
    if problem.message.startswith(MISSING):
        return missing_too
    return len(problem.path) > 1 and problem.path[1] not in params


def _placed(problem: Problem, written: WrittenParams) -> Problem:
    at = None if problem.at is None else written.place(problem.at)
    return Problem(written.place(problem.path), problem.message, at, problem.position)
