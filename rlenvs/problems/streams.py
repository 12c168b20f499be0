"""The random generators of many environments, drawn from one by one or all at once.

Environment i of a vector form has a generator of its own, so that its episodes do not depend on the others. One call of
`numpy.random.Generator.integers` per row costs more than everything else about a small problem. `RowStreams.integers`
steps the generators of all rows together; what comes out, and the state that they are left in, are those of the calls
row by row.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.utils import seeding

from rlenvs.errors import UserError

HALF_BITS, WORD_BITS = 32, 64
LOW_HALF, WORD = (1 << HALF_BITS) - 1, (1 << WORD_BITS) - 1
MULTIPLIER = 0x2360ED051FC65DA44385DF649FCCF645
"""Of the 128-bit step of PCG64 (O'Neill, https://www.pcg-random.org)."""
HIGH_FACTOR, LOW_FACTOR = MULTIPLIER >> WORD_BITS, MULTIPLIER & WORD
SCALAR_ROWS = 12
"""Below this many rows plain Python is faster than array operations."""

Words = npt.NDArray[np.uint64]


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
        self.high, self.low, self.high_step, self.low_step, self.halves = np.zeros((5, num_rows), dtype=np.uint64)
        self.waiting = np.zeros(num_rows, dtype=np.bool_)
        # Rows whose state is in their generator, for somebody to draw from it; that of the others is in the arrays.
        self.lent: set[int] = set()

    def rewind_point(self) -> Callable[[], None]:
        """Remember where all streams stand; calling what is returned lets them go on from there."""
        names = ("high", "low", "high_step", "low_step", "halves", "waiting")
        arrays = {name: getattr(self, name).copy() for name in names}
        generators, lent = list(self.generators), set(self.lent)
        # A generator's own state only counts while it is lent.
        states = {row: self.generator(row).bit_generator.state for row in lent}

        def rewind() -> None:
            for name, array in arrays.items():
                getattr(self, name)[:] = array
            self.generators, self.lent = list(generators), set(lent)
            for row, state in states.items():
                self.generator(row).bit_generator.state = state

        return rewind

    def seed(self, row: int, seed: int | None) -> None:
        """Start the stream of a row anew; None takes entropy from the system."""
        self.put(row, seeding.np_random(seed)[0])

    def put(self, row: int, generator: np.random.Generator) -> None:
        """Let a row go on with a generator."""
        self.generators[row] = generator
        self.lent.add(row)

    def seeded(self, row: int) -> bool:
        """True if the row has a generator."""
        return self.generators[row] is not None

    def generator(self, row: int) -> np.random.Generator:
        """The generator of a row, to draw from as one likes."""
        generator = self.generators[row]
        assert generator is not None, "a row is seeded before it is drawn from"
        if row not in self.lent:
            step = int(self.high_step[row]) << WORD_BITS | int(self.low_step[row])
            generator.bit_generator.state = {
                "bit_generator": "PCG64",
                "state": {"state": self._state(row), "inc": step},
                "has_uint32": int(self.waiting[row]),
                "uinteger": int(self.halves[row]) if self.waiting[row] else 0,
            }
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
        """Read the states of generators that were lent."""
        for row in self.lent.intersection(rows) if self.lent else ():
            generator = self.generators[row]
            assert generator is not None, "a row is seeded before it is drawn from"
            if not isinstance(generator.bit_generator, np.random.PCG64):
                raise UserError(f"row {row} needs a PCG64 generator, got {type(generator.bit_generator).__name__}")
            state: Any = generator.bit_generator.state
            number, step = state["state"]["state"], state["state"]["inc"]
            self.high[row], self.low[row] = number >> WORD_BITS, number & WORD
            self.high_step[row], self.low_step[row] = step >> WORD_BITS, step & WORD
            self.waiting[row], self.halves[row] = bool(state["has_uint32"]), state["uinteger"]
            self.lent.remove(row)

    def _state(self, row: int) -> int:
        return int(self.high[row]) << WORD_BITS | int(self.low[row])

    def _half(self, row: int) -> int:
        """The next half word of a row."""
        if self.waiting[row]:
            self.waiting[row] = False
            return int(self.halves[row])
        step = int(self.high_step[row]) << WORD_BITS | int(self.low_step[row])
        state = self._state(row) * MULTIPLIER + step
        high, low = state >> WORD_BITS & WORD, state & WORD
        self.high[row], self.low[row] = high, low
        mixed, turn = high ^ low, high >> 58
        word = (mixed >> turn | mixed << (WORD_BITS - turn)) & WORD
        self.halves[row], self.waiting[row] = word >> HALF_BITS, True
        return word & LOW_HALF

    def _words(self, rows: npt.NDArray[np.intp]) -> Words:
        """[k] the next word of some rows: their 128-bit states stepped as pairs of words."""
        high, low = self.high[rows], self.low[rows]
        left, right = low >> HALF_BITS, low & LOW_HALF
        crossed, other = right * (LOW_FACTOR >> HALF_BITS), left * (LOW_FACTOR & LOW_HALF)
        carried = (right * (LOW_FACTOR & LOW_HALF) >> HALF_BITS) + (crossed & LOW_HALF) + (other & LOW_HALF)
        upper = left * (LOW_FACTOR >> HALF_BITS) + (crossed >> HALF_BITS) + (other >> HALF_BITS)
        product = low * LOW_FACTOR
        stepped = product + self.low_step[rows]
        high = upper + (carried >> HALF_BITS) + high * LOW_FACTOR + low * HIGH_FACTOR + self.high_step[rows]
        high += stepped < product
        self.high[rows], self.low[rows] = high, stepped
        mixed, turn = high ^ stepped, high >> 58
        words: Words = mixed >> turn | mixed << (-turn & (WORD_BITS - 1))
        return words

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
        words = np.empty((count, len(rows)), dtype=np.uint64)
        for place in range(count):
            words[place] = self._words(rows)
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
