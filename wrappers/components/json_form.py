"""JSON as a form: one strict reading of it, and validity under a JSON Schema.

A response is hostile text, so every case that parsers disagree on is defined here: a response is JSON where it is one
I-JSON message (RFC 7493, the interoperable subset of RFC 8259). `NaN`, `Infinity`, a key given twice, half of a
surrogate pair, a number beyond the range of a double and nesting deeper than `MAX_JSON_DEPTH` are not JSON.
"""

import importlib.util
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn

from rlenvs.errors import ParameterError
from rlenvs.extras import require

__all__ = ["MAX_JSON_DEPTH", "SchemaForm", "is_json", "parse_json"]

# Beyond what anybody asks a model for, and a quarter of the depth at which validating a recursive schema overflows.
MAX_JSON_DEPTH = 64
# The largest double has 309 digits; a longer integer need not be parsed (which takes quadratic time) to be refused.
_MAX_DIGITS = 310
_SURROGATE = re.compile("[\ud800-\udfff]")
# A schema that refers to itself without going down a level fails on each of these.
_PROBES: tuple[Any, ...] = (None, True, 0, "", [], {}, [0], {"": 0})


def parse_json(text: str) -> Any:
    """Read one strict JSON value.

    Args:
        text: the whole text; white space around the value is allowed. Linear time.

    Raises:
        ValueError: the text is not one I-JSON value.

    Example:
        >>> parse_json('{"a": [1, true]}')
        {'a': [1, True]}
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        ...
        ValueError: the key 'a' is given twice
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    _check_contents(value)
    return value


def is_json(text: str) -> bool:
    """Return whether the whole text is one strict JSON value, in linear time."""
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {twice!r} is given twice")
    return members


def _integer(digits: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise ValueError("a number is beyond the range of a double")
    value = int(digits)
    try:
        float(value)
    except OverflowError:
        raise ValueError("a number is beyond the range of a double") from None
    return value


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is beyond the range of a double")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_contents(value: Any) -> None:
    """Refuse deep nesting and lone surrogates, without recursion of our own."""
    pending = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if isinstance(item, str):
            if not item.isascii() and _SURROGATE.search(item):
                raise ValueError("text holds half of a surrogate pair")
        elif isinstance(item, dict | list):
            if depth == MAX_JSON_DEPTH:
                raise ValueError(f"nested deeper than {MAX_JSON_DEPTH} levels")
            if isinstance(item, dict):
                pending.extend((key, depth + 1) for key in item)
                item = item.values()
            pending.extend((inner, depth + 1) for inner in item)


class SchemaForm:
    """Is the whole text one strict JSON value that is valid under a JSON Schema?

    The schema is the author's and trusted, the text is not. References are resolved inside the schema and the
    published meta-schemas alone: nothing is ever fetched. `format` is an annotation, as the specification has it, and
    is not checked.

    Args:
        schema: a JSON Schema; `$schema` chooses the draft, 2020-12 where absent.

    Raises:
        ParameterError: the schema is not plain data, or (where jsonschema is installed, else on first use) not a JSON
            Schema, or refers to something outside itself.

    Example:
        >>> answer = SchemaForm({"type": "object", "required": ["answer"]})
        >>> answer('{"answer": 42}'), answer('{"Answer": 42}'), answer("42")
        (True, False, False)
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        try:
            self.schema: dict[str, Any] = json.loads(json.dumps(schema, allow_nan=False))
        except (TypeError, ValueError, RecursionError) as error:
            raise ParameterError("schema", f"must be plain data: {error}") from error
        if not isinstance(self.schema, dict):
            raise ParameterError("schema", f"must be a mapping, got {schema!r}")
        if importlib.util.find_spec("jsonschema") is not None:
            assert self._validator is not None  # building it is the check

    def __call__(self, text: str) -> bool:
        """Return whether the text has the form."""
        try:
            value = parse_json(text)
        except ValueError:
            return False
        try:
            return bool(self._validator.is_valid(value))
        except RecursionError:  # the schema ends on shallow values (checked below), so the text provoked it
            return False

    def __reduce__(self) -> tuple[type["SchemaForm"], tuple[dict[str, Any]]]:
        return type(self), (self.schema,)  # validators hold local functions, which do not pickle

    @cached_property
    def _validator(self) -> Any:
        jsonschema = require("jsonschema", "text", "format 'json_schema'")
        referencing = require("referencing", "text", "format 'json_schema'")
        base = _dialect(self.schema)
        try:
            base.check_schema(self.schema)
        except jsonschema.SchemaError as error:
            place = ".".join(map(str, error.absolute_path)) or "the top"
            raise ParameterError("schema", f"is not a JSON Schema: at {place}, {_one_line(error.message)}") from error
        # A schema with `$schema` would be taken over by the stock class wherever it refers to itself.
        schema = {key: value for key, value in self.schema.items() if key != "$schema"}
        _check_references(schema, base)
        strict = jsonschema.validators.extend(base, {"uniqueItems": _unique_items})
        validator = strict(schema, registry=referencing.Registry())  # no `retrieve`: nothing is fetched
        try:
            for probe in _PROBES:
                validator.is_valid(probe)
        except RecursionError as error:
            raise ParameterError("schema", "refers to itself without end") from error
        return validator


def _dialect(schema: Mapping[str, Any]) -> Any:
    validators = require("jsonschema.validators", "text", "format 'json_schema'")
    if "$schema" not in schema:
        return validators.Draft202012Validator
    name = schema["$schema"]
    try:
        dialect = validators.validator_for(schema, default=None) if isinstance(name, str) else None
    except ValueError:  # not even an address
        dialect = None
    if dialect is None:
        raise ParameterError("schema", f"names an unknown dialect: $schema is {name!r}")
    return dialect


def _check_references(schema: Mapping[str, Any], dialect: Any) -> None:
    """Resolve every reference once, so that a dangling or remote one is an error now and not in training."""
    referencing = require("referencing.jsonschema", "text", "format 'json_schema'")
    published = require("jsonschema_specifications", "text", "format 'json_schema'").REGISTRY
    unresolvable = require("referencing.exceptions", "text", "format 'json_schema'").Unresolvable
    name = dialect.META_SCHEMA.get("$id") or dialect.META_SCHEMA["id"]
    root = referencing.specification_with(name).create_resource(schema)
    pending = [(root, published.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        contents = resource.contents if isinstance(resource.contents, Mapping) else {}
        for key in ("$ref", "$dynamicRef"):
            target = contents.get(key)
            try:
                if isinstance(target, str):
                    resolver.lookup(target)
            except (unresolvable, ValueError) as error:  # ValueError: not even an address
                raise ParameterError(
                    "schema", f"refers to {target!r}, which it does not hold; references are never fetched"
                ) from error
        pending.extend((inner, resolver.in_subresource(inner)) for inner in resource.subresources())


def _unique_items(validator: Any, unique: bool, instance: Any, schema: Any) -> Any:
    """`uniqueItems` in linear time: the stock one compares every pair where items do not sort."""
    jsonschema = require("jsonschema", "text", "format 'json_schema'")
    if unique and validator.is_type(instance, "array"):
        seen = {_identity(item) for item in instance}
        if len(seen) != len(instance):
            yield jsonschema.ValidationError("items are not unique")


def _identity(value: Any) -> str:
    """Return a text that two JSON values share iff JSON Schema calls them equal (1 equals 1.0 and not true)."""
    # Texts, because their hashes are salted: numbers can be chosen to have the same hash.
    return json.dumps(_canonical(value), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())
