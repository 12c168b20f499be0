"""Whether a JSON document fits a schema. Runs in a worker: patterns and `uniqueItems` can take any time."""

import json
from functools import lru_cache
from typing import Any

import jsonschema
from jsonschema.protocols import Validator

MESSAGE_CHARS = 200


@lru_cache(maxsize=64)
def validator_of(schema: str) -> Validator | str:
    """The validator of a schema, or what is wrong with the schema."""
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


def warm_up() -> None:
    """Load the metaschema."""
    check({"schema": {"type": "object", "properties": {"a": {"type": "integer"}}}, "document": "{}"})
