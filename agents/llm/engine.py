"""Batched sampling from a policy. Token ids in, token ids out; nothing is decoded or encoded here."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rlenvs.agents.llm.engines.protocol import Completion, SamplingParams
from rlenvs.agents.llm.policy.model import Policy

__all__ = ["Completion", "SamplingParams", "generate"]


@torch.no_grad()
def generate(
    policy: Policy,
    prompts: Sequence[Sequence[int]],
    params: SamplingParams,
    generator: torch.Generator,
    batch_size: int,
) -> list[Completion]:
    """Sample one completion for each prompt.

    Args:
        policy: the model; its key-value cache is used, so a step costs one token per sequence.
        prompts: N lists of token ids, none empty.
        params: how to sample.
        generator: source of randomness, on the policy's device.
        batch_size: prompts processed at once.

    Returns:
        N completions in the order of the prompts.
    """
    # Prompts of like length together: less padding. The sort is stable, so the order of sampling is reproducible.
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    completions: dict[int, Completion] = {}
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        batch = _generate_batch(policy, [prompts[i] for i in rows], params, generator)
        completions.update(zip(rows, batch, strict=True))
    return [completions[i] for i in range(len(prompts))]


def _generate_batch(
    policy: Policy, prompts: list[Sequence[int]], params: SamplingParams, generator: torch.Generator
) -> list[Completion]:
    ids_BL, attention_BL = _left_pad(prompts, policy.pad_id, policy.device)
    finished_B = torch.zeros(len(prompts), dtype=torch.bool, device=policy.device)
    closing = torch.tensor(policy.eos_ids, device=policy.device)
    tokens, logprobs, live, cache = [], [], [], None
    step_ids_BL = ids_BL
    for _ in range(params.max_new_tokens):
        inputs: dict[str, Any] = {"input_ids": step_ids_BL, "attention_mask": attention_BL, "past_key_values": cache}
        if "logits_to_keep" in policy.forward_arguments:
            inputs["logits_to_keep"] = 1
        if "position_ids" in policy.forward_arguments:
            # Left padding must not shift positions: the first real token is at position 0 in every row.
            positions_BL = (attention_BL.cumsum(dim=1) - 1).clamp(min=0)
            inputs["position_ids"] = positions_BL[:, -step_ids_BL.shape[1] :]
        output = policy.model(**inputs, use_cache=True)
        cache = output.past_key_values
        token_B, logprob_B = _sample(output.logits[:, -1].float(), params.temperature, generator)
        token_B = torch.where(finished_B, policy.pad_id, token_B)
        tokens.append(token_B)
        logprobs.append(logprob_B)
        live.append(~finished_B)
        finished_B = finished_B | torch.isin(token_B, closing)
        if bool(finished_B.all()):
            break
        attention_BL = torch.cat([attention_BL, attention_BL.new_ones(len(prompts), 1)], dim=1)
        step_ids_BL = token_B[:, None]
    return _completions(torch.stack(tokens, 1), torch.stack(logprobs, 1), torch.stack(live, 1), finished_B)


def _left_pad(prompts: list[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return ids `[B, L]` and attention `[B, L]` (0 on padding), both int64."""
    longest = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), longest), pad_id, dtype=torch.long)
    attention = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt, dtype=torch.long)
        attention[row, longest - len(prompt) :] = 1
    return ids.to(device), attention.to(device)


def _sample(logits_BV: Tensor, temperature: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return one token per row and its log-probability."""
    if temperature == 0:
        token_B = logits_BV.argmax(dim=-1)
        return token_B, torch.zeros_like(logits_BV[:, 0])
    log_probs_BV = torch.log_softmax(logits_BV / temperature, dim=-1)
    token_B = torch.multinomial(log_probs_BV.exp(), 1, generator=generator)
    return token_B[:, 0], log_probs_BV.gather(1, token_B)[:, 0]


def _completions(tokens_BT: Tensor, logprobs_BT: Tensor, live_BT: Tensor, finished_B: Tensor) -> list[Completion]:
    lengths = live_BT.sum(dim=1).tolist()
    rows = zip(tokens_BT.tolist(), logprobs_BT.tolist(), lengths, finished_B.tolist(), strict=True)
    return [
        Completion(tokens[:length], logprobs[:length], "stop" if finished else "length")
        for tokens, logprobs, length, finished in rows
    ]
