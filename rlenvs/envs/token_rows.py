"""The unfinished messages of many token-level episodes: their text, and how far it has come along the demonstration.

What `rlenvs.envs.incremental_text` does for one message is done for all rows together where the tokenizer says what its
tokens read as (`characters`). Other tokens depend on their neighbours: a message with one of them is followed by
`IncrementalText`, which is slower and equal.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.envs.collation import Rows
from rlenvs.envs.incremental_text import IncrementalText, PrefixProgress
from rlenvs.envs.token_env import Tokenizer
from rlenvs.problems.arithmetic_columns import packed

SILENT, DEPENDS, NOTHING = -1, -2, -3
"""In place of a code point: a token without a text, one whose text depends on others, the end of a target."""
FIRST_CAPACITY = 16
LONG_AGO = 64
"""Least number of steps that are kept for `SoFar`."""
NEVER = 1 << 62
"""When the message of a row began that has none."""


class TokenTable:
    """What single tokens read as, for array operations.

    Args:
        tokenizer: may have `characters`: for each id the character that it always reads as, "" if it reads as nothing,
            None if that depends on its neighbours. `encode` must write such a character as that id wherever it stands.
        silent: ids that never become text: padding and the end of a message.
    """

    def __init__(self, tokenizer: Tokenizer, silent: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        # Arrays of characters drop zeros at the end, so that character has to go the slow way.
        self.points = np.array(
            [
                DEPENDS if text is None or text == "\0" else ord(text) if text else SILENT
                for text in getattr(tokenizer, "characters", [None] * len(tokenizer))
            ],
            dtype=np.int64,
        )
        self.points[list(silent)] = SILENT
        known = np.flatnonzero(self.points >= 0)
        self.ids = np.full(int(self.points.max(initial=0)) + 2, SILENT, dtype=np.int32)
        self.ids[self.points[known]] = known

    def windows(
        self, texts: Sequence[str], length: int, pad: int, points: npt.NDArray[np.uint32] | None = None
    ) -> npt.NDArray[np.int32]:
        """[k, length] the last ids of each text, padding in front.

        Args:
            texts: k texts.
            length: of a window.
            pad: the padding id.
            points: [k, P] code points of the texts, if they are known.
        """
        tails = [text[-length:] for text in texts] if points is None else texts
        sizes = sizes_of(tails)
        windows = np.full((len(texts), length), pad, dtype=np.int32)
        width = int(sizes.max(initial=0))
        plain: npt.NDArray[np.bool_] = np.zeros(len(texts), dtype=np.bool_)
        if width and len(self.ids) > 2:
            points = code_points(tails, width) if points is None else points[:, :width]
            ids = self.ids[np.minimum(points, len(self.ids) - 1)]
            plain = np.all((ids >= 0) | (np.arange(width) >= sizes[:, None]), axis=1)
            if plain.all() and width <= length:
                windows[:, length - width :][np.arange(width, 0, -1) <= sizes[:, None]] = ids[
                    np.arange(width) < sizes[:, None]
                ]
                return windows
            places = sizes[:, None] - length + np.arange(length)
            shifted = np.take_along_axis(ids, np.maximum(places, 0), axis=1)
            windows = np.where(plain[:, None] & (places >= 0), shifted, windows)
        for row in np.flatnonzero(~plain).tolist():
            tokens = self.tokenizer.encode(texts[row], add_special_tokens=False)[-length:]
            if tokens:
                windows[row, -len(tokens) :] = tokens
        return windows


def code_points(texts: Sequence[str], width: int) -> npt.NDArray[np.uint32]:
    """[k, width] code points, zeros behind the end of a text."""
    array = np.array(texts, dtype=f"<U{width}")
    return array.view(np.uint32).reshape(len(texts), width)


class Written(Sequence[str]):
    """k texts as arrays, and as texts once somebody asks.

    Args:
        points: [k, P] code points, zeros behind the ends.
        sizes: [k] their lengths.
        texts: the texts, if they are known; needed where one of them holds a zero.
    """

    def __init__(
        self, points: npt.NDArray[np.uint32], sizes: npt.NDArray[np.int64], texts: list[str] | None = None
    ) -> None:
        self.points, self.sizes = points, sizes
        self.known = texts

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Written":
        """The arrays of texts."""
        sizes = sizes_of(texts)
        width = max(int(sizes.max(initial=0)), 1)
        return cls(code_points(texts, width), sizes, list(texts))

    @classmethod
    def of_points(cls, points: npt.NDArray[np.uint32]) -> "Written":
        """Texts without zeros."""
        return cls(points, (points != 0).sum(axis=1))

    @property
    def texts(self) -> list[str]:
        """The texts."""
        if self.known is None:
            self.known = strings_of(self.points).tolist()
        return self.known

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, place: Any) -> Any:
        return self.texts[place]


def sizes_of(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """[k] the lengths of texts."""
    if isinstance(texts, Written):
        return texts.sizes
    return np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))


class SoFar:
    """What the messages of N rows read at one moment, written when somebody asks.

    What all rows wrote in a step is one array that nobody changes, so a moment is known by where its messages began.

    Args:
        steps: for each step the [N] code points that it wrote, `SILENT` for none; may grow.
        first: the number of the first of them.
        end: the number of the first step that does not count.
        starts: [N] the step that each message began with.
        followed: the pieces of the texts that were decoded with their neighbours.
    """

    def __init__(
        self,
        steps: list[npt.NDArray[np.int64]],
        first: int,
        end: int,
        starts: npt.NDArray[np.int64],
        followed: dict[int, tuple[list[str], int]],
    ) -> None:
        self.steps, self.first, self.end, self.starts, self.followed = steps, first, end, starts, followed
        self.known: npt.NDArray[np.object_] | None = None

    def without(self, rows: Rows) -> "SoFar":
        """The same with nothing written in some rows."""
        starts = self.starts.copy()
        starts[rows] = NEVER
        gone = set(rows.tolist()) if self.followed else set()
        followed = {row: pieces for row, pieces in self.followed.items() if row not in gone}
        return SoFar(self.steps, self.first, self.end, starts, followed)

    def texts(self) -> npt.NDArray[np.object_]:
        """[N] the texts."""
        if self.known is None:
            begin = min(int(self.starts.min(initial=self.end)), self.end)
            texts = np.full(len(self.starts), "", dtype=object)
            if begin < self.end:
                written = np.stack(self.steps[begin - self.first : self.end - self.first], axis=1)
                written[np.arange(begin, self.end) < self.starts[:, None]] = SILENT
                texts = strings_of(packed(np.maximum(written, 0).astype(np.uint32)))
            for row, (pieces, count) in self.followed.items():
                texts[row] = "".join(pieces[:count])
            self.known = texts
        return self.known


def strings_of(points: npt.NDArray[np.uint32]) -> npt.NDArray[np.object_]:
    """[k] texts of code points, zeros behind their ends."""
    width = points.shape[1]
    if not width:
        return np.full(len(points), "", dtype=object)
    return np.ascontiguousarray(points).view(f"<U{width}")[:, 0].astype(object)


class MessageRows:
    """The messages that N rows are writing.

    Args:
        table: what tokens read as.
        num_rows: N.
    """

    def __init__(self, table: TokenTable, num_rows: int) -> None:
        self.table = table
        self.num_rows = num_rows
        self.counts = np.zeros(num_rows, dtype=np.int64)
        self.tokens = np.zeros((num_rows, FIRST_CAPACITY), dtype=np.int32)
        self.text = np.zeros((num_rows, FIRST_CAPACITY), dtype=np.uint32)
        self.lengths = np.zeros(num_rows, dtype=np.int64)
        self.targets = np.full((num_rows, FIRST_CAPACITY), NOTHING, dtype=np.int64)
        self.target_lengths = np.zeros(num_rows, dtype=np.int64)
        self.matched = np.zeros(num_rows, dtype=np.int64)
        self.frozen = np.zeros(num_rows, dtype=np.bool_)
        # Rows whose message holds a token that depends on its neighbours.
        self.followed: dict[int, tuple[IncrementalText, PrefixProgress]] = {}
        self.alone = np.zeros(num_rows, dtype=np.bool_)
        self.history: list[npt.NDArray[np.int64]] = []
        """For each step [N] what it wrote; only what messages that go on have written since they began."""
        self.forgotten, self.most_history = 0, LONG_AGO
        self.starts = np.full(num_rows, NEVER, dtype=np.int64)

    def begin(
        self,
        rows: Rows,
        demonstrations: Sequence[str] | None = None,
        points: npt.NDArray[np.uint32] | None = None,
    ) -> None:
        """Begin a message in some rows.

        Args:
            rows: which rows.
            demonstrations: what they are to read; None for what the messages before were to.
            points: [k, D] code points of the demonstrations, if they are known.
        """
        self.counts[rows] = 0
        self.starts[rows] = self.forgotten + len(self.history)
        self.text[rows] = 0
        self.lengths[rows] = 0
        self.matched[rows] = 0
        self.frozen[rows] = False
        if self.followed:
            self.alone[rows] = False
            for row in rows.tolist():
                self.followed.pop(row, None)
        if demonstrations is None:
            return
        sizes = sizes_of(demonstrations)
        width = int(sizes.max(initial=0))
        if width >= self.targets.shape[1]:
            self.targets = widened(self.targets, width + 1, NOTHING)
        self.target_lengths[rows] = sizes
        self.targets[rows] = NOTHING
        if width:
            points = code_points(demonstrations, width) if points is None else points[:, :width]
            targets = points.astype(np.int64)
            targets[np.arange(width) >= sizes[:, None]] = NOTHING
            self.targets[rows, :width] = targets

    def push(self, rows: Rows, tokens: npt.NDArray[np.int64]) -> None:
        """Append a token to the messages of some rows."""
        places = self.counts[rows]
        if int(places.max(initial=0)) >= self.tokens.shape[1]:
            width = 2 * self.tokens.shape[1]
            self.tokens, self.text = widened(self.tokens, width, 0), widened(self.text, width, 0)
        self.tokens[rows, places] = tokens
        self.counts[rows] = places + 1
        points = self.table.points[tokens]
        slow = points == DEPENDS
        if self.followed:
            slow |= self.alone[rows] & (points != SILENT)
        if slow.any():
            for row, token in zip(rows[slow].tolist(), tokens[slow].tolist(), strict=True):
                self._follow(row, token)
        self._remember(rows, points)
        written = (points >= 0) & ~slow
        if not written.all():
            rows, points = rows[written], points[written]
        lengths = self.lengths[rows]
        self.text[rows, lengths] = points
        self.lengths[rows] = lengths + 1
        self._advance(rows, points)

    def finish(self, rows: Rows) -> None:
        """Settle what is held back of the messages of some rows."""
        if self.followed:
            for row in rows[self.alone[rows]].tolist():
                text, progress = self.followed[row]
                progress.push(text.finish())

    def shares(self) -> npt.NDArray[np.float64]:
        """[N] how far each message has come; see `PrefixProgress`."""
        shares = np.where(
            self.target_lengths > 0,
            self.matched / np.maximum(self.target_lengths, 1),
            (~self.frozen).astype(np.float64),
        )
        for row, (_, progress) in self.followed.items():
            shares[row] = progress.share
        return shares

    def so_far(self) -> SoFar:
        """What the messages read at this moment."""
        followed = {row: (text.pieces, len(text.pieces)) for row, (text, _) in self.followed.items()}
        end = self.forgotten + len(self.history)
        return SoFar(self.history, self.forgotten, end, self.starts.copy(), followed)

    def written(self, rows: Rows) -> Written:
        """The messages of some rows."""
        if self.followed and self.alone[rows].any():
            texts = strings_of(self.text[rows, : int(self.lengths[rows].max(initial=0))])
            for place, row in enumerate(rows.tolist()):
                if self.alone[row]:
                    texts[place] = self.followed[row][0].value
            return Written.of(texts.tolist())
        sizes = self.lengths[rows]
        return Written(self.text[rows, : max(int(sizes.max(initial=0)), 1)], sizes)

    def rest(self, rows: Rows) -> None:
        """Note that some rows have no message any more."""
        self.starts[rows] = NEVER

    def listed(self) -> list[list[int]]:
        """The tokens of each message."""
        counts = self.counts.tolist()
        return [tokens[:count] for tokens, count in zip(self.tokens.tolist(), counts, strict=True)]

    def _follow(self, row: int, token: int) -> None:
        """Append a token that depends on its neighbours, or follows one that does."""
        if row not in self.followed:
            known = IncrementalText(self.table.tokenizer.decode)
            target = self.targets[row, : self.target_lengths[row]]
            progress = PrefixProgress("".join(map(chr, target.tolist())))
            self.followed[row], self.alone[row] = (known, progress), True
            # The pad and end tokens of the tokenizer are no text, though the tokenizer might decode them.
            for earlier in self.tokens[row, : self.counts[row] - 1].tolist():
                if self.table.points[earlier] != SILENT:
                    progress.push(known.push(earlier))
        text, progress = self.followed[row]
        progress.push(text.push(token))

    def _remember(self, rows: Rows, points: npt.NDArray[np.int64]) -> None:
        """Keep what this step wrote; forget what no message that goes on needs."""
        if len(rows) < self.num_rows:
            everywhere = np.full(self.num_rows, SILENT, dtype=np.int64)
            everywhere[rows] = points
            points = everywhere
        self.history.append(points)
        if len(self.history) > self.most_history:
            end = self.forgotten + len(self.history)
            oldest = min(int(self.starts.min(initial=end)), end)
            # Another list: whoever holds a `SoFar` reads on in the old one.
            self.history, self.forgotten = self.history[oldest - self.forgotten :], oldest
            self.most_history = max(LONG_AGO, 2 * len(self.history))

    def _advance(self, rows: Rows, points: npt.NDArray[np.int64]) -> None:
        """Compare one new character per row with the demonstration."""
        moving = ~self.frozen[rows]
        if not moving.all():
            rows, points = rows[moving], points[moving]
        matched = self.matched[rows]
        hits = self.targets[rows, matched] == points
        complete = matched == self.target_lengths[rows]
        self.matched[rows] = np.where(complete, np.maximum(matched - 1, 0), matched + hits)
        self.frozen[rows] = ~hits


def widened(array: npt.NDArray[Any], width: int, value: int) -> npt.NDArray[Any]:
    """A copy with more columns."""
    wide = np.full((len(array), max(width, 2 * array.shape[1])), value, dtype=array.dtype)
    wide[:, : array.shape[1]] = array
    return wide
