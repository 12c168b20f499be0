"""Whether a JSON document fits a schema. Runs in a worker: patterns and `uniqueItems` can take any time."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rlenvs.extras import require

MESSAGE_CHARS = 200


@lru_cache(maxsize=64)
def validator_of(schema: str) -> Any:
    """The validator of a schema, or a text that says what is wrong with the schema."""
    jsonschema: Any = require("jsonschema", "text", "a json task with a schema")
    parsed = json.loads(schema)
    kind = jsonschema.validators.validator_for(parsed, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(parsed)
    except jsonschema.SchemaError as error:
        return str(error.message)
    return kind(parsed)


def check(request: dict[str, Any]) -> dict[str, Any]:
    """Answer "valid", "not_valid" or "bad_schema", with a reason.

    Args:
        request: `schema`, a JSON value, and `document`, a text that is strict JSON.
    """
    validator = validator_of(json.dumps(request["schema"]))
    if isinstance(validator, str):
        return {"verdict": "bad_schema", "reason": validator[:MESSAGE_CHARS]}
    try:
        document = json.loads(request["document"])
        error = next(iter(validator.iter_errors(document)), None)
    except RecursionError:
        return {"verdict": "not_valid", "reason": "nested too deeply"}
    if error is None:
        return {"verdict": "valid", "reason": ""}
    place = "/".join(map(str, error.absolute_path))
    return {"verdict": "not_valid", "reason": f"at /{place}: {error.message}"[:MESSAGE_CHARS]}


def prepare() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Load jsonschema and its metaschema."""
    check({"schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "document": "{}"})
    return check
