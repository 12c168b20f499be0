"""One call of the static engine: which rows are decoded in which slots, until all have ended."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from rlenvs.agents.llm.engines.prefixes import match_prefixes
from rlenvs.agents.llm.engines.protocol import Finish, SamplingParams
from rlenvs.agents.llm.engines.sampling import pick, uniform_at
from rlenvs.agents.llm.engines.stepper import RowState
from rlenvs.agents.llm.engines.stopping import finish_of
from rlenvs.errors import EngineError

if TYPE_CHECKING:
    from rlenvs.agents.llm.engines.static import StaticEngine

POSITION_STEP = 32  # positions by which the part of the cache that attention reads grows
GPU_POSITION_STEP = 256  # the same where every size has a recorded graph
ROOM = 3  # positions beyond the last token: rows that have ended, or that fill up a size, write there
COMPACT_SHARE = 0.125  # of the rows of a step that may have ended before the others are moved together
PREFILL_TOKENS = 8192  # tokens read at once, padding included


@dataclass
class Row:
    """One prompt on its way."""

    prompt: Sequence[int]
    params: SamplingParams
    seed: int
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    entropies: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    finish: Finish | None = None

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are in the cache: all but the newest."""
        return len(self.prompt) + len(self.ids) - 1

    def held(self) -> list[int]:
        """Those tokens."""
        return [*self.prompt, *self.ids][: self.computed]


