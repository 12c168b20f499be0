"""The engine for any architecture: `model.generate` of transformers, with our own sampling inside."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.engines.protocol import Completion, Finish, SamplingParams, params_of_each
from rlenvs.agents.llm.engines.sampling import pick, row_seeds, uniform_at
from rlenvs.agents.llm.engines.stopping import finish_of
from rlenvs.agents.llm.policy.adapters import base_of
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import EngineError

logger = logging.getLogger(__name__)

Request = tuple[Sequence[int], SamplingParams]


class GenerateEngine:
    """Samples with `model.generate`.

    It is slow (every row is computed until the last one of its batch ends) and works with every causal language
    model of transformers. The other engines are tested against it.

    Args:
        policy: the model; its weights are read live.
        batch_size: prompts processed at once, >= 1. Halved where memory runs out.
    """

    name = "generate"

    def __init__(self, policy: Policy, batch_size: int = 64) -> None:
        self.policy = policy
        self.batch_size = batch_size

    @torch.no_grad()
    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        params: Sequence[SamplingParams] | SamplingParams,
        generator: torch.Generator,
    ) -> list[Completion]:
        """Sample one completion for each prompt; see `Engine.generate`."""
        each = params_of_each(prompts, params, self.policy.model.get_input_embeddings().weight.shape[0])
        if not prompts:
            return []
        seeds = row_seeds(len(prompts), generator).to(self.policy.device)
        # Prompts of like length together: less padding.
        waiting = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        completions: dict[int, Completion] = {}
        while waiting:
            rows = waiting[: self.batch_size]
            try:
                batch = _generate_batch(self.policy, [(prompts[row], each[row]) for row in rows], seeds[rows])
            except (RuntimeError, ValueError, LookupError, TypeError) as error:  # what a model's code raises
                if isinstance(error, EngineError):
                    raise
                if not isinstance(error, torch.OutOfMemoryError) or len(rows) == 1:
                    raise EngineError(f"engine 'generate' failed on {len(rows)} prompts: {error}") from error
            else:
                completions.update(zip(rows, batch, strict=True))
                waiting = waiting[len(rows) :]
                continue
            # Every row has its own stream: the smaller batches sample what the large one would have.
            self.batch_size = len(rows) // 2
            logger.warning("engine 'generate' ran out of memory; it goes on with batches of %d", self.batch_size)
        return [completions[row] for row in range(len(prompts))]

    def sync(self, policy: Policy) -> None:
        """Take the policy; its weights are read live."""
        self.policy = policy

    def close(self) -> None:
        """Nothing is held."""


class _Sampler:
    """A logits processor that samples: it leaves one finite score, which greedy search then takes."""

    def __init__(self, requests: Sequence[Request], seeds_B: Tensor) -> None:
        temperatures = [params.temperature for _, params in requests]
        self.temperature_B = torch.tensor(temperatures, device=seeds_B.device)
        self.seeds_B = seeds_B
        self.greedy = 0.0 in temperatures
        self.logprobs: list[Tensor] = []
        self.entropies: list[Tensor] = []

    def __call__(self, _ids_BL: Tensor, scores_BV: Tensor) -> Tensor:
        uniform_B = uniform_at(self.seeds_B, torch.full_like(self.seeds_B, len(self.logprobs)))
        token_B, logprob_B, entropy_B = pick(scores_BV, self.temperature_B, uniform_B, self.greedy)
        self.logprobs.append(logprob_B)
        self.entropies.append(entropy_B)
        return torch.full_like(scores_BV, -torch.inf).scatter_(1, token_B[:, None], 0.0)


class _Stopper:
    """A stopping criterion that knows every row's own parameters, and keeps what each row sampled."""

    def __init__(self, policy: Policy, requests: Sequence[Request]) -> None:
        self.policy = policy
        self.requests = requests
        self.ids: list[list[int]] = [[] for _ in requests]
        self.finish: list[Finish | None] = [None] * len(requests)

    def __call__(self, ids_BL: Tensor, _scores: Any, **_: Any) -> Tensor:
        for row, token in enumerate(ids_BL[:, -1].tolist()):
            if self.finish[row] is None:
                self.ids[row].append(token)
                params = self.requests[row][1]
                self.finish[row] = finish_of(self.ids[row], params, self.policy.eos_ids, self.policy.tokenizer)
        return torch.tensor([finish is not None for finish in self.finish], device=ids_BL.device)


def _generate_batch(policy: Policy, requests: Sequence[Request], seeds_B: Tensor) -> list[Completion]:
    from transformers import LogitsProcessorList, StoppingCriteriaList

    ids_BL, attention_BL = _left_pad([prompt for prompt, _ in requests], policy.pad_id, policy.device)
    sampler, stopper = _Sampler(requests, seeds_B), _Stopper(policy, requests)
    model = base_of(policy.model)
    with _neutral_generation_config(model, policy.pad_id):
        model.generate(
            input_ids=ids_BL,
            attention_mask=attention_BL,
            max_new_tokens=max(params.max_new_tokens for _, params in requests),
            logits_processor=LogitsProcessorList([sampler]),
            stopping_criteria=StoppingCriteriaList([stopper]),
            synced_gpus=False,  # processes sample by themselves, also where transformers finds a model in shares
        )
    logprobs_BT, entropies_BT = (torch.stack(found, dim=1) for found in (sampler.logprobs, sampler.entropies))
    if not bool(logprobs_BT.isfinite().all()):
        raise EngineError("engine 'generate': the model's logits are not finite")
    return [
        Completion(ids, logprobs[: len(ids)], finish or "length", entropies=entropies[: len(ids)])
        for ids, logprobs, entropies, finish in zip(
            stopper.ids, logprobs_BT.tolist(), entropies_BT.tolist(), stopper.finish, strict=True
        )
    ]


@contextmanager
def _neutral_generation_config(model: Any, pad_id: int) -> Iterator[None]:
    """For a while, take away the model's own sampling defaults.

    Chat models ship top-k, top-p or repetition penalties in `generation_config`, and `generate` fills every argument
    that is None from there. What would be sampled is then not the policy whose log-probabilities are trained.
    """
    from transformers import GenerationConfig

    before = model.generation_config
    model.generation_config = GenerationConfig(do_sample=False, pad_token_id=pad_id, bos_token_id=before.bos_token_id)
    try:
        yield
    finally:
        model.generation_config = before


def _left_pad(prompts: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids `[B, L]` and attention `[B, L]` (0 on padding), both int64."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        attention[row, longest - len(prompt) :] = 1
    return ids.to(device), attention.to(device)
