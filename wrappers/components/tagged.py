"""Tagged sections, `<think>...</think><answer>...</answer>`, found in one pass."""

import re
from collections.abc import Sequence
from itertools import zip_longest

from rlenvs.errors import ParameterError

__all__ = ["TagForm"]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


class TagForm:
    r"""Does the text hold each tag exactly once, closed, in order and side by side?

    Tags are literal and case-sensitive and carry no attributes: `<Think>` is text. Any text may stand inside a tag,
    other tags of the list excepted.

    Args:
        tags: names, in the order in which they must come.
        whole: nothing but white space may stand outside the tags.

    Raises:
        ParameterError: no names, a name twice, or one that is not a name.

    Example:
        >>> form = TagForm(["think", "answer"], whole=True)
        >>> form("<think>6 * 7</think>\n<answer>42</answer>"), form("<answer>42</answer>"), form("42")
        (True, False, False)
    """

    def __init__(self, tags: Sequence[str], whole: bool) -> None:
        if isinstance(tags, str) or not tags:
            raise ParameterError("tags", f"must list at least one name, got {tags!r}")
        for index, tag in enumerate(tags):
            if not isinstance(tag, str) or _NAME.fullmatch(tag) is None:
                raise ParameterError("tags", f"must hold names such as 'answer', without brackets, got {tag!r}")
            if tag in tags[:index]:
                raise ParameterError("tags", f"holds {tag!r} twice")
        self.tags = tuple(tags)
        self.whole = whole
        self._expected = tuple(mark for tag in tags for mark in (f"<{tag}>", f"</{tag}>"))
        self._marks = re.compile("|".join(map(re.escape, self._expected)))

    def __call__(self, text: str) -> bool:
        """Return whether the text has the form."""
        end = 0
        for index, (expected, found) in enumerate(zip_longest(self._expected, self._marks.finditer(text))):
            if found is None or found.group() != expected:
                return False
            if self.whole and index % 2 == 0 and text[end : found.start()].strip():
                return False
            end = found.end()
        return not (self.whole and text[end:].strip())
