"""The parts of a written answer: paragraphs, sentences, headings, list items and code, read line by line.

This is an outline of how a text looks, for checks of form; it is no Markdown parser (`markdown.py` asks one). Texts are
hostile: everything is linear in their length and defined for every string.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from rlenvs.wrappers.components.fences import FencedBlock, fenced_blocks, split_lines

__all__ = ["BULLETS", "ListItem", "Outline", "Sentence", "inline_text", "outline_of", "sentences_of", "text_blocks"]

BULLETS = "-*+•"
# Anything longer is no enumeration, and int() of it takes quadratic time.
_LIST_ITEM = re.compile(
    rf"(?P<indent>[ \t]*+)(?:(?P<bullet>[{BULLETS}])|(?P<number>[0-9]{{1,9}}+)(?P<mark>[.)]))[ \t]++\S"
)
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|\Z)")
_NOT_PROSE = re.compile(r"[ \t]*+(?:\||>|(?:[-*_=][ \t]*+){3,}+\Z)")  # table rows, quotes, rules and underlines
_INLINE_CODE = re.compile(r"`[^`\n]*+`")
_INDENT_OF_A_LEVEL = 2

_SENTENCE_END = re.compile(
    r"[.!?…]++[\"'”\u2019»)\]*_`]*+(?=\s|\Z)"  # not the point inside "3.5"
    r"|[。\uff01\uff1f]++[”\u2019」』\uff09]*+"  # no space follows these
)
_END_OF_TEXT = re.compile(r"[.!?…。\uff01\uff1f:\uff1a][\"'”\u2019»)\]*_`」』\uff09]*+\Z")
_TAIL = 32  # characters at the end of a sentence that tell whether it has ended
# Words that hardly ever end a sentence; "etc." and "no." often do.
_ABBREVIATIONS = frozenset(
    ("mr", "mrs", "ms", "dr", "prof", "st", "vs", "e.g", "i.e", "cf", "fig", "figs", "eq", "vol", "pp", "approx")
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence, stripped.

    Attributes:
        text: the sentence.
        ended: whether it ends with a mark that ends sentences. Only the last one of a paragraph can lack it.
    """

    text: str
    ended: bool


@dataclass(frozen=True, slots=True)
class ListItem:
    """The first line of a list item.

    Attributes:
        group: index of the list that it belongs to; nested lists are lists of their own.
        mark: the bullet, or `.` or `)` after a number.
        number: the number, None with bullets.
    """

    group: int
    mark: str
    number: int | None


@dataclass(frozen=True, slots=True)
class Outline:
    """What a text is made of.

    Attributes:
        paragraphs: runs of lines of plain prose, without headings, lists, tables, quotes and code.
        headings: number of lines that begin with `#` marks.
        items: list items, in order.
        code: fenced blocks.
        visible: the lines outside the fenced blocks, joined by line feeds, list marks left out.
    """

    paragraphs: list[str]
    headings: int
    items: list[ListItem]
    code: list[FencedBlock]
    visible: str


@dataclass
class _Lists:
    """Sorts list items into lists by their indentation."""

    items: list[ListItem] = field(default_factory=list)
    open: list[tuple[int, int]] = field(default_factory=list)  # (indent, group), outermost first
    groups: int = 0

    def add(self, found: re.Match[str]) -> None:
        indent = len(found["indent"].expandtabs(4))
        while self.open and self.open[-1][0] >= indent + _INDENT_OF_A_LEVEL:
            self.open.pop()
        if not self.open or indent >= self.open[-1][0] + _INDENT_OF_A_LEVEL:
            self.open.append((indent, self.groups))
            self.groups += 1
        number = None if found["number"] is None else int(found["number"])
        self.items.append(ListItem(self.open[-1][1], found["bullet"] or found["mark"], number))


def outline_of(text: str) -> Outline:
    r"""Return the outline of a text.

    Example:
        >>> outline = outline_of("# Plan\n\nTwo steps.\n\n1. Rest\n2. Run\n")
        >>> outline.headings, outline.paragraphs, [item.number for item in outline.items]
        (1, ['Two steps.'], [1, 2])
    """
    lines = split_lines(text)
    code = fenced_blocks(lines)
    lists = _Lists()
    headings = 0
    paragraphs: list[list[str]] = [[]]
    visible: list[str] = []
    inside_item = False
    for line in _lines_outside(lines, code):
        item = _LIST_ITEM.match(line)
        if item is not None:
            lists.add(item)
            visible.append(line[item.end() - 1 :])
        else:
            visible.append(line)
        is_heading = _HEADING.match(line) is not None
        headings += is_heading
        inside_item = item is not None or (inside_item and bool(line.strip()))
        if inside_item or is_heading or not line.strip() or _NOT_PROSE.match(line):
            paragraphs.append([])
        else:
            if not paragraphs[-1] and not line.startswith((" " * _INDENT_OF_A_LEVEL, "\t")):
                lists.open.clear()  # a paragraph at the margin ends the lists before it
            paragraphs[-1].append(line.strip())
    prose = ["\n".join(paragraph) for paragraph in paragraphs if paragraph]
    return Outline(prose, headings, lists.items, code, "\n".join(visible))


def _lines_outside(lines: list[str], code: list[FencedBlock]) -> Iterator[str]:
    """Yield the lines outside fenced blocks, and a blank one for each block."""
    position = 0
    for block in code:
        yield from lines[position : block.first_line]
        yield ""
        position = block.last_line + 1
    yield from lines[position:]


def text_blocks(text: str) -> list[str]:
    r"""Return what blank lines separate, whatever it is, without blank blocks.

    Example:
        >>> text_blocks("one\ntwo\n \n\nthree")
        ['one\ntwo', 'three']
    """
    blocks: list[list[str]] = [[]]
    for line in split_lines(text):
        if line.strip():
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return ["\n".join(block) for block in blocks if block]


def sentences_of(paragraph: str) -> list[Sentence]:
    """Return the sentences of one paragraph; pieces without a letter or digit are none.

    Abbreviations that rarely end a sentence ("Dr.", "e.g.") and single capital letters do not end one.

    Example:
        >>> [sentence.text for sentence in sentences_of("Dr. No paid 3.5 pounds. Why? He had to")]
        ['Dr. No paid 3.5 pounds.', 'Why?', 'He had to']
    """
    sentences = []
    start = 0
    for end in _SENTENCE_END.finditer(paragraph):
        if not _abbreviates(paragraph, start, end):
            sentences.append(Sentence(paragraph[start : end.end()].strip(), True))
            start = end.end()
    rest = paragraph[start:].strip()
    sentences.append(Sentence(rest, _END_OF_TEXT.search(rest[-_TAIL:]) is not None))
    return [sentence for sentence in sentences if any(map(str.isalnum, sentence.text))]


def _abbreviates(paragraph: str, start: int, end: re.Match[str]) -> bool:
    if end.group() != "." or end.end() == len(paragraph):
        return False
    before = paragraph[max(start, end.start() - _TAIL) : end.start()].split()
    word = before[-1].lstrip("(\"'“*_") if before else ""
    return word.lower() in _ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")


def inline_text(text: str) -> str:
    """Return the text without its inline code (`` `x` ``)."""
    return _INLINE_CODE.sub(" ", text)
