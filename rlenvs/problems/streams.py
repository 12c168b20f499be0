"""The random generators of many environments, drawn from one by one or all at once.

Environment i of a vector form has a generator of its own, so that its episodes do not depend on the others. One call of
`numpy.random.Generator.integers` per row costs more than everything else about a small problem. `RowStreams.integers`
takes the raw words of every row and does the rest for all rows together; what comes out, and the state that the
generators are left in, are those of the calls row by row.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from rlenvs.errors import UserError

LOW_HALF = 0xFFFFFFFF
HALF_BITS = 32
SCALAR_ROWS = 12
"""Below this many rows plain Python is faster than array operations."""


class RowStreams:
    """N generators (PCG64, as Gymnasium seeds them) that bounded integers can be drawn from in one call.

    NumPy draws an integer below 2^32 from half a word: it multiplies the half with the bound and keeps the upper part,
    drawing again where that would be biased (Lemire, "Fast Random Integer Generation in an Interval",
    https://arxiv.org/abs/1805.10941); the second half of a word waits for the next draw. This class does the same; the
    tests hold it to `Generator.integers`.

    Args:
        num_rows: N.

    Example:
        >>> streams, generator = RowStreams(1), np.random.default_rng(7)
        >>> streams.seed(0, 7)
        >>> streams.integers([0], (100, 100, 6)).tolist()
        [[94, 62, 4]]
        >>> [*generator.integers(0, 100, size=2).tolist(), int(generator.integers(0, 6))]
        [94, 62, 4]
    """

    def __init__(self, num_rows: int) -> None:
        self.generators: list[np.random.Generator | None] = [None] * num_rows
        self.words: list[Callable[[], int]] = [unseeded] * num_rows
        self.halves = np.zeros(num_rows, dtype=np.uint64)
        self.waiting = np.zeros(num_rows, dtype=np.bool_)
        # Rows whose generator somebody else may have drawn from: only it knows whether half a word is waiting.
        self.lent: set[int] = set()

    def seed(self, row: int, seed: int | None) -> None:
        """Start the stream of a row anew; None takes entropy from the system."""
        self.put(row, seeding.np_random(seed)[0])

    def put(self, row: int, generator: np.random.Generator) -> None:
        """Let a row go on with a generator."""
        self.generators[row] = generator
        self.words[row] = generator.bit_generator.random_raw
        self.lent.add(row)

    def seeded(self, row: int) -> bool:
        """True if the row has a generator."""
        return self.generators[row] is not None

    def generator(self, row: int) -> np.random.Generator:
        """The generator of a row, to draw from as one likes."""
        generator = self.generators[row]
        assert generator is not None, "a row is seeded before it is drawn from"
        if row not in self.lent:
            if self.waiting[row]:
                state: dict[str, Any] = dict(generator.bit_generator.state)
                state["has_uint32"], state["uinteger"] = 1, int(self.halves[row])
                generator.bit_generator.state = state
            self.lent.add(row)
        return generator

    def integers(self, rows: Sequence[int], bounds: Sequence[int]) -> npt.NDArray[np.int64]:
        """Draw one integer in 0..bound-1 for each bound, in each row.

        Args:
            rows: which rows, each once.
            bounds: n bounds, 2..2^32-1.

        Returns:
            [len(rows), n] integers.
        """
        self._take_back(rows)
        if len(rows) < SCALAR_ROWS:
            return np.array([self._draw(row, bounds) for row in rows], dtype=np.int64).reshape(len(rows), len(bounds))
        array = np.asarray(rows)
        waiting = self.waiting[array]
        if not waiting.any():
            return self._draw_many(array, bounds, waiting=False)
        drawn = np.empty((len(array), len(bounds)), dtype=np.int64)
        for kind in (False, True):
            picked = waiting == kind
            if picked.any():
                drawn[picked] = self._draw_many(array[picked], bounds, waiting=kind)
        return drawn

    def _take_back(self, rows: Sequence[int]) -> None:
        """Look whether half a word is waiting in the generators that were lent."""
        if not self.lent:
            return
        for row in self.lent.intersection(rows):
            generator = self.generators[row]
            assert generator is not None, "a row is seeded before it is drawn from"
            if not isinstance(generator.bit_generator, np.random.PCG64):
                raise UserError(f"row {row} needs a PCG64 generator, got {type(generator.bit_generator).__name__}")
            state: dict[str, Any] = dict(generator.bit_generator.state)
            self.waiting[row], self.halves[row] = bool(state["has_uint32"]), state["uinteger"]
            if state["has_uint32"]:
                generator.bit_generator.state = state | {"has_uint32": 0, "uinteger": 0}
            self.lent.remove(row)

    def _half(self, row: int) -> int:
        """The next half word of a row."""
        if self.waiting[row]:
            self.waiting[row] = False
            return int(self.halves[row])
        word = self.words[row]()
        self.halves[row], self.waiting[row] = word >> HALF_BITS, True
        return word & LOW_HALF

    def _draw(self, row: int, bounds: Sequence[int]) -> list[int]:
        """Draw in one row."""
        drawn = []
        for bound in bounds:
            product = self._half(row) * bound
            while product & LOW_HALF < (1 << HALF_BITS) % bound:
                product = self._half(row) * bound
            drawn.append(product >> HALF_BITS)
        return drawn

    def _draw_many(self, rows: npt.NDArray[np.intp], bounds: Sequence[int], *, waiting: bool) -> npt.NDArray[np.int64]:
        """Draw in rows that all have, or all lack, a waiting half."""
        count = (len(bounds) - waiting + 1) // 2
        takers = [self.words[row] for row in rows.tolist()]
        words = np.array([[take() for take in takers] for _ in range(count)], dtype=np.uint64).reshape(count, len(rows))
        halves = np.empty((waiting + 2 * count, len(rows)), dtype=np.uint64)
        if waiting:
            halves[0] = self.halves[rows]
        halves[waiting::2], halves[waiting + 1 :: 2] = words & LOW_HALF, words >> HALF_BITS
        limits = np.array(bounds, dtype=np.uint64)[:, None]
        products = halves[: len(bounds)] * limits
        drawn = (products >> HALF_BITS).T.astype(np.int64)
        self.waiting[rows] = len(halves) > len(bounds)
        if len(halves) > len(bounds):
            self.halves[rows] = halves[-1]
        biased = ((products & LOW_HALF) < (1 << HALF_BITS) % limits).any(axis=0)
        for place in np.flatnonzero(biased).tolist():
            drawn[place] = self._draw_again(int(rows[place]), bounds, halves[:, place].tolist())
        return drawn

    def _draw_again(self, row: int, bounds: Sequence[int], halves: list[int]) -> list[int]:
        """Draw in a row whose words were taken already; one is wasted, so that none is left over."""
        self.waiting[row] = False
        ahead = iter(halves)
        drawn = []
        for bound in bounds:
            threshold = (1 << HALF_BITS) % bound
            while True:
                half = next(ahead, None)
                product = (self._half(row) if half is None else half) * bound
                if product & LOW_HALF >= threshold:
                    break
            drawn.append(product >> HALF_BITS)
        return drawn


def unseeded() -> int:
    """The words of a row that has no generator yet."""
    raise AssertionError("a row is seeded before it is drawn from")
