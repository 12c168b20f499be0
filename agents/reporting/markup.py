"""HTML for text that somebody else wrote. Every string of a run folder enters the page through here."""

import re
from collections.abc import Sequence
from html import escape

from rlenvs.agents.reporting.formatting import escape_character, is_harmless

# A quick first look: most text is plain and needs no work on single characters.
PLAIN = re.compile(r"[\n\t\x20-\x7e]*")


def html_text(text: str) -> str:
    r"""Escape foreign text for the content of an element; characters that act or hide are shown as marked escapes.

    Example:
        >>> html_text("</script> & \x00")
        '&lt;/script&gt; &amp; <span class="esc">\\x00</span>'
    """
    text = text.replace("\r\n", "\n")
    if PLAIN.fullmatch(text):
        return escape(text)
    return "".join(
        escape(char) if is_harmless(char) else f'<span class="esc">{escape_character(char)}</span>' for char in text
    )


def html_attribute(text: str) -> str:
    """Escape foreign text for a double-quoted attribute; characters that act or hide become plain escapes."""
    return escape("".join(char if is_harmless(char) else escape_character(char) for char in text), quote=True)


def shorten(text: str, limit: int) -> str:
    """Cut a text to one line of `limit` characters, with an ellipsis where something was left out."""
    head = " ".join(text[: 4 * limit].split())
    return head if len(head) <= limit and len(text) <= 4 * limit else head[: limit - 1] + "…"


def fair_limit(sizes: Sequence[int], budget: int) -> int:
    """Return the length to which texts must be cut so that all together fit a budget; short texts are never cut.

    Args:
        sizes: Lengths of the texts.
        budget: Characters for all of them.

    Example:
        >>> fair_limit([10, 100, 1000], 310)
        200
    """
    left, count = budget, len(sizes)
    for size in sorted(sizes):
        if size * count > left:
            return max(0, left // count)
        left -= size
        count -= 1
    return max(sizes, default=0)
