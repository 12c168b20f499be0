"""The `params` of a class that a configuration names, checked against the class's own signature."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from rlenvs.config_problems import ConfigParamsError, strict_validate
from rlenvs.config_source import KeyPath
from rlenvs.errors import ConfigError

__all__ = ["params_model", "validate_params"]


@functools.lru_cache(maxsize=512)
def params_model(target: Callable[..., object]) -> type[BaseModel]:
    """Return a model of what `target` may be called with.

    Args:
        target: A class or function with annotated parameters. Annotations and defaults carry over; a
            parameter without an annotation takes anything; unknown keys are errors unless `target` takes
            `**kwargs`.

    Raises:
        ConfigError: If an annotation cannot be resolved or understood.

    Example:
        >>> def scale(factor: float, clip: float | None = None): ...
        >>> list(params_model(scale).model_fields)
        ['factor', 'clip']
    """
    name = getattr(target, "__qualname__", repr(target))
    try:
        parameters = inspect.signature(target, eval_str=True).parameters.values()
        fields: dict[str, Any] = {}
        for parameter in parameters:
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                continue
            annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
            default = ... if parameter.default is parameter.empty else parameter.default
            # A prefix keeps parameters such as `schema` or `_seed` from colliding with the model's own
            # attributes.
            field = parameter.name
            if hasattr(BaseModel, field) or field.startswith(("_", "model_")):
                field = f"param_{field.lstrip('_')}"
            fields[field] = (
                annotation,
                Field(default, alias=parameter.name) if field != parameter.name else default,
            )
        open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
        config = ConfigDict(extra="allow" if open_ended else "forbid", arbitrary_types_allowed=True)
        return create_model(name, __config__=config, **fields)
    except (NameError, TypeError, ValueError) as error:
        raise ConfigError(f"{name}: its parameters cannot be configured from YAML ({error})") from error


def validate_params(
    target: Callable[..., object], params: Mapping[str, Any], *, at: str | KeyPath = "params"
) -> dict[str, Any]:
    """Check the `params` of a class from inside a validator of the model that names the class.

    Args:
        target: The class or function; see `params_model`.
        params: Plain values for its parameters.
        at: The key of the validated model that holds `params`; problems are reported under it.

    Returns:
        The given parameters, converted to their annotated types, by name. Defaults are left to `target`.

    Raises:
        ValueError: Understood by `validate_config`, which reports each problem at its own line.

    Example:
        >>> def scale(factor: float, clip: float | None = None): ...
        >>> validate_params(scale, {"factor": 2})
        {'factor': 2.0}
    """
    model = params_model(target)
    try:
        value = strict_validate(model, params)
    except ValidationError as error:
        raise ConfigParamsError((at,) if isinstance(at, str) else at, model, dict(params), error) from None
    names = {name: field.alias or name for name, field in model.model_fields.items()}
    given = {names[name]: getattr(value, name) for name in model.model_fields if name in value.model_fields_set}
    return given | (value.model_extra or {})
