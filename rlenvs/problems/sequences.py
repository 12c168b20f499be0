"""Sequences to copy or to reverse: the smallest task in which a policy must look back at its prompt."""

import itertools
import random
import string
from collections.abc import Iterator
from functools import partial
from typing import Literal

from rlenvs.errors import ParameterError, UserError
from rlenvs.problems.arithmetic import ENUMERATION_LIMIT
from rlenvs.problems.checks import check_choice, check_int, check_split, seeded
from rlenvs.problems.problem import Problem, Split, split_of
from rlenvs.problems.procedural import Draft, ProceduralSource, Statement

Order = Literal["same", "reversed", "both"]

SIGNS = {"same": ">", "reversed": "<"}
"""What ends a prompt and says in which order its symbols are asked for."""
SYMBOLS = string.ascii_lowercase + string.digits
"""One case only: exact texts are graded without it."""
LONGEST = 64


class SequenceSource(ProceduralSource):
    """Sequences of symbols, asked for as they stand (`bdac>` is answered `bdac`) or reversed (`bdac<`: `cadb`).

    Lengths are uniform in `min_length..max_length`, symbols uniform and independent. A sequence and its mirror image
    always share a split, in either order.

    `difficulty` is the length divided by `max_length`, halved for a copy: what comes next stands in a fixed distance
    there, and has to be counted out in reverse.

    Args:
        symbols: what sequences are made of, 2..36 different lower-case letters and digits.
        min_length: fewest symbols, 1..64.
        max_length: most symbols, 1..64.
        order: "same", "reversed", or "both" with equal chance.
        held_out_fraction: share of the problems kept from training, in [0, 1].

    Raises:
        ParameterError: a parameter out of range.

    Example:
        >>> import numpy as np
        >>> problem = SequenceSource().sample(np.random.default_rng(0), "train")
        >>> problem.prompt, problem.demonstration
        ('fgag<', 'gagf')
    """

    name = "sequences"

    def __init__(
        self,
        symbols: str = "abcdefgh",
        min_length: int = 4,
        max_length: int = 4,
        order: Order = "reversed",
        held_out_fraction: float = 0.1,
    ) -> None:
        super().__init__(held_out_fraction)
        known = isinstance(symbols, str) and set(symbols) <= set(SYMBOLS)
        if not known or len(symbols) < 2 or len(set(symbols)) != len(symbols):
            raise ParameterError(
                "symbols", f"must be at least two different lower-case letters or digits, got {symbols!r}"
            )
        self.symbols = symbols
        self.min_length = check_int("min_length", min_length, 1, LONGEST)
        self.max_length = check_int("max_length", max_length, 1, LONGEST)
        if min_length > max_length:
            raise ParameterError("min_length", f"must be <= max_length={max_length}, got {min_length}")
        self.order = check_choice("order", order, (*SIGNS, "both"))
        self.orders = tuple(SIGNS) if order == "both" else (order,)

    @property
    def size(self) -> int:
        """How many different problems the parameters allow, both splits together."""
        lengths = range(self.min_length, self.max_length + 1)
        return len(self.orders) * sum(int(len(self.symbols) ** length) for length in lengths)

    @property
    def max_prompt_chars(self) -> int:
        """Length of the longest prompt."""
        return self.max_length + 1

    @property
    def max_demonstration_chars(self) -> int:
        """Length of the longest answer."""
        return self.max_length

    @property
    def alphabet(self) -> str:  # type: ignore[override]  # of a procedural source it is that of any text
        """Every character of any prompt or answer, sorted; what a character tokenizer needs."""
        return "".join(sorted({*self.symbols, *(SIGNS[order] for order in self.orders)}))

    def problems(self, split: Split, limit: int | None = None, seed: int = 0) -> list[Problem]:
        """List problems of a split; more than `ENUMERATION_LIMIT` in all are not listed without a limit."""
        check_split(split)
        if limit is not None:
            check_int("limit", limit, 1, 10**9)
        rng = seeded(seed)
        if self.size > ENUMERATION_LIMIT:
            return super().problems(split, limit, seed)
        drafts = [draft for draft in self._drafts() if split_of(draft.key, self.held_out_fraction) == split]
        if not drafts:
            raise UserError(f"the {split} split of {self} is empty: change held_out_fraction, or allow more symbols")
        if limit is not None and limit < len(drafts):
            drafts = [drafts[pick] for pick in sorted(rng.permutation(len(drafts))[:limit].tolist())]
        return [self._problem(draft, split) for draft in drafts]

    def draft(self, dice: random.Random) -> Draft:
        """Draw a sequence and its order."""
        length = dice.randint(self.min_length, self.max_length)
        sequence = "".join(dice.choices(self.symbols, k=length))
        order = dice.choice(self.orders)
        return self._draft(sequence, order)

    def _drafts(self) -> Iterator[Draft]:
        """All there are."""
        for length in range(self.min_length, self.max_length + 1):
            for symbols in itertools.product(self.symbols, repeat=length):
                for order in self.orders:
                    yield self._draft("".join(symbols), order)

    def _draft(self, sequence: str, order: str) -> Draft:
        return Draft(min(sequence, sequence[::-1]), partial(self._state, sequence, order))

    def _state(self, sequence: str, order: str) -> Statement:
        prompt = sequence + SIGNS[order]
        gold = sequence if order == "same" else sequence[::-1]
        task = {"type": "qa_exact", "question": prompt, "gold": gold, "extract": "whole"}
        share = len(sequence) / self.max_length
        return Statement(prompt, task, gold, share if order == "reversed" else share / 2)

    def __repr__(self) -> str:
        return (
            f"SequenceSource(symbols={self.symbols!r}, min_length={self.min_length}, max_length={self.max_length}, "
            f"order={self.order!r}, held_out_fraction={self.held_out_fraction})"
        )
