r"""Which part of a response is its answer: a policy, chosen by the task's `extract`.

With several candidates the last one counts, and only that one: an empty or unreadable last answer is not
rescued by an earlier one. All policies cut surrounding white space, and take time linear in the response.

| `extract` | the answer |
|---|---|
| "whole" | the whole response |
| "last_boxed" | inside the last `\boxed{...}`, braces balanced |
| "last_hash" | after the last `####`, up to the end of its line |
| "last_answer_tag" | between the last `<answer>` and the `</answer>` that follows it; may span lines |
| "last_answer_line" | after `Answer:` or `Final answer:` at the start of the last such line, any case, `**`
ignored |
| "last_marker" | after the last of the task's `markers` at the start of a line (blanks may precede it), to
the line's end |

Text behind the answer on the same line belongs to the answer (`#### 18 eggs`); later lines do not.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_ANSWER_CHARS = 4096
"""A longer answer is none: it bounds every later cost, and stays below Python's limit on digits of an int."""

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
BOX, HASH, TAG_OPEN, TAG_CLOSE = "\\boxed", "####", "<answer>", "</answer>"
ANSWER_LINE = re.compile(r"(?s:.*)^[ \t*]*+(?:final )?answer:", re.MULTILINE | re.IGNORECASE | re.ASCII)


class Extraction(NamedTuple):
    """The answer of a response, or None and the reason why there is none."""

    answer: str | None
    reason: str


def found(answer: str, where: str) -> Extraction:
    """An answer without its surrounding white space, refused when empty or too long."""
    answer = answer.strip()
    if not answer:
        return Extraction(None, f"{where} is empty")
    if len(answer) > MAX_ANSWER_CHARS:
        return Extraction(None, f"{where} is longer than {MAX_ANSWER_CHARS} characters")
    return Extraction(answer, f"from {where}")


def whole(response: str, markers: Sequence[str]) -> Extraction:
    """The whole response."""
    return found(response, "the response")


def closing_brace(text: str, opening: int) -> int:
    r"""Position of the brace that closes the one at `opening`, within the answer limit; -1 if none does.

    Escaped braces (`\{`, `\}`) are text.
    """
    depth, position = 0, opening
    end = min(len(text), opening + MAX_ANSWER_CHARS + 2)
    while position < end:
        character = text[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return -1


def last_boxed(response: str, markers: Sequence[str]) -> Extraction:
    r"""Inside the last \boxed{...}."""
    start = response.rfind(BOX)
    if start < 0:
        return Extraction(None, "no \\boxed{} in the response")
    opening = start + len(BOX)
    while response[opening : opening + 1] == " ":
        opening += 1
    if response[opening : opening + 1] != "{":
        return Extraction(None, "the last \\boxed has no braces")
    closing = closing_brace(response, opening)
    if closing < 0:
        return Extraction(None, f"the last \\boxed{{}} is not closed within {MAX_ANSWER_CHARS} characters")
    return found(response[opening + 1 : closing], "the last \\boxed{}")


def to_line_end(response: str, start: int) -> str:
    """The text from `start` to the end of its line."""
    end = response.find("\n", start)
    return response[start:] if end < 0 else response[start:end]


def last_hash(response: str, markers: Sequence[str]) -> Extraction:
    """After the last ####, up to the line's end."""
    start = response.rfind(HASH)
    if start < 0:
        return Extraction(None, "no #### in the response")
    return found(to_line_end(response, start + len(HASH)), "the text after the last ####")


def last_answer_tag(response: str, markers: Sequence[str]) -> Extraction:
    """Between the last <answer> and its </answer>."""
    start = response.rfind(TAG_OPEN)
    if start < 0:
        return Extraction(None, "no <answer> in the response")
    end = response.find(TAG_CLOSE, start)
    if end < 0:
        return Extraction(None, "the last <answer> is not closed")
    return found(response[start + len(TAG_OPEN) : end], "the last <answer>")


@lru_cache(maxsize=256)
def last_line_start(markers: tuple[str, ...]) -> re.Pattern[str]:
    """A pattern that matches up to the end of the last marker at the start of a line.

    `.*` runs to the end of the text and gives back one character at a time, so the first match is the last line; the
    possessive blanks are passed once per line. Both keep it linear, and inside the regular expression engine.
    """
    longest_first = sorted(markers, key=len, reverse=True)
    return re.compile(rf"(?s:.*)^[ \t]*+(?:{'|'.join(map(re.escape, longest_first))})", re.MULTILINE)


def last_answer_line(response: str, markers: Sequence[str]) -> Extraction:
    """After `Answer:` at the start of the last such line."""
    match = ANSWER_LINE.match(response)
    if match is None:
        return Extraction(None, "no line starts with 'Answer:'")
    return found(to_line_end(response, match.end()).strip(" \t\r*"), "the last answer line")


def last_marker(response: str, markers: Sequence[str]) -> Extraction:
    """After the last marker that starts a line; where one marker starts another, the longer one counts."""
    match = last_line_start(tuple(markers)).match(response)
    if match is None:
        return Extraction(None, f"no line starts with {' or '.join(map(repr, markers))}")
    return found(to_line_end(response, match.end()), "the text after the last marker")


EXTRACTORS: dict[str, Callable[[str, Sequence[str]], Extraction]] = {
    "whole": whole,
    "last_boxed": last_boxed,
    "last_hash": last_hash,
    "last_answer_tag": last_answer_tag,
    "last_answer_line": last_answer_line,
    "last_marker": last_marker,
}


def extract_answer(
    response: str, extract: str, markers: Sequence[str] = (), *, after_think: bool = False
) -> Extraction:
    r"""The answer of a response under a policy.

    Args:
        response: what the model wrote; any text of any length.
        extract: a key of `EXTRACTORS`.
        markers: for "last_marker".
        after_think: only what follows the last `</think>` counts; nothing does while a `<think>` is open.

    Example:
        >>> extract_answer("First \\boxed{41}, no: \\boxed{42}.", "last_boxed").answer
        '42'
    """
    if after_think:
        closed = response.rfind(THINK_CLOSE)
        if response.rfind(THINK_OPEN) > closed:
            return Extraction(None, "the response ends inside <think>")
        response = response[closed + len(THINK_CLOSE) :] if closed >= 0 else response
    return EXTRACTORS[extract](response, markers)
