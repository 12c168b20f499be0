r"""Which part of a response is its answer: a policy, chosen by the task's `extract`.

With several candidates the last one counts, and only that one: an empty or unreadable last answer is not
rescued by an earlier one. All policies cut surrounding white space, and take time linear in the response.

| `extract` | the answer |
|---|---|
| "whole" | the whole response |
| "last_boxed" | inside the last `\boxed{...}` or `\fbox{...}`, braces balanced; of nested boxes the outer one counts |
| "last_hash" | after the last `####`, up to the end of its line |
| "last_answer_tag" | between the last `<answer>` and the `</answer>` that follows it; may span lines |
| "last_answer_line" | after `Answer:` or `Final answer:` at the start of the last such line, any case; emphasis and
the marks of a heading, list or quotation are ignored |
| "last_marker" | after the last of the task's `markers` at the start of a line (blanks may precede it), to
the line's end |
| "last_python_block" | the last closed block between a line "```python" (or "```py", "```python3") and a line "```";
only where no closed block is labelled so, the last one between two lines "```" |

Text behind the answer on the same line belongs to the answer (`#### 18 eggs`); later lines do not.
"""

import re
import textwrap
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

MAX_ANSWER_CHARS = 4096
"""A longer answer is none: it bounds every later cost, and stays below Python's limit on digits of an int."""
MAX_NESTED_BOXES = 8

THINK_OPEN, THINK_CLOSE = "<think>", "</think>"
FENCE_LINE = re.compile(r"^[ ]{0,3}```([^`\n]*)$", re.MULTILINE)
PYTHON_FENCES = frozenset({"python", "py", "python3"})
OPEN_BOX = re.compile(r"\\boxed {0,8}\{")
BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
FRAMED_BOX = "\\fbox"
"""A box as well, with text inside; the answers of the MATH data set have both."""
BOX, HASH, TAG_OPEN, TAG_CLOSE = "\\boxed", "####", "<answer>", "</answer>"
ANSWER_LINE = re.compile(
    r"(?s:.*)^[ \t*_#>-]*+(?:final )?answer[*_]{0,3}[ \t]?:", re.MULTILINE | re.IGNORECASE | re.ASCII
)


class Extraction(NamedTuple):
    """The answer of a response, or None and the reason why there is none."""

    answer: str | None
    reason: str


def found(answer: str, where: str) -> Extraction:
    """An answer without its surrounding white space, refused when empty."""
    answer = answer.strip()
    if not answer:
        return Extraction(None, f"{where} is empty")
    return Extraction(answer, f"from {where}")


def whole(response: str, markers: Sequence[str]) -> Extraction:
    """The whole response."""
    return found(response, "the response")


def brace_pairs(text: str, start: int, end: int) -> dict[int, int]:
    r"""Positions of opening braces between `start` and `end`, and of what closes them; escaped ones are text."""
    unclosed: list[int] = []
    pairs: dict[int, int] = {}
    for match in BRACE.finditer(text, start, min(len(text), end)):
        if match[0] == "{":
            unclosed.append(match.start())
        elif match[0] == "}" and unclosed:
            pairs[unclosed.pop()] = match.start()
    return pairs


def brace_of_box(text: str, start: int) -> int:
    r"""Position of the brace behind the \boxed at `start`, -1 if there is none."""
    match = OPEN_BOX.match(text, start)
    return match.end() - 1 if match else -1


def around(response: str, box: int, opening: int, closing: int) -> tuple[int, int]:
    """The braces of the outermost box that closes behind the one at `box`, or its own; only boxes in reach count."""
    first = response.find(BOX, max(0, box - MAX_ANSWER_CHARS))
    pairs = brace_pairs(response, first, opening + MAX_ANSWER_CHARS + 2)
    while first < box:
        outer = brace_of_box(response, first)
        if closing < pairs.get(outer, -1) <= outer + MAX_ANSWER_CHARS + 1:
            return outer, pairs[outer]
        first = response.find(BOX, first + 1)
    return opening, closing


