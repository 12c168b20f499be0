"""What is wrong with a configuration, in the words of its author.

Pydantic reports errors by location and type; this module turns them into one line each, with the key as it
was written, the nearest valid key, and the value that was given.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rlenvs.config_source import KeyPath, Problem
from rlenvs.shown import shown
from rlenvs.suggestions import did_you_mean, nearest

__all__ = [
    "ConfigKeyError",
    "ConfigParamsError",
    "ConfigProblemsError",
    "problems_of",
    "strict_validate",
    "unknown_choice",
]

M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_parsing_size": "an integer of reasonable size",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "path_type": "a path",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "null",
}

_BOUNDS = {
    "greater_than": ("must be > {}", "gt"),
    "greater_than_equal": ("must be >= {}", "ge"),
    "less_than": ("must be < {}", "lt"),
    "less_than_equal": ("must be <= {}", "le"),
    "multiple_of": ("must be a multiple of {}", "multiple_of"),
    "string_pattern_mismatch": ("must match the pattern {}", "pattern"),
    "string_too_short": ("must have at least {} characters", "min_length"),
    "string_too_long": ("must have at most {} characters", "max_length"),
}


class ConfigKeyError(ValueError):
    """Raise this in a validator of a config model to blame one key of it.

    Without it, pydantic blames the whole model, and the message points to the top of the section.

    Args:
        key: The key inside the validated model, or a path of keys and indices.
        message: The rule and the received value, on one line, without the key's name.
        about_parent: Show the path of the section instead of the key's own, where the message names the key
            itself.

    Example:
        >>> from pydantic import BaseModel, model_validator
        >>> class Limits(BaseModel):
        ...     low: int
        ...     high: int
        ...
        ...     @model_validator(mode="after")
        ...     def ordered(self):
        ...         if self.low > self.high:
        ...             raise ConfigKeyError("high", f"must be >= low ({self.low}), got {self.high}")
        ...         return self
    """

    def __init__(self, key: str | KeyPath, message: str, *, about_parent: bool = False) -> None:
        super().__init__(message)
        self.key: KeyPath = (key,) if isinstance(key, str) else tuple(key)
        self.about_parent = about_parent


class ConfigParamsError(ValueError):
    """Errors of a nested validation, to be reported under the key that holds the nested data.

    Raised by `rlenvs.config_params.validate_params`; not meant to be raised by hand.
    """

    def __init__(self, key: KeyPath, model: type[BaseModel], data: Any, error: ValidationError) -> None:
        super().__init__(f"{'.'.join(map(str, key))}: {error.error_count()} problems")
        self.key, self.model, self.data, self.error = key, model, data, error


class ConfigProblemsError(ValueError):
    """Raise this in a validator of a config model to report several problems, each at its own key.

    Args:
        problems: What is wrong; paths lead from the validated model.

    Example:
        >>> from pydantic import BaseModel, model_validator
        >>> class Limits(BaseModel):
        ...     low: int
        ...     high: int
        ...
        ...     @model_validator(mode="after")
        ...     def positive(self):
        ...         negative = [key for key in ("low", "high") if getattr(self, key) < 0]
        ...         if negative:
        ...             raise ConfigProblemsError([Problem((key,), "must be >= 0") for key in negative])
        ...         return self
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"{'.'.join(map(str, p.path))}: {p.message}" for p in self.problems))


def strict_validate(model: type[M], data: Any) -> M:
    """Validate plain data: text is not a number, a boolean is not an integer.

    Raises:
        pydantic.ValidationError: If the data does not fit the model.
        TypeError: If the data is not plain.
    """
    # JSON mode: strict about types, yet a list fills a tuple and text fills an enum or a path, as YAML
    # has to.
    return model.model_validate_json(json.dumps(data, allow_nan=True), strict=True)


