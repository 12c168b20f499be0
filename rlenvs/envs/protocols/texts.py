"""Texts that a protocol says, as parameters that the user may replace."""

import string
from collections.abc import Mapping
from typing import Any

from rlenvs.errors import ParameterError
from rlenvs.graders.tasks import DEFAULT_EXTRACT
from rlenvs.suggestions import did_you_mean

SHOWN_CHARS = 80
"""Of what the policy wrote, at most this much is said back to it."""


def checked_texts(
    name: str, given: Mapping[str, str] | None, defaults: Mapping[str, str], fields: Mapping[str, tuple[str, ...]]
) -> dict[str, str]:
    """The default texts with those of the user in their place.

    Args:
        name: of the parameter, for messages.
        given: the user's texts.
        defaults: all texts by key.
        fields: which {fields} the text of a key may hold; those of the other keys hold none.

    Raises:
        ParameterError: an unknown key, a value that is no text, or a field that this text does not have.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ParameterError(name, f"must be a mapping of texts, got {given!r:.80}")
    for key, text in (given or {}).items():
        if key not in defaults:
            hint = did_you_mean(str(key), defaults)
            raise ParameterError(name, f"has an unknown key {key!r}{hint} (known: {', '.join(defaults)})")
        check_template(f"{name}[{key!r}]", text, fields.get(key, ()))
    return {**defaults, **(given or {})}


def check_template(name: str, text: object, fields: tuple[str, ...]) -> str:
    """A text whose {fields} are among the known ones.

    Raises:
        ParameterError: it is not.
    """
    text = check_text(name, text)
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ParameterError(name, f"is not a template: {error} (write {{{{ for a brace)") from None
    known = ", ".join(f"{{{field}}}" for field in fields) or "none"
    for _, field, spec, conversion in parsed:
        if field is not None and (field not in fields or spec or conversion):
            raise ParameterError(name, f"has the field {{{field}}}; known fields: {known}")
    return text


def check_text(name: str, text: object) -> str:
    """A text.

    Raises:
        ParameterError: it is none.
    """
    if not isinstance(text, str):
        raise ParameterError(name, f"must be a text, got {text!r:.80}")
    return text


def extraction_of(task: Mapping[str, Any]) -> str:
    """Where the answer to a task is looked for: its `extract`, or the default of its type."""
    return str(task.get("extract") or DEFAULT_EXTRACT.get(str(task.get("type")), "whole"))


def quoted(text: str) -> str:
    """What the policy wrote, short enough to be said back on one line."""
    # Halves of surrogate pairs are no text to a tokenizer; said back, they would fail there.
    line = " ".join(text[: 4 * SHOWN_CHARS].encode("utf-8", "replace").decode().split())
    return line if len(line) <= SHOWN_CHARS else line[: SHOWN_CHARS - 3] + "..."
