"""The engine for Llama-shaped models: a hand-written decoder over a preallocated cache.

What it does beside the arithmetic of `decoder`: rows that end make room at once (they are compacted away, and waiting
prompts take their place), prompts that several rows share are read once, and a prompt that continues what a slot still
holds (the next turn of a conversation) reads only its new tokens.
"""

import copy
import logging
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from rlenvs.agents.llm.engines.architecture import adapter_state, read
from rlenvs.agents.llm.engines.decoder import Decoder, check
from rlenvs.agents.llm.engines.kv_cache import KVCache
from rlenvs.agents.llm.engines.protocol import Completion, SamplingParams, params_of_each
from rlenvs.agents.llm.engines.sampling import row_seeds
from rlenvs.agents.llm.engines.scheduling import Call, Row
from rlenvs.agents.llm.engines.stepper import Stepper
from rlenvs.agents.llm.policy.adapters import base_of
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import EngineError

logger = logging.getLogger(__name__)


class StaticEngine:
    """Samples with a decoder of its own from Llama-, Mistral-, Qwen2- and Qwen3-shaped models, adapters included.

    Args:
        policy: the model; its weights are read live.
        batch_size: rows decoded at once, >= 1. Halved where memory runs out.
        dtype: decode in this type (float32 weights are trained well and decoded slowly): with a copy of the model, or,
            on a CPU and where all weights are trained, by autocast, which is what a trainer's passes under autocast
            compute. None decodes with the weights themselves.
        reuse_prefixes: keep keys and values between calls while the weights stay the same. Saves reading a
            conversation again at every turn.
        compiled: compile the layers with `torch.compile`. Pays in long runs on a GPU; each new size of the batch takes
            seconds.
        lookahead: look at a step's tokens while the device computes the next one; None does so on a GPU. Changes no
            sample.

    Raises:
        UnsupportedModelError: the model has another shape; the `generate` engine takes it.
    """

    name = "static"

    def __init__(
        self,
        policy: Policy,
        batch_size: int = 64,
        dtype: torch.dtype | None = None,
        reuse_prefixes: bool = True,
        compiled: bool = False,
        lookahead: bool | None = None,
    ) -> None:
        self.batch_size = batch_size
        self.dtype = dtype
        self.reuse_prefixes = reuse_prefixes
        self.compiled = compiled
        self.lookahead = policy.device.type == "cuda" if lookahead is None else lookahead
        self._attach(policy)

    def sync(self, policy: Policy) -> None:
        """Take the policy's model; keys and values of its former weights are forgotten."""
        if policy is not self.policy:
            self._attach(policy)
        self.held.clear()

    def close(self) -> None:
        """Give the cache back; the next call allocates it again."""
        self.held.clear()
        self.stepper.forget()
        self.cache.free()

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams] | SamplingParams,
        generator: torch.Generator,
    ) -> list[Completion]:
        """Sample one completion for each prompt; see `Engine.generate`."""
        each = params_of_each(prompts, params, self.parts.vocabulary)
        if not prompts:
            return []
        seeds = row_seeds(len(prompts), generator).tolist()
        while True:
            rows = [Row(prompt, one, seed) for prompt, one, seed in zip(prompts, each, seeds, strict=True)]
            try:
                self._refresh()
                with self._precision():
                    Call(self, rows).run()
                valued = self.stepper.critic is not None
                return [
                    Completion(
                        r.ids, r.logprobs, r.finish or "length", r.values if valued else None, entropies=r.entropies
                    )
                    for r in rows
                ]
            except (RuntimeError, ValueError, LookupError, TypeError) as error:  # what a model's code and torch raise
                self.close()
                if isinstance(error, EngineError):
                    raise
                if not isinstance(error, torch.OutOfMemoryError) or min(self.batch_size, len(rows)) == 1:
                    raise EngineError(f"engine 'static' failed on {len(prompts)} prompts: {error}") from error
            # Every row has its own stream: the smaller batches sample what the large one would have.
            self.batch_size = min(self.batch_size, len(rows)) // 2
            logger.warning("engine 'static' ran out of memory; it goes on with batches of %d", self.batch_size)

    def _attach(self, policy: Policy) -> None:
        read(policy.model)  # before a copy of a model that cannot be used is made
        self.policy = policy
        self._mixed = self.dtype is not None and _casts_once(policy)
        copied = self.dtype is not None and not self._mixed
        self._shadow = copy.deepcopy(policy.model).to(self.dtype).eval() if copied else None
        self.parts = read(policy.model if self._shadow is None else self._shadow)
        self.held: dict[int, list[int]] = {}
        self._weights = _fingerprint(policy)
        with self._precision():
            dtype, device = check(base_of(policy.model if self._shadow is None else self._shadow), self.parts)
        self.cache = KVCache(len(self.parts.layers), self.parts.kv_heads, self.parts.head_dim, dtype, device)
        between = policy.model.dtype if self._mixed else None
        self.decoder = Decoder(self.parts, self.cache, self.compiled, between)
        # A copy in another type has other features, and a critic with a trunk of its own others still.
        critic = policy.critic.values if self._shadow is None and not policy.critic.has_own_pass else None
        self.stepper = Stepper(self.decoder, device.type == "cuda", critic)

    def _precision(self) -> torch.autocast:
        """Take autocast's type or none, whatever is in force outside."""
        return torch.autocast(self.policy.device.type, dtype=self.dtype, enabled=self._mixed)

    def _refresh(self) -> None:
        """See whether the weights changed since the last call."""
        fingerprint = _fingerprint(self.policy)
        if fingerprint != self._weights or not self.reuse_prefixes:
            self.held.clear()
        if fingerprint.places != self._weights.places:
            self.stepper.forget()
        if fingerprint != self._weights and self._shadow is not None:
            theirs = dict(self.policy.model.named_parameters())  # by name: there may be more adapters by now
            for name, ours in self._shadow.named_parameters():
                ours.copy_(theirs[name])
        self._weights = fingerprint


@dataclass(frozen=True)
class _Fingerprint:
    """Tells whether weights changed, without looking at a number.

    Attributes:
        places: where the weights are, and which adapters are in use.
        versions: counters of changes in place.
    """

    places: Hashable
    versions: tuple[int, ...]


def _casts_once(policy: Policy) -> bool:
    """Whether autocast casts the weights once per call: it remembers only weights that are trained."""
    return policy.device.type == "cpu" and all(parameter.requires_grad for parameter in policy.model.parameters())


def _fingerprint(policy: Policy) -> _Fingerprint:
    parameters = [*policy.model.parameters(), *policy.critic.parameters()]
    places = (tuple(parameter.data_ptr() for parameter in parameters), adapter_state(policy.model))
    return _Fingerprint(places, tuple(parameter._version for parameter in parameters))