def unknown_choice(key: str, value: str, known: Iterable[str]) -> ConfigKeyError:
    """Return the problem of a key whose value names something that does not exist.

    Args:
        key: The key that holds the name, usually `class`.
        value: The name that was given.
        known: The names that exist; listed in the message.

    Example:
        >>> print(unknown_choice("class", "Lenght", ["Correctness", "LengthPenalty"]))
        unknown 'class' 'Lenght'; did you mean 'LengthPenalty'? (known: Correctness, LengthPenalty)
    """
    names = sorted(known)
    message = f"unknown {key!r} {shown(value)}{did_you_mean(value, names)} (known: {', '.join(names)})"
    return ConfigKeyError(key, message, about_parent=True)


def problems_of(error: ValidationError, model: type[BaseModel], data: Any, at: KeyPath = ()) -> list[Problem]:
    """Translate a validation error into problems, one for each key that is wrong.

    Args:
        error: What pydantic raised.
        model: The model that `data` was validated against; names the known keys.
        data: The plain data that was validated.
        at: Where `data` lies in the whole configuration.
    """
    problems: list[Problem] = []
    meant: set[KeyPath] = set()
    for detail in error.errors(include_url=False):
        path = _written_path(detail, data)
        if detail["type"] == "extra_forbidden":
            known = _known_keys(model, data, path[:-1])
            word = str(path[-1])
            meant.add((*path[:-1], nearest(word, known) or ""))
            message = f"unknown key {shown(word)}{did_you_mean(word, known)} (known: {', '.join(known) or 'none'})"
            problems.append(Problem((*at, *path), message))
        else:
            problems.extend(_translate(detail, path, at))
    return _merge_alternatives([problem for problem in problems if not _is_misspelt(problem, at, meant)])


_MISSING = "missing key "


def _is_misspelt(problem: Problem, at: KeyPath, meant: set[KeyPath]) -> bool:
    # The line about the misspelt key already names this one.
    return problem.message.startswith(_MISSING) and (problem.at or ())[len(at) :] in meant


def _translate(detail: ErrorDetails, path: KeyPath, at: KeyPath) -> Iterator[Problem]:
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ConfigParamsError):
        yield from problems_of(cause.error, cause.model, cause.data, (*at, *path, *cause.key))
    elif isinstance(cause, ConfigKeyError):
        blamed = (*at, *path, *cause.key)
        yield Problem(blamed[:-1] if cause.about_parent else blamed, _one_line(str(cause)), at=blamed)
    elif isinstance(cause, ConfigProblemsError):
        for problem in cause.problems:
            yield problem.under((*at, *path))
    elif isinstance(cause, ValidationError):
        for nested in cause.errors(include_url=False):
            yield from _translate(nested, (*path, *nested["loc"]), at)
    elif detail["type"] == "missing":
        last = path[-1]
        message = f"missing item {last} (counted from 0)" if isinstance(last, int) else f"{_MISSING}{last!r}"
        yield Problem((*at, *path[:-1]), message, at=(*at, *path))
    elif detail["type"] == "union_tag_invalid":
        context = detail["ctx"]
        key, value = context["discriminator"].strip("'"), str(context["tag"])
        choice = unknown_choice(key, value, _quoted(context["expected_tags"]))
        yield Problem((*at, *path), str(choice), at=(*at, *path, key))
    elif detail["type"] == "union_tag_not_found":
        key = detail["ctx"]["discriminator"].strip("'")
        given = detail["input"] if isinstance(detail["input"], dict) else {}
        misspelt = next((word for word in given if nearest(str(word), [key]) is not None), None)
        if misspelt is None:
            yield Problem((*at, *path), f"{_MISSING}{key!r}", at=(*at, *path))
        else:
            yield Problem((*at, *path, misspelt), f"unknown key {shown(misspelt)}{did_you_mean(misspelt, [key])}")
    else:
        yield Problem((*at, *path), _sentence(detail))


