"""JSON Schema of reward configurations, precise enough that an editor completes the parameters of each class."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.errors import PydanticInvalidForJsonSchema

from rlenvs.config_params import params_model

__all__ = ["either_dialect", "of_each_choice", "of_each_class", "of_each_schedule"]

Schema = dict[str, Any]


def either_dialect(cookbook: Schema, guide: Schema, handler: GetJsonSchemaHandler) -> Schema:
    """Return a schema that takes either dialect: what `reward_shaping` holds depends on `reward_components`."""
    section, other = handler.resolve_ref_schema(cookbook), handler.resolve_ref_schema(guide)
    weights, entries = section["properties"]["reward_shaping"], other["properties"]["reward_shaping"]
    description = "name -> weight; in a file without reward_components: name -> component and weight"
    section["properties"]["reward_shaping"] = {"type": "object", "description": description}
    section["required"] = []
    section["if"] = {"required": ["reward_components"]}
    section["then"] = {"properties": {"reward_shaping": weights}}
    section["else"] = {"required": ["reward_shaping"], "properties": {"reward_shaping": entries}}
    return cookbook


def of_each_class(section: Schema, classes: Mapping[str, Callable[..., Any]], handler: GetJsonSchemaHandler) -> None:
    """Turn the schema of an entry into one for each class, with its parameters under `params` and beside `class`."""
    entry = dict(section["properties"])
    alternatives = []
    for name, target in classes.items():
        nested = _parameters(target, handler)
        params = handler.resolve_ref_schema(nested)
        inline = {key: value for key, value in params.get("properties", {}).items() if key not in entry}
        alternatives.append(
            {
                "type": "object",
                "title": name,
                "description": _first_line(target),
                "properties": {**entry, "class": {"const": name}, "params": nested, **inline},
                "required": ["class"],
                "additionalProperties": params.get("additionalProperties", False),
            }
        )
    _replace(section, alternatives)


def of_each_choice(
    choice: str, params: str, targets: Mapping[str, Callable[..., Any]], handler: GetJsonSchemaHandler
) -> list[Schema]:
    """Return what a mapping must fulfil in which one key chooses a class and another one holds its parameters.

    Args:
        choice: the key that chooses (`reducer`).
        params: the key of the parameters (`reducer_params`).
        targets: name -> class.
        handler: of the schema that they become a part of.
    """
    known: Schema = {"properties": {choice: {"enum": list(targets)}}}
    return [known] + [
        {
            "if": {"properties": {choice: {"const": name}}, "required": [choice]},
            "then": {"properties": {params: {"anyOf": [_parameters(target, handler), {"type": "null"}]}}},
        }
        for name, target in targets.items()
    ]


def of_each_schedule(
    section: Schema,
    schedules: Mapping[str, Callable[..., Any]],
    choices: tuple[str, str],
    handler: GetJsonSchemaHandler,
) -> None:
    """Turn the schema of a weight into one for each schedule, with the keys that it has."""
    alternatives = []
    for target in dict.fromkeys(schedules.values()):
        names = [name for name, other in schedules.items() if other is target]
        params = handler.resolve_ref_schema(_parameters(target, handler))
        properties = {choice: {"enum": names} for choice in choices} | params["properties"]
        alternative: Schema = {
            "type": "object",
            "title": " or ".join(names),
            "description": _first_line(target),
            "properties": properties,
            "additionalProperties": False,
        }
        if "none" not in names:
            alternative["oneOf"] = [{"required": [choice]} for choice in choices]
        alternatives.append(alternative)
    _replace(section, alternatives)


def _replace(section: Schema, alternatives: list[Schema]) -> None:
    for key in [key for key in section if key not in ("title", "description")]:
        del section[key]
    section["anyOf"] = alternatives


def _parameters(target: Callable[..., Any], handler: GetJsonSchemaHandler) -> Schema:
    try:
        # Through the same generator, so that what the parameters refer to is defined in the same document.
        return handler(params_model(target).__pydantic_core_schema__)
    except PydanticInvalidForJsonSchema:  # a parameter of a type that JSON does not have
        return {"type": "object", "additionalProperties": True}


def _first_line(target: Callable[..., Any]) -> str:
    return (inspect.getdoc(target) or "").partition("\n")[0]
