"""Text that grows token by token: decoded once per token, compared once per character."""

from collections.abc import Callable, Sequence

INCOMPLETE = "\ufffd"
"""How tokenizers show bytes that are no whole character yet."""


class IncrementalText:
    """The text of a growing list of tokens, without decoding all of it again for each.

    A piece of text depends on its neighbours in many tokenizers (leading spaces, characters of several
    bytes), so each new token is decoded together with the few before it that were last turned into text; the
    common part is dropped. Bytes that are no whole character yet are held back until they are, or until
    `finish`.

    Args:
        decode: from ids to text.

    Example:
        >>> text = IncrementalText(lambda ids: "".join(map(chr, ids)))
        >>> text.push(104), text.push(105), text.value
        ('h', 'i', 'hi')
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self.decode = decode
        self.pieces: list[str] = []
        self.settled: list[int] = []
        self.pending: list[int] = []

    @property
    def value(self) -> str:
        """The text so far."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0] if self.pieces else ""

    def push(self, token: int) -> str:
        """Append a token; returns the text that it completed."""
        self.pending.append(token)
        return self._settle(hold_back=True)

    def finish(self) -> str:
        """Settle what was held back; returns that text."""
        return self._settle(hold_back=False) if self.pending else ""

    def _settle(self, *, hold_back: bool) -> str:
        known = self.decode(self.settled) if self.settled else ""
        text = self.decode([*self.settled, *self.pending])
        if hold_back and text.endswith(INCOMPLETE):
            return ""
        fresh = text[len(known) :]
        self.settled, self.pending = self.pending, []
        if fresh:
            self.pieces.append(fresh)
        return fresh


class PrefixProgress:
    """How far a growing text has come along a given one.

    The share of the target's characters matched from the start. The first wrong character freezes it at the
    share matched so far; a character too many after the whole target counts as one target character lost, so
    that 1.0 means complete and nothing extra.

    Args:
        target: the text to reach.

    Example:
        >>> progress = PrefixProgress("1234")
        >>> progress.push("1"), progress.push("2x"), progress.push("34")
        (0.25, 0.5, 0.5)
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.matched = 0
        self.frozen = False

    @property
    def share(self) -> float:
        """Progress in [0, 1]."""
        if not self.target:
            return 0.0 if self.frozen else 1.0
        return self.matched / len(self.target)

    def push(self, text: str) -> float:
        """Append text; returns the new share."""
        for character in text:
            if self.frozen:
                break
            if self.matched == len(self.target):
                self.frozen = True
                self.matched = max(0, self.matched - 1)
            elif character == self.target[self.matched]:
                self.matched += 1
            else:
                self.frozen = True
        return self.share
