"""Markdown as a form: which kinds of block a text holds, by a CommonMark parser."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Literal, get_args

from rlenvs.errors import ParameterError
from rlenvs.extras import require

__all__ = ["Element", "MarkdownForm"]

Element = Literal["heading", "list", "bullet_list", "ordered_list", "table", "code", "quote"]
_OPENED_BY: dict[str, tuple[Element, ...]] = {
    "heading_open": ("heading",),
    "bullet_list_open": ("bullet_list", "list"),
    "ordered_list_open": ("ordered_list", "list"),
    "table_open": ("table",),
    "blockquote_open": ("quote",),
}
_LEAVES: dict[str, tuple[Element, ...]] = {"inline": (), "fence": ("code",), "code_block": ("code",)}


class MarkdownForm:
    r"""Does the text hold the required kinds of Markdown block, none of them empty?

    The text is read as CommonMark with the tables of GitHub. Plain text is valid Markdown too, so without required
    kinds the form asks for one block of any kind that is not a paragraph. Only blocks are parsed, in linear time;
    what is nested deeper than 20 levels is not looked at.

    Args:
        elements: kinds that must all occur, or None.

    Raises:
        ParameterError: an unknown kind, or an empty list.

    Example:
        >>> form = MarkdownForm(["heading", "list"])
        >>> form("# Plan\n\n- one\n- two"), form("# Plan\n\none, two"), form("#\n\n-")
        (True, False, False)
    """

    def __init__(self, elements: Sequence[str] | None = None) -> None:
        known = get_args(Element)
        if elements is not None and (isinstance(elements, str) or not elements):
            raise ParameterError("elements", f"must list at least one of {', '.join(known)}, got {elements!r}")
        for element in elements or ():
            if element not in known:
                raise ParameterError("elements", f"must hold some of {', '.join(known)}, got {element!r}")
        self.elements = None if elements is None else tuple(elements)

    def __call__(self, text: str) -> bool:
        """Return whether the text has the form.

        Raises:
            MissingExtraError: markdown-it-py is not installed.
        """
        found = self.kinds(text)
        return bool(found) if self.elements is None else found.issuperset(self.elements)

    def kinds(self, text: str) -> set[str]:
        """Return the kinds of block that the text holds with something inside."""
        found: set[str] = set()
        around: list[tuple[Element, ...]] = []
        for token in self._parser.parse(text):
            if token.nesting == 1:
                around.append(_OPENED_BY.get(token.type, ()))
            elif token.nesting == -1:
                around.pop()
            elif token.type in _LEAVES and token.content.strip():
                found.update(*around, _LEAVES[token.type])
        return found

    def __reduce__(self) -> tuple[type["MarkdownForm"], tuple[tuple[str, ...] | None]]:
        return type(self), (self.elements,)  # parsers hold local functions, which do not pickle

    @cached_property
    def _parser(self) -> Any:
        parser = require("markdown_it", "text", "format 'markdown'").MarkdownIt("commonmark").enable("table")
        # Emphasis, links and their definitions do not decide which blocks there are, and cost most of the time.
        parser.core.ruler.enableOnly(["normalize", "block"])
        return parser.disable("reference")
