"""One decoding step with its sampling, on tensors that stay where they are, so that a GPU can replay it.

On a GPU the step is recorded once per size as a CUDA graph: launching the thousand kernels of a step one by one takes
longer than running them. Elsewhere it just runs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.engines.decoder import Decoder
from rlenvs.agents.llm.engines.sampling import pick, uniform_at

# A graph per number of rows would be recorded for every row that ends.
GRAPH_ROWS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
WARM_UPS = 2


@dataclass(frozen=True)
class RowState:
    """What the device has to know of a row.

    Attributes:
        token: its newest token.
        position: where that stands.
        count: tokens sampled so far.
        going: 1, or 0 for a row that repeats a step without effect.
        temperature: divides the logits.
        seed: of its stream.
    """

    token: int
    position: int
    count: int
    going: int
    temperature: float
    seed: int


class Stepper:
    """Advances the first rows of a decoder by one token at a time.

    Args:
        decoder: computes logits.
        graphs: record CUDA graphs.
        critic: values `[B]` of features `[B, D]`; None where they are not known here.
    """

    def __init__(self, decoder: Decoder, graphs: bool, critic: Callable[[Tensor], Tensor] | None = None) -> None:
        self.decoder = decoder
        self.graphs = graphs
        self.critic = critic
        self.rows = 0
        self.greedy = False
        self._recorded: dict[tuple[int, int, int, bool], Any] = {}
        self._pool: Any = None
        self._allocate(0)

    def padded(self, rows: int, slots: int) -> int:
        """Return the number of rows that a step for `rows` rows computes, at most `slots`."""
        if not self.graphs:
            return rows
        return min(next((size for size in GRAPH_ROWS if size >= rows), rows), slots)

    def load(self, rows: Sequence[RowState]) -> None:
        """Say what the rows are."""
        if len(rows) > self.token.shape[0]:
            self._allocate(len(rows))
        self.rows = len(rows)
        self.greedy = any(row.temperature == 0 for row in rows)
        for name in ("token", "position", "count", "going", "temperature", "seed"):
            tensor = getattr(self, name)
            values = torch.tensor([getattr(row, name) for row in rows], dtype=tensor.dtype)
            tensor[: self.rows].copy_(values)

    def hold(self, going: Sequence[int]) -> None:
        """Say which rows go on."""
        self.going[: self.rows].copy_(torch.tensor(going))

    def step(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Sample one token per row.

        Returns:
            Tokens, log-probabilities, entropies and values, each `[rows]`, overwritten by the next step.
        """
        if not self.graphs:
            self._advance()
        else:
            cache = self.decoder.cache
            key = (self.rows, cache.slots, cache.positions, self.greedy)
            if key not in self._recorded:
                self._recorded[key] = self._record()
            self._recorded[key].replay()
        n = self.rows
        return self.token[:n], self.logprob[:n], self.entropy[:n], self.value[:n]

    def values(self, features_BD: Tensor) -> Tensor:
        """Return V `[B]` of the states with these features; zeros where there is no critic here."""
        if self.critic is None:
            return torch.zeros(len(features_BD), device=features_BD.device)
        with torch.autocast(features_BD.device.type, enabled=False):  # values are float32, whatever the policy is
            return self.critic(features_BD)

    def forget(self) -> None:
        """Drop recorded graphs: memory that they point to has moved, or another path through the model is taken."""
        self._recorded.clear()
        self._pool = None

    def _advance(self) -> None:
        n = self.rows
        logits_BV, features_BD = self.decoder.step(self.token[:n], self.position[:n])
        uniform_B = uniform_at(self.seed[:n], self.count[:n])
        token_B, logprob_B, entropy_B = pick(logits_BV, self.temperature[:n], uniform_B, self.greedy)
        self.token[:n].copy_(token_B)
        self.logprob[:n].copy_(logprob_B)
        self.entropy[:n].copy_(entropy_B)
        if self.critic is not None:
            self.value[:n].copy_(self.values(features_BD))
        self.position[:n] += self.going[:n]
        self.count[:n] += self.going[:n]

    def _record(self) -> Any:
        """Record a graph. The steps that warm it up change the rows, which are then put back."""
        names = ("token", "position", "count")
        before = [getattr(self, name).clone() for name in names]

        def put_back() -> None:
            for name, values in zip(names, before, strict=True):
                getattr(self, name).copy_(values)

        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._advance()
                put_back()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        if self._pool is None:
            self._pool = torch.cuda.graph_pool_handle()
        # One pool for all: they run one after the other, and what they compute is copied out at their end.
        with torch.cuda.graph(graph, pool=self._pool):
            self._advance()
        return graph

    def _allocate(self, rows: int) -> None:
        device = self.decoder.cache.device
        self.token, self.position, self.count, self.going, self.seed = (
            torch.zeros(rows, dtype=torch.long, device=device) for _ in range(5)
        )
        self.temperature = torch.ones(rows, device=device)
        self.logprob, self.entropy, self.value = (torch.zeros(rows, device=device) for _ in range(3))
        self.forget()