def unboxed(text: str) -> str:
    """Take off boxes that hold nothing but a box."""
    for _ in range(MAX_NESTED_BOXES):
        text = text.strip()
        opening = brace_of_box(text, 0) if text.startswith(BOX) else -1
        if opening < 0 or brace_pairs(text, opening, len(text)).get(opening) != len(text) - 1:
            break
        text = text[opening + 1 : -1]
    return text


def last_boxed(response: str, markers: Sequence[str]) -> Extraction:
    r"""Inside the last \boxed{...}; a box in a box is a part of it, unless it is all of it."""
    if FRAMED_BOX in response:
        response = response.replace(FRAMED_BOX, BOX)
    start = response.rfind(BOX)
    if start < 0:
        return Extraction(None, "no \\boxed{} in the response")
    opening = brace_of_box(response, start)
    if opening < 0:
        return Extraction(None, "the last \\boxed has no braces")
    closing = brace_pairs(response, opening, opening + MAX_ANSWER_CHARS + 2).get(opening)
    if closing is None:
        return Extraction(None, f"the last \\boxed{{}} is not closed within {MAX_ANSWER_CHARS} characters")
    opening, closing = around(response, start, opening, closing)
    answer = unboxed(response[opening + 1 : closing])
    if BOX in answer:
        return Extraction(None, "the last \\boxed{} is inside another one that holds more than it")
    return found(answer, "the last \\boxed{}")


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
    return found(to_line_end(response, match.end()).strip(" \t\r*_"), "the last answer line")


def last_marker(response: str, markers: Sequence[str]) -> Extraction:
    """After the last marker that starts a line; where one marker starts another, the longer one counts."""
    match = last_line_start(tuple(markers)).match(response)
    if match is None:
        return Extraction(None, f"no line starts with {' or '.join(map(repr, markers))}")
    return found(to_line_end(response, match.end()), "the text after the last marker")


def last_python_block(response: str, markers: Sequence[str]) -> Extraction:
    """The last closed block labelled Python, else the last without a label.

    What a program prints is often shown in a block without a label behind the program. Fences pair up from the start,
    so what stands between two blocks is none.
    """
    labelled: str | None = None
    unlabelled: str | None = None
    opened, language = -1, ""
    for fence in FENCE_LINE.finditer(response):
        label = fence[1].strip().lower()
        if opened < 0:
            opened, language = fence.end(), label
        elif not label:
            if language in PYTHON_FENCES:
                labelled = response[opened : fence.start()]
            elif not language:
                unlabelled = response[opened : fence.start()]
            opened = -1
    block = unlabelled if labelled is None else labelled
    if block is None:
        return Extraction(None, "no closed ```python block in the response")
    return found(textwrap.dedent(block), "the last ```python block" if labelled is not None else "the last ``` block")


EXTRACTORS: dict[str, Callable[[str, Sequence[str]], Extraction]] = {
    "whole": whole,
    "last_boxed": last_boxed,
    "last_hash": last_hash,
    "last_answer_tag": last_answer_tag,
    "last_answer_line": last_answer_line,
    "last_marker": last_marker,
    "last_python_block": last_python_block,
}


def extract_answer(
    response: str,
    extract: str,
    markers: Sequence[str] = (),
    *,
    after_think: bool = False,
    max_chars: int = MAX_ANSWER_CHARS,
) -> Extraction:
    r"""The answer of a response under a policy.

    Args:
        response: what the model wrote; any text of any length.
        extract: a key of `EXTRACTORS`.
        markers: for "last_marker".
        after_think: only what follows the last `</think>` counts; nothing does while a `<think>` is open.
        max_chars: a longer answer is none. A box is never longer than `MAX_ANSWER_CHARS`.

    Example:
        >>> extract_answer("First \\boxed{41}, no: \\boxed{42}.", "last_boxed").answer
        '42'
    """
    if after_think:
        closed = response.rfind(THINK_CLOSE)
        if response.rfind(THINK_OPEN) > closed:
            return Extraction(None, "the response ends inside <think>")
        response = response[closed + len(THINK_CLOSE) :] if closed >= 0 else response
    extraction = EXTRACTORS[extract](response, markers)
    if extraction.answer is not None and len(extraction.answer) > max_chars:
        return Extraction(None, f"the answer is longer than {max_chars} characters")
    return extraction
