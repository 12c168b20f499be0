r"""The examples of a prompt: `f(2) == 4`, `f(2) -> 4`, `f(2) is True`, `f(2) returns 4`, and doctests.

Prompts are written by whoever made the task, so what is read here is trusted; it is parsed as literals all the same.
"""

import ast
import re
from typing import Any, NamedTuple

__all__ = ["Example", "examples_of"]

RESULT = re.compile(
    r"[ \t`]*(?:===?|=>|->|=|\u2794|\u279e|\u2192|#+ ?=>|#+"
    r"|\bis\b|\breturns?\b|\bshould (?:return|be|equal)\b|\bgives?\b)[ \t`]*",
)
PAIRS = {"(": ")", "[": "]", "{": "}"}
MAX_EXAMPLES = 64


class Example(NamedTuple):
    """A call that a prompt shows, with its result."""

    args: list[Any]
    kwargs: dict[str, Any]
    expected: Any


def examples_of(prompt: str, entry_point: str) -> list[Example]:
    r"""The examples that a prompt gives away.

    Example:
        >>> examples_of("Example: double(2) == 4, double(x=3) is 6", "double")
        [Example(args=[2], kwargs={}, expected=4), Example(args=[], kwargs={'x': 3}, expected=6)]
        >>> examples_of(">>> double(0)\n0\n", "double")
        [Example(args=[0], kwargs={}, expected=0)]
    """
    found = []
    for match in re.finditer(rf"(?<![\w.]){re.escape(entry_point)}\(", prompt):
        end = closing(prompt, match.end() - 1)
        call = arguments(prompt[match.start() : end]) if end > 0 else None
        text = result_text(prompt, match.start(), end) if call is not None else None
        if call is None or text is None:
            continue
        try:
            found.append(Example(*call, ast.literal_eval(text)))
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if len(found) == MAX_EXAMPLES:
            break
    return found


def closing(text: str, start: int) -> int:
    """Position behind the bracket that closes the one at `start`; -1 where none does."""
    expected: list[str] = []
    position = start
    while position < len(text):
        letter = text[position]
        if letter in "\"'":
            position = text_end(text, position)
            if position < 0:
                return -1
            continue
        if letter in PAIRS:
            expected.append(PAIRS[letter])
        elif letter in ")]}":
            if not expected or expected.pop() != letter:
                return -1
            if not expected:
                return position + 1
        position += 1
    return -1


def text_end(text: str, start: int) -> int:
    """Position behind the text literal that starts at `start`; -1 where its line ends first."""
    match = re.compile(r"""'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*\"""").match(text, start)
    return match.end() if match else -1


def arguments(call: str) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments of a call, if all of them are literals."""
    try:
        node = ast.parse(call, mode="eval").body
        if not isinstance(node, ast.Call):
            return None
        named = {word.arg: ast.literal_eval(word.value) for word in node.keywords if word.arg is not None}
        return [ast.literal_eval(argument) for argument in node.args], named
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def result_text(prompt: str, start: int, end: int) -> str | None:
    """The text of the result that stands behind a call, or below it in a doctest."""
    line_start = prompt.rfind("\n", 0, start) + 1
    line_end = prompt.find("\n", end)
    line_end = len(prompt) if line_end < 0 else line_end
    if prompt[line_start:start].strip() == ">>>" and not prompt[end:line_end].strip():
        below = prompt[line_end + 1 :].lstrip(" \t")
        return value_at(below, 0)
    match = RESULT.match(prompt, end)
    return value_at(prompt, match.end()) if match else None


def value_at(text: str, start: int) -> str | None:
    """The literal that starts at `start`: brackets and texts whole, else up to a comma, a blank or the line's end."""
    if start >= len(text):
        return None
    if text[start] in PAIRS:
        end = closing(text, start)
    elif text[start] in "\"'":
        end = text_end(text, start)
    else:
        match = re.compile(r"[^\s,;`()]+").match(text, start)
        end = match.end() if match else -1
    return text[start:end].rstrip(".") or None if end > 0 else None
