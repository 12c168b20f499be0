"""Configuration of one callback: a class and its parameters, checked against the signature of the class."""

from typing import Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from rlenvs.agents.llm import callbacks as _registers_the_callbacks  # noqa: F401
from rlenvs.agents.llm.callbacks.base import Callback, callback_registry
from rlenvs.config_problems import ConfigProblemsError, problems_of, unknown_choice
from rlenvs.config_source import KeyPath, Problem
from rlenvs.shown import shown
from rlenvs.suggestions import nearest
from rlenvs.wrappers.config.construct import construct, construction_problems
from rlenvs.wrappers.config.schema import of_each_class


class CallbackConfig(BaseModel):
    """One entry of `callbacks`: `{class: KLEarlyStop, threshold: 0.15, patience: 10}`.

    Example:
        >>> CallbackConfig(**{"class": "KLEarlyStop", "patience": 3}).build().patience
        3
    """

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)

    class_name: str = Field(alias="class", description="registered name of the callback")
    params: dict[str, Any] = Field(default_factory=dict, description="its parameters; they may stand beside class too")

    @model_validator(mode="wrap")
    @classmethod
    def _with_its_parameters(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(data, dict):
            return handler(data)
        own = {key: value for key, value in data.items() if key in ("class", "params")}
        inline = {key: value for key, value in data.items() if key not in own}
        if "class" not in own and (meant := [key for key in inline if nearest(key, ["class"])]):
            raise ConfigProblemsError(
                Problem((key,), f"unknown key {shown(key)}; did you mean 'class'?") for key in meant
            )
        nested = own.get("params", {})
        if isinstance(nested, dict):
            if twice := [key for key in inline if key in nested]:
                raise ConfigProblemsError(Problem((key,), "given twice: here and under 'params'") for key in twice)
            own["params"] = {**inline, **nested}
        try:
            entry = handler(own)
        except ValidationError as error:
            raise ConfigProblemsError(problems_of(error, cls, own)) from None
        if problems := entry._problems(set(inline), "params" in data):
            raise ConfigProblemsError(problems)
        return entry

    def build(self) -> Callback:
        """Return the callback."""
        built: Callback = construct(callback_registry.get(self.class_name), self.params)
        return built

    @model_serializer(mode="wrap")
    def _beside_the_class(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        params = written.pop("params")
        return written | ({"params": params} if {"class", "params"} & set(params) else params)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the parameters of each class to editors."""
        schema = handler(core_schema)
        classes = {name: callback_registry.get(name) for name in sorted(callback_registry.names())}
        of_each_class(handler.resolve_ref_schema(schema), classes, handler)
        return schema

    def _problems(self, inline: set[str], nested: bool) -> list[Problem]:
        names = sorted(callback_registry.names())
        if self.class_name not in names:
            return [Problem((), str(unknown_choice("class", self.class_name, names)), at=("class",))]
        found = construction_problems(callback_registry.get(self.class_name), self.params, ("params",))
        return [_placed(problem, inline, nested) for problem in found]


def _placed(problem: Problem, inline: set[str], nested: bool) -> Problem:
    """Point a problem of `params` at where the parameter was written: beside `class`, unless it was in `params`."""

    def place(path: KeyPath) -> KeyPath:
        return path[1:] if not nested or (len(path) > 1 and path[1] in inline) else path

    return Problem(place(problem.path), problem.message, problem.at and place(problem.at), problem.position)