def _sentence(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in ("value_error", "assertion_error"):
        return _one_line(str(context["error"]))
    if kind in ("literal_error", "enum"):
        guess = did_you_mean(value, _quoted(context["expected"])) if isinstance(value, str) else ""
        return f"expected {context['expected']}, got {shown(value)}{guess}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {shown(value)}"
    if kind in _BOUNDS:
        rule, name = _BOUNDS[kind]
        return f"{rule.format(context[name])}, got {shown(value)}"
    if kind in ("too_short", "too_long"):
        least = kind == "too_short"
        count = context["min_length" if least else "max_length"]
        items = "item" if count == 1 else "items"
        return f"expected at {'least' if least else 'most'} {count} {items}, got {context['actual_length']}"
    return _one_line(f"{detail['msg'][:1].lower()}{detail['msg'][1:]}, got {shown(value)}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(listing: str) -> list[str]:
    return [double or single for single, double in re.findall(r"'([^']*)'|\"([^\"]*)\"", listing)]


def _merge_alternatives(problems: list[Problem]) -> list[Problem]:
    """Join what pydantic reports once for each member of a union into one problem."""
    merged: dict[tuple[KeyPath, KeyPath | None], Problem] = {}
    rest: list[Problem] = []
    for problem in problems:
        key = (problem.path, problem.at)
        if not problem.message.startswith("expected "):
            rest.append(problem)
        elif key not in merged:
            merged[key] = problem
        else:
            alternatives, _, got = merged[key].message.rpartition(", got ")
            other = problem.message.removeprefix("expected ").rpartition(", got ")[0]
            if other not in alternatives.removeprefix("expected ").split(" or "):
                merged[key] = Problem(problem.path, f"{alternatives} or {other}, got {got}", problem.at)
    return [*merged.values(), *rest]


def _written_path(detail: ErrorDetails, data: Any) -> KeyPath:
    """Drop what pydantic adds to a location: tags and type names of union members.

    A tag can equal a key by accident; the reading that reaches the deepest wins, later parts of the location
    first.
    """
    location = detail["loc"]
    if detail["type"] == "missing":
        return (*_longest_match(location[:-1], data), location[-1])
    return _longest_match(location, data)


def _longest_match(location: Sequence[str | int], data: Any) -> KeyPath:
    if not location:
        return ()
    without = _longest_match(location[1:], data)
    if not _holds(data, location[0]):
        return without
    inside = (location[0], *_longest_match(location[1:], data[location[0]]))
    return inside if len(inside) > len(without) else without


def _holds(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)


def _known_keys(model: type[BaseModel], data: Any, path: KeyPath) -> list[str]:
    """Return the keys that the section at `path` may hold, in the order of their declaration."""
    annotations: list[Any] = [model]
    for part in path:
        data = data[part] if _holds(data, part) else None
        annotations = [inner for annotation in annotations for inner in _inside(annotation, part)]
        annotations = _matching_tag(annotations, data)
    fields = [item for member in annotations if _is_model(member) for item in member.model_fields.items()]
    return list(dict.fromkeys(field.alias or name for name, field in fields))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _inside(annotation: Any, part: str | int) -> list[Any]:
    """Return the models that a value under `part` of a value of this type may be, unwrapping containers."""
    if _is_model(annotation):
        fields = annotation.model_fields
        return [
            model
            for name, field in fields.items()
            if part in (name, field.alias)
            for model in _unwrap(field.annotation)
        ]
    arguments = get_args(annotation)
    if get_origin(annotation) in (dict, Mapping):
        return _unwrap(arguments[1])
    if arguments and isinstance(part, int):
        return [model for argument in arguments for model in _unwrap(argument)]
    return []


def _unwrap(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrap(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [model for argument in get_args(annotation) for model in _unwrap(argument)]
    return [annotation]


def _matching_tag(annotations: list[Any], data: Any) -> list[Any]:
    """Keep the union members whose literal fields agree with the data, or all if none does."""

    def agrees(model: Any) -> bool:
        return all(
            data[key] in get_args(field.annotation)
            for name, field in model.model_fields.items()
            if get_origin(field.annotation) is Literal and (key := field.alias or name) in data
        )

    if not isinstance(data, dict):
        return annotations
    return [model for model in annotations if _is_model(model) and agrees(model)] or annotations
