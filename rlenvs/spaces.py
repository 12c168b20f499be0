"""Spaces that Gymnasium lacks: text without a character set."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from gymnasium.spaces import Space

from rlenvs.errors import UserError

SAMPLE_ALPHABET = (
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?+-*/=()[]{}<>#$%&\"'\\\n\t"
    "äöüßéèêçñøåœÄÖÜ¿¡€£αβγπΩЖдщяעבריتالعहिन्दी中文日本語한국어…—\u2212\u00d7÷≤≠∞🙂🚀"
)
"""What `UnicodeText.sample` draws from: wide enough to break code that assumes ASCII."""


class UnicodeText(Space[str]):
    r"""Every Unicode text of at most `max_length` characters, the empty text included.

    `gymnasium.spaces.Text` needs an explicit character set; one that holds all of Unicode takes seconds to
    build and hundreds of megabytes. This space checks the type and the length only, in constant time.

    In `AsyncVectorEnv` pass `shared_memory=False`: a text has no fixed size in memory.

    Args:
        max_length: most characters (code points) of a text; at least 0.
        seed: an int or a `numpy.random.Generator` for `sample`.

    Raises:
        UserError: `max_length` is not a non-negative int.

    Example:
        >>> space = UnicodeText(5)
        >>> "né\n中" in space, "longer" in space, 3 in space
        (True, False, False)
    """

    def __init__(self, max_length: int, seed: int | np.random.Generator | None = None) -> None:
        if isinstance(max_length, bool) or not isinstance(max_length, int | np.integer) or max_length < 0:
            raise UserError(f"max_length must be an int of at least 0, got {max_length!r}")
        super().__init__(None, str, seed)
        self.max_length = int(max_length)

    @property
    def is_np_flattenable(self) -> bool:
        """Texts of unbounded alphabets have no array form: always False."""
        return False

    def sample(self, mask: Any | None = None, probability: Any | None = None) -> str:
        """Draw a text: its length uniform in 0..max_length, its characters from `SAMPLE_ALPHABET`.

        Raises:
            UserError: a mask or a probability is given; there is no finite alphabet that it could refer to.
        """
        if mask is not None or probability is not None:
            raise UserError("UnicodeText.sample takes neither mask nor probability: the space has no finite alphabet")
        length = int(self.np_random.integers(0, self.max_length, endpoint=True))
        picks = self.np_random.integers(0, len(SAMPLE_ALPHABET), size=length)
        return "".join([SAMPLE_ALPHABET[pick] for pick in picks.tolist()])

    def contains(self, x: Any) -> bool:
        """True for a `str` of at most `max_length` characters."""
        return isinstance(x, str) and len(x) <= self.max_length

    def to_jsonable(self, sample_n: Iterable[str]) -> list[str]:
        """Texts are JSON strings already; returns a new list."""
        return list(sample_n)

    def from_jsonable(self, sample_n: list[Any]) -> list[str]:
        """Inverse of `to_jsonable`.

        Raises:
            UserError: an item is not a text of this space.
        """
        for item in sample_n:
            if not self.contains(item):
                raise UserError(f"not a text of {self}: {item!r:.80}")
        return list(sample_n)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText) and other.max_length == self.max_length

    def __hash__(self) -> int:
        return hash((UnicodeText, self.max_length))

    def __repr__(self) -> str:
        return f"UnicodeText({self.max_length})"
