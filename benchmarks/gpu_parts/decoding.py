"""Tokens per second by batch size, against what the memory bandwidth allows."""

import argparse
from typing import Any

import torch
from gpu_parts.hardware import Clock
from gpu_parts.models import Shape, byte_tokenizer, random_model

from rlenvs.agents.llm.engines import Engine, GenerateEngine, SamplingParams, StaticEngine
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.errors import EngineError


def measure_decoding(shape: Shape, args: argparse.Namespace, clock: Clock, bandwidth: float) -> list[dict[str, Any]]:
    """Return tokens/s of both engines by batch size, and the bound."""
    policy = Policy(random_model(shape, clock.device, torch.bfloat16), byte_tokenizer())
    policy.eos_ids = ()  # every answer has its full length
    rows = []
    for batch in args.batches:
        row = {"batch": batch, "bound": bandwidth * batch / step_bytes(policy.model, batch, args.prompt + args.new / 2)}
        for engine in (StaticEngine(policy, batch, compiled=args.compile), GenerateEngine(policy, batch)):
            row[engine.name] = decode_rate(engine, policy, batch, args, clock)
            engine.close()
        rows.append(row)
    return rows


def step_bytes(model: Any, batch: int, position: float) -> float:
    """Return the bytes that one decoding step must read: all weights of products once, keys and values of every row.

    Args:
        model: the model.
        batch: rows.
        position: tokens that a row holds, in the mean.
    """
    config = model.config
    looked_up = 0 if config.tie_word_embeddings else model.get_input_embeddings().weight.nbytes
    weights = sum(parameter.nbytes for parameter in model.parameters()) - looked_up
    head_dim = config.hidden_size // config.num_attention_heads
    per_token = 2 * config.num_hidden_layers * config.num_key_value_heads * head_dim * model.dtype.itemsize
    return float(weights + batch * position * per_token)


def decode_rate(engine: Engine, policy: Policy, batch: int, args: argparse.Namespace, clock: Clock) -> float | None:
    """Return decoded tokens per second, reading the prompts included; None where memory runs out.

    Prompts differ, so that none is read for another, and from call to call, so that none is remembered.
    """
    generator = torch.Generator().manual_seed(0)
    sampling = torch.Generator(clock.device).manual_seed(0)

    def sample() -> None:
        prompts = torch.randint(2, 256, (batch, args.prompt), generator=generator).tolist()
        engine.sync(policy)
        completions = engine.generate(prompts, SamplingParams(args.new), sampling)
        assert all(len(completion.ids) == args.new for completion in completions)

    try:
        # Graphs are recorded and kernels chosen in the first calls.
        return batch * args.new / clock.median(sample, args.repeats)
    except (torch.OutOfMemoryError, EngineError) as error:
        if isinstance(error, EngineError) and "out of memory" not in str(error):
            raise
        return None
