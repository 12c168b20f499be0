"""Configured classes are constructed once while a configuration is checked, so that what only they know is said there.

Every mistake comes back as a `Problem` whose path leads to the parameter that is to blame.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rlenvs.config_params import params_model, validate_params
from rlenvs.config_problems import ConfigParamsError, problems_of
from rlenvs.config_source import KeyPath, Problem
from rlenvs.errors import ConfigError, ParameterError, UserError
from rlenvs.shown import shown
from rlenvs.suggestions import nearest

__all__ = [
    "construct",
    "construction_problems",
    "parameter_names",
    "required_parameters",
    "takes_anything",
    "without_misspelt",
]

MISSING = "missing key "


def parameter_names(target: Callable[..., Any]) -> list[str]:
    """Return the names of what `target` may be called with.

    Example:
        >>> def scale(factor: float, clip: float | None = None): ...
        >>> parameter_names(scale), required_parameters(scale), takes_anything(scale)
        (['factor', 'clip'], ['factor'], False)
    """
    return [field.alias or name for name, field in params_model(target).model_fields.items()]


def required_parameters(target: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters without a default."""
    return [field.alias or name for name, field in params_model(target).model_fields.items() if field.is_required()]


def takes_anything(target: Callable[..., Any]) -> bool:
    """Return whether `target` takes `**kwargs`, so that no parameter is unknown to it."""
    return params_model(target).model_config.get("extra") == "allow"


def construct(target: Callable[..., Any], params: Mapping[str, Any]) -> Any:
    """Return `target(**params)` with the parameters converted to their annotated types.

    Raises:
        ConfigError: a parameter cannot be used.
    """
    problems, built = _constructed(target, params, ())
    if problems:
        raise ConfigError("; ".join(f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems))
    return built


def construction_problems(target: Callable[..., Any], params: Mapping[str, Any], at: KeyPath) -> list[Problem]:
    """Return what is wrong with the parameters of a class, by signature, by value and by constructing it.

    Args:
        target: the class.
        params: plain values for its parameters.
        at: where the parameters lie.

    Example:
        >>> from rlenvs.wrappers.schedules.fixed import ConstantSchedule
        >>> construction_problems(ConstantSchedule, {"initial_wieght": 1.0}, ("weight",))[0].message
        "unknown key 'initial_wieght'; did you mean 'initial_weight'? (known: initial_weight)"
    """
    return _constructed(target, params, at)[0]


def without_misspelt(problems: Sequence[Problem], unknown: Iterable[str]) -> list[Problem]:
    """Leave out what says that a key is missing where an unknown key is that key misspelt, which is said already.

    Example:
        >>> without_misspelt([Problem((), "missing key 'class'"), Problem((), "missing key 'unit'")], ["clas"])
        [Problem(path=(), message="missing key 'unit'", at=None, position=None)]
    """
    words = list(unknown)

    def is_misspelt(problem: Problem) -> bool:
        if not problem.message.startswith(MISSING):
            return False
        key = problem.message.removeprefix(MISSING).strip("'")
        return any(nearest(word, [key]) is not None for word in words)

    return [problem for problem in problems if not is_misspelt(problem)]


def _constructed(target: Callable[..., Any], params: Mapping[str, Any], at: KeyPath) -> tuple[list[Problem], Any]:
    try:
        given = validate_params(target, params, at=at)
    except ConfigParamsError as error:
        return problems_of(error.error, error.model, error.data, error.key), None
    except ConfigError as error:  # a class whose signature no configuration can fill
        return [Problem(at, _one_line(error))], None
    except (TypeError, RecursionError) as error:
        return [Problem(at, f"not plain data ({error})")], None
    infinite = [Problem((*at, *path), message) for path, message in _not_finite(given)]
    if infinite:
        return infinite, None
    try:
        return [], target(**given)
    except ParameterError as error:
        return [Problem((*at, *_inner_path(error.parameter, given)), _one_line(error.message))], None
    except UserError as error:
        return [Problem(at, _one_line(error))], None
    except (TypeError, ValueError, ArithmeticError) as error:
        # What somebody's own class raises: it refuses the parameters, and only it knows which.
        return [Problem(at, f"refused by {getattr(target, '__name__', 'the class')}: {_one_line(error)}")], None


def _inner_path(parameter: str, params: Any) -> KeyPath:
    """Return the path that a constructor wrote with dots; where it leads into a list, its parts are indices.

    Example:
        >>> _inner_path("instructions.2.count", {"instructions": [{}, {}, {"count": -1}]})
        ('instructions', 2, 'count')
    """
    path: list[str | int] = []
    inside = params
    for part in parameter.split("."):
        if isinstance(inside, list | tuple) and part.isdecimal() and int(part) < len(inside):
            path.append(int(part))
            inside = inside[int(part)]
        else:
            path.append(part)
            inside = inside.get(part) if isinstance(inside, Mapping) else getattr(inside, part, None)
    return tuple(path)


def _not_finite(value: Any) -> Iterator[tuple[KeyPath, str]]:
    """Yield path and message of every number inside `value` that no float holds, NaN among them."""
    if isinstance(value, Mapping):
        items: Any = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    else:
        if isinstance(value, int | float) and not _is_finite(value):
            yield (), f"must be a finite number, got {shown(value)}"
        return
    for key, item in items:
        for path, message in _not_finite(item):
            yield (key, *path), message


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
