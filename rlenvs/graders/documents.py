"""JSON documents: strict JSON that has an exact value, or fits a schema, or both."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, ClassVar

from rlenvs.errors import GraderError
from rlenvs.graders.deadline import Exceeded
from rlenvs.graders.question import Grade, Pending, Policy, Question, invalid, right, shown, wrong

MAX_DOCUMENT_CHARS = 100_000
MAX_NESTING = 100
MAX_NUMBER_CHARS = 400
STRUCTURE = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""Brackets, and whole strings so that those in them do not count. An unclosed one goes to the end: linear time."""

Comparable = tuple[Any, ...]


class DocumentError(ValueError):
    """Not strict JSON."""


def refuse(name: str) -> None:
    """NaN and the infinities are no JSON."""
    raise DocumentError(f"{name} is not JSON")


def exact_number(text: str) -> Decimal:
    """A number as it is written: 42.00000000000000001 is not 42."""
    if len(text) > MAX_NUMBER_CHARS:
        raise DocumentError("a number is too long")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise DocumentError(f"a number is out of range: {text[:40]}") from error


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object, if no key is there twice: readers differ in which of the two counts."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise DocumentError("a key is there twice")
    return result


DECODER = json.JSONDecoder(
    parse_constant=refuse, parse_float=exact_number, parse_int=exact_number, object_pairs_hook=unique
)


def check_nesting(text: str) -> None:
    """Refuse what is nested too deeply for any reader, before one tries."""
    depth = 0
    for match in STRUCTURE.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > MAX_NESTING:
                raise DocumentError(f"nested more than {MAX_NESTING} deep")
        elif match[0] in "]}":
            depth -= 1


def parse_document(text: str) -> Any:
    """Read strict JSON; numbers as `Decimal`.

    Raises:
        DocumentError: it is none, has a key twice, or is nested too deeply.
    """
    check_nesting(text)
    try:
        value, end = DECODER.raw_decode(text)
    except DocumentError:
        raise
    except (ValueError, RecursionError) as error:
        raise DocumentError(str(error)) from error
    if text[end:].strip():
        raise DocumentError("something follows the document")
    return value


def comparable(value: Any) -> Comparable:
    """A form in which only equal JSON values are equal: true is not 1, 42.0 is 42, keys have no order."""
    if isinstance(value, dict):
        return ("object", frozenset((key, comparable(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("array", tuple(comparable(item) for item in value))
    if isinstance(value, Decimal):
        return ("number", value)
    return (type(value).__name__, value)


@dataclass(frozen=True)
class DocumentQuestion(Question):
    """A document is right if it is strict JSON, equals the gold value and fits the schema, as far as they are given."""

    gold: Comparable | None
    schema: Any
    seconds: float
    max_answer_chars: ClassVar[int] = MAX_DOCUMENT_CHARS

    def judge(self, answer: str, where: str) -> Grade | Pending:
        """Judge a document."""
        try:
            document = comparable(parse_document(answer))
        except DocumentError as error:
            return invalid(answer, f"not strict JSON ({error!s:.120}): {shown(answer)}")
        if self.gold is not None and document != self.gold:
            return wrong(answer, where)
        if self.schema is None:
            return right(answer, where)

        def finish(reply: Any) -> Grade:
            if isinstance(reply, Exceeded):
                return Grade(0.0, False, "timeout", answer, f"the schema's check exceeded its limit ({reply.limit})")
            if reply["verdict"] == "bad_schema":
                raise GraderError(f"task schema: {reply.get('reason')}")
            if reply["verdict"] == "valid":
                return Grade(1.0, True, "ok", answer, f"fits the schema, {where}")
            return Grade(0.0, False, "ok", answer, f"does not fit the schema: {reply.get('reason')!s:.200}")

        return Pending("schema", {"schema": self.schema, "document": answer}, self.seconds, finish)


def compile_document(task: Mapping[str, Any], policy: Policy, seconds: float) -> DocumentQuestion:
    """Read the keys of a json task.

    Raises:
        GraderError: there is neither gold nor schema, or one of them is not JSON.
    """
    schema = task.get("schema")
    if "gold" not in task and schema is None:
        raise GraderError("task gold: a json task needs a gold value, a schema, or both")
    if schema is not None and not isinstance(schema, dict | bool):
        raise GraderError(f"task schema: must be a JSON Schema (an object), got {schema!r:.80}")
    gold = None
    try:
        json.dumps(schema, allow_nan=False)
        if "gold" in task:
            gold = comparable(parse_document(json.dumps(task["gold"], allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise GraderError(f"task gold and schema: must be plain JSON values: {error!s:.120}") from error
    return DocumentQuestion(policy, gold, schema, seconds)