class _Sampled:
    """What a step sampled, on its way to the host."""

    def __init__(self, *tensors: Tensor) -> None:
        # The copies are ordered before the next step: the device's own tensors are overwritten by it.
        self.tensors = [_to_host(tensor) for tensor in tensors]
        self.arrived = None
        if tensors[0].is_cuda:
            self.arrived = torch.cuda.Event()
            self.arrived.record()

    def lists(self, rows: int) -> list[list[Any]]:
        """Wait for the first rows: tokens, log-probabilities, entropies, values."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return [tensor[:rows].tolist() for tensor in self.tensors]


def _to_host(tensor: Tensor) -> Tensor:
    if not tensor.is_cuda:
        return tensor.clone()
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)


class Call:
    """One call of `generate`: the first `len(live)` slots are those that are decoded."""

    def __init__(self, engine: "StaticEngine", rows: list[Row]) -> None:
        self.engine = engine
        self.cache = engine.cache
        self.decoder = engine.decoder
        self.stepper = engine.stepper
        self.held = engine.held
        self.pending: _Sampled | None = None
        self.slots = min(engine.batch_size, len(rows))
        # The longest wait last: prompts of like length are read together.
        self.waiting = deque(sorted(rows, key=lambda row: len(row.prompt)))
        self.live: list[Row] = []
        self.longest = ROOM + max(len(row.prompt) + row.params.max_new_tokens for row in rows)

    def run(self) -> None:
        """Decode until every row has ended."""
        self._first_rows()
        while self.live or self.waiting:
            ended = sum(row.finish is not None for row in self.live)
            if ended >= max(1.0, COMPACT_SHARE * len(self.live)):
                self._collect()
                self._compact()
                self._admit([self.waiting.popleft() for _ in range(self._vacant())])
                self._upload()
            else:
                self._decode()

    def _vacant(self) -> int:
        return min(self.slots - len(self.live), len(self.waiting))

    def _first_rows(self) -> None:
        """Continue what the slots still hold where that is possible; start the others afresh."""
        cache = self.cache
        waiting = list(self.waiting)
        matches = match_prefixes([row.prompt for row in waiting], self.held)
        matched = [(waiting[place], slot) for place, slot in matches.items()][: self.slots]
        moved = cache.reserve(self.slots, self._rounded(self.longest))
        kept = max((len(self.held[slot]) for _, slot in matched), default=0)
        # The slots that go on are moved to the front, in the order of their rows.
        used = {slot for _, slot in matched}
        front = range(len(matched))
        outside = sorted(slot for slot in used if slot >= len(matched))
        free = [slot for slot in front if slot not in used]
        cache.swap(outside, free[: len(outside)], kept)
        new_slot = dict(zip(outside, free, strict=False))
        starts = {new_slot.get(slot, slot): (row, len(self.held[slot])) for row, slot in matched}
        cache.layout(self.slots, self._rounded(max(kept, 1)))
        self.held.clear()
        if self.decoder.cover(self._rounded(self.longest)) or moved:
            self.stepper.forget()
        chosen = {id(row) for row, _ in matched}
        self.waiting = deque(row for row in waiting if id(row) not in chosen)
        if matched:
            self.live = [starts[slot][0] for slot in front]
            self._read(self.live, list(front), [starts[slot][1] for slot in front])
        self._admit([self.waiting.popleft() for _ in range(self._vacant())])
        self._upload()

    def _admit(self, rows: list[Row]) -> None:
        """Read the prompts of new rows into the slots after the live ones; equal prompts are read once."""
        if rows:
            first = len(self.live)
            self.live += rows
            self._read(rows, list(range(first, first + len(rows))), [0] * len(rows))

    def _read(self, rows: list[Row], slots: list[int], starts: list[int]) -> None:
        self._make_room(max(len(row.prompt) for row in rows))
        readers: dict[tuple[int, ...], list[int]] = {}
        for place, (row, start) in enumerate(zip(rows, starts, strict=True)):
            # What another slot already holds cannot be shared between rows: its history may differ.
            key = (-1 - place,) if start else tuple(row.prompt)
            readers.setdefault(key, []).append(place)
        places = sorted((members[0] for members in readers.values()), key=lambda p: len(rows[p].prompt) - starts[p])
        members_of = {members[0]: members for members in readers.values()}
        for batch in _batches(places, [len(row.prompt) - start for row, start in zip(rows, starts, strict=True)]):
            new = [rows[p].prompt[starts[p] :] for p in batch]
            logits_BV, features_BD = self.decoder.extend(new, [slots[p] for p in batch], [starts[p] for p in batch])
            sharing = [(place, source) for source, p in enumerate(batch) for place in members_of[p]]
            copies = [(slots[batch[source]], slots[place]) for place, source in sharing if place != batch[source]]
            self.cache.copy([a for a, _ in copies], [b for _, b in copies], max(len(rows[p].prompt) for p in batch))
            targets = [rows[place] for place, _ in sharing]
            sources = [source for _, source in sharing]
            self._sample(logits_BV[sources], self.stepper.values(features_BD)[sources], targets)

    def _sample(self, logits_BV: Tensor, values_B: Tensor, rows: list[Row]) -> None:
        """Choose the first token of rows."""
        device = self.cache.device
        temperature_B = torch.tensor([row.params.temperature for row in rows], device=device)
        uniform_B = uniform_at(torch.tensor([row.seed for row in rows], device=device), torch.tensor(0, device=device))
        greedy = any(row.params.temperature == 0 for row in rows)
        found = pick(logits_BV, temperature_B, uniform_B, greedy)
        self._take(rows, *(tensor.tolist() for tensor in (*found, values_B)))

    def _upload(self) -> None:
        """Tell the device what the live rows are."""
        states = [
            RowState(r.ids[-1], r.computed, len(r.ids), int(r.finish is None), r.params.temperature, r.seed)
            for r in self.live
        ]
        # Rows that only fill up a size write beyond what their slot holds, so that it stays usable.
        for slot in range(len(states), self.stepper.padded(len(states), self.slots)):
            states.append(RowState(0, len(self.held.get(slot, ())), 0, 0, 1.0, 0))
        self.stepper.load(states)

    def _decode(self) -> None:
        """Sample one more token of every live row. Rows that have ended repeat a step, beyond what they hold."""
        ahead = 2 if self.engine.lookahead else 1
        self._make_room(1 + ahead + max(row.computed for row in self.live))
        sampled: _Sampled | None = _Sampled(*self.stepper.step())
        if self.engine.lookahead:
            # While the device computes this step, the one before is looked at.
            sampled, self.pending = self.pending, sampled
        if sampled is not None:
            self._collect(sampled)

    def _collect(self, sampled: "_Sampled | None" = None) -> None:
        """Take what was sampled in a step; without one, what is still on its way."""
        if sampled is None:
            sampled, self.pending = self.pending, None
        if sampled is None:
            return
        before = sum(row.finish is None for row in self.live)
        self._take(self.live, *sampled.lists(len(self.live)))
        going = [int(row.finish is None) for row in self.live]
        if sum(going) < before:
            self.stepper.hold([*going, *[0] * (self.stepper.rows - len(going))])

    def _take(
        self, rows: list[Row], tokens: list[int], logprobs: list[float], entropies: list[float], values: list[float]
    ) -> None:
        policy = self.engine.policy
        for row, token, logprob, entropy, value in zip(rows, tokens, logprobs, entropies, values, strict=True):
            if row.finish is not None:
                continue
            if not math.isfinite(logprob):
                raise EngineError("engine 'static': the model's logits are not finite")
            row.ids.append(token)
            row.logprobs.append(logprob)
            row.entropies.append(entropy)
            row.values.append(value)
            row.finish = finish_of(row.ids, row.params, policy.eos_ids, policy.tokenizer)

    def _make_room(self, positions: int) -> None:
        if positions > self.cache.positions:
            self.cache.layout(self.slots, self._rounded(positions))

    def _rounded(self, positions: int) -> int:
        step = GPU_POSITION_STEP if self.engine.stepper.graphs else POSITION_STEP
        return -(-positions // step) * step

    def _compact(self) -> None:
        """Move the rows that go on to the front; what the others held goes behind them."""
        going = [place for place, row in enumerate(self.live) if row.finish is None]
        late = [place for place in going if place >= len(going)]
        holes = [place for place in range(len(going)) if self.live[place].finish is not None]
        for hole, place in zip(holes, late, strict=True):
            self.live[hole], self.live[place] = self.live[place], self.live[hole]
        longest = max((row.computed for row in self.live), default=0)
        self.cache.swap(late, holes, longest)
        for place in range(len(going), len(self.live)):
            self.held[place] = self.live[place].held()
        del self.live[len(going) :]


def _batches(places: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut rows, sorted by length, into batches of bounded size."""
    batches: list[list[int]] = []
    for place in places:
        if batches and (len(batches[-1]) + 1) * lengths[place] <= PREFILL_TOKENS:
            batches[-1].append(place)
        else:
            batches.append([place])
    return batches
