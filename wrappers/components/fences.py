"""Fenced code blocks (``` or ~~~), found by the rules of CommonMark in one pass over the lines."""

import re
from dataclasses import dataclass

__all__ = ["CodeBlockForm", "FencedBlock", "fenced_blocks", "split_lines"]

_LINE_END = re.compile(r"\r\n|\n|\r")
# Possessive, so that a line of a million back-ticks is read once.
_OPENING = re.compile(r" {0,3}(?P<fence>`{3,}+(?=[^`]*+\Z)|~{3,}+)(?P<info>.*)", re.DOTALL)
_CLOSING = re.compile(r" {0,3}(?P<fence>`{3,}+|~{3,}+)[ \t]*+")


@dataclass(frozen=True, slots=True)
class FencedBlock:
    """One fenced block.

    Attributes:
        info: what follows the opening fence, stripped: the language, usually.
        content: the lines between the fences, joined by line feeds.
        first_line: index of the opening line.
        last_line: index of the closing line, or of the last line of the text.
        closed: whether there is a closing line; an open block runs to the end of the text.
    """

    info: str
    content: str
    first_line: int
    last_line: int
    closed: bool

    @property
    def language(self) -> str:
        """The first word of `info`, lower case; "" where there is none."""
        return self.info.split(maxsplit=1)[0].lower() if self.info else ""


def split_lines(text: str) -> list[str]:
    """Split at line feeds and carriage returns only, as CommonMark does (`str.splitlines` knows more ends)."""
    return _LINE_END.split(text)


def fenced_blocks(lines: list[str]) -> list[FencedBlock]:
    """Return the fenced blocks of a text, in order. Blocks inside quotes and lists are not looked for.

    Args:
        lines: the text, split by `split_lines`. Linear time.

    Example:
        >>> [(block.language, block.content) for block in fenced_blocks(["Run:", "```python", "f()", "```"])]
        [('python', 'f()')]
    """
    blocks: list[FencedBlock] = []
    opening: re.Match[str] | None = None
    start = 0
    for index, line in enumerate(lines):
        if opening is None:
            opening, start = _OPENING.fullmatch(line), index
        elif _closes(line, opening["fence"]):
            blocks.append(_block(opening, lines, start, index, closed=True))
            opening = None
    if opening is not None:
        blocks.append(_block(opening, lines, start, len(lines), closed=False))
    return blocks


def _closes(line: str, fence: str) -> bool:
    closing = _CLOSING.fullmatch(line)
    return closing is not None and closing["fence"][0] == fence[0] and len(closing["fence"]) >= len(fence)


def _block(opening: re.Match[str], lines: list[str], start: int, end: int, *, closed: bool) -> FencedBlock:
    content = "\n".join(lines[start + 1 : end])
    return FencedBlock(opening["info"].strip(), content, start, end if closed else end - 1, closed)


class CodeBlockForm:
    r"""Does the text hold exactly one fenced code block, closed and not blank?

    Args:
        language: the first word after the opening fence, in any case; None takes any and none.
        whole: nothing but white space may stand around the block.

    Example:
        >>> form = CodeBlockForm(language="python", whole=False)
        >>> (
        ...     form("Run this:\n```python\nprint(1)\n```\n"),
        ...     form("```\nprint(1)\n```"),
        ...     form("```python\nprint(1)"),
        ... )
        (True, False, False)
    """

    def __init__(self, language: str | None, whole: bool) -> None:
        self.language = None if language is None else language.lower()
        self.whole = whole

    def __call__(self, text: str) -> bool:
        """Return whether the text has the form."""
        lines = split_lines(text)
        blocks = fenced_blocks(lines)
        if len(blocks) != 1:
            return False
        (block,) = blocks
        if not block.closed or not block.content.strip() or self.language not in (None, block.language):
            return False
        around = lines[: block.first_line] + lines[block.last_line + 1 :]
        return not self.whole or not any(line.strip() for line in around)
