"""One update of all weights, of adapters, and a plain one beside them: speed, memory, largest tensor of logits."""

import argparse
import gc
import statistics
from typing import Any

import torch
from gpu_parts.hardware import Clock
from gpu_parts.models import Shape, byte_tokenizer, model_config, random_model
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rlenvs.agents.llm.config import TrainConfig
from rlenvs.agents.llm.learner.learner import Learner
from rlenvs.agents.llm.memory.estimate import estimate_memory
from rlenvs.agents.llm.policy import adapters
from rlenvs.agents.llm.policy.model import Policy
from rlenvs.agents.llm.policy.options import ForwardOptions
from rlenvs.agents.llm.policy.reference import AdapterOff, FrozenCopy, Reference
from rlenvs.agents.llm.rollout.batch import Episode, RolloutBatch, collate


class LargestLogits(TorchDispatchMode):
    """Notes the largest tensor whose rows are as long as the vocabulary and that is no weight.

    Args:
        vocabulary: number of tokens.
        weights: sizes that weights have.
    """

    def __init__(self, vocabulary: int, weights: set[torch.Size]) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.weights = weights
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor) and self._is_logits(leaf):
                self.bytes = max(self.bytes, leaf.nbytes)
        return result

    def _is_logits(self, tensor: torch.Tensor) -> bool:
        return tensor.dim() > 1 and tensor.shape[-1] == self.vocabulary and tensor.shape not in self.weights


def measure_training(shape: Shape, args: argparse.Namespace, clock: Clock, peak_flops: float) -> list[dict[str, Any]]:
    """Return a row for each way of training."""
    rows = []
    for what, measure in (
        ("all weights", lambda: measure_learner(shape, args, clock, None)),
        ("adapters, rank 16", lambda: measure_learner(shape, args, clock, {"rank": 16, "alpha": 32})),
        ("plain update, all logits", lambda: measure_plain(shape, args, clock)),
    ):
        try:
            row = measure()
            row["mfu"] = row["rate"] * row["flops_per_token"] / peak_flops
        except torch.OutOfMemoryError:
            row = {"failed": "out of memory"}
        rows.append({"what": what} | row)
        gc.collect()
        clock.forget_peak()
    return rows


def run_config(args: argparse.Namespace, adapter: dict[str, Any] | None, device: str) -> TrainConfig:
    """Return the configuration of the update that is measured: one optimiser step on one rollout."""
    prompt = args.length // 4
    return TrainConfig.load(
        {
            "device": device,
            "env": {"id": "rlenvs/Arithmetic-v0"},
            "rewards": {"reward_components": {"correct": {"class": "CorrectnessReward"}}},
            "policy": {"adapter": adapter, "dtype": "float32" if adapter is None else "bfloat16"},
            "rollout": {
                "episodes": args.episodes,
                "batch_size": args.episodes,
                "max_new_tokens": args.length - prompt,
                "context_tokens": args.length,
                # a server is no engine of this process: its cache is not part of what the update holds
                "engine": {"name": "http", "url": "http://localhost", "model": "none", "weights": "shared_gpu"},
            },
            "ppo": {"minibatches": 1, "iterations": 100, "learning_rate": 1e-9, "kl_coef": 0.01},
            "memory": {
                "micro_batch_size": args.episodes,
                "micro_batch_tokens": args.micro_tokens,
                "autocast": "bfloat16" if adapter is None else None,
                "gradient_checkpointing": args.checkpointing,
                "packing": args.packing,
                "compile": args.compile,
            },
        }
    )


def measure_learner(
    shape: Shape, args: argparse.Namespace, clock: Clock, adapter: dict[str, Any] | None
) -> dict[str, Any]:
    """Measure one iteration's learning: scoring by policy and reference, one optimiser step."""
    config = run_config(args, adapter, clock.device.type)
    clock.forget_peak()
    policy, reference = build(shape, config, clock.device)
    learner = Learner(policy, reference, config, torch.Generator().manual_seed(0))
    batch = random_batch(args, policy)
    updates: list[float] = []
    update = learner.update

    def timed(*values: Any) -> Any:
        found: dict[str, float] = {}
        updates.append(clock.seconds(lambda: found.update(update(*values))))
        return found

    learner.update = timed  # type: ignore[assignment]
    totals = [clock.seconds(lambda: learner.learn(batch)) for _ in range(1 + args.repeats)]
    update_seconds = statistics.median(updates[1:])
    score_seconds = statistics.median(t - u for t, u in zip(totals[1:], updates[1:], strict=True))
    peak = clock.peak()
    vocabulary = shape["vocab_size"]
    largest = LargestLogits(vocabulary, {p.shape for p in policy.parameters()})
    if not args.compile:  # compiled code does not say what it allocates
        with largest:
            learner.learn(batch)
    tokens = args.episodes * args.length
    return {
        "rate": tokens / update_seconds,
        "score_rate": tokens / score_seconds,
        "flops_per_token": flops_per_token(policy.model, args, trains_all=adapter is None),
        "peak": peak,
        "estimate": estimate_memory(config, model_config(shape)).peak,
        "logits": largest.bytes,
    }


def build(shape: Shape, config: TrainConfig, device: torch.device) -> tuple[Policy, Reference]:
    """Return a policy with random weights and its reference."""
    dtype = getattr(torch, config.policy.dtype)
    model, tokenizer = random_model(shape, device, dtype), byte_tokenizer()
    options = ForwardOptions.from_config(config.memory)
    if config.policy.adapter is not None:
        policy = Policy(adapters.attach(model, config.policy.adapter), tokenizer, options=options)
        return policy, AdapterOff(policy, start_is_base=True)
    return Policy(model, tokenizer, options=options), FrozenCopy(
        Policy(random_model(shape, device, dtype), tokenizer, options=options)
    )


def random_batch(args: argparse.Namespace, policy: Policy) -> RolloutBatch:
    """Return episodes of full length: a quarter prompt, the rest sampled."""
    generator, prompt = torch.Generator().manual_seed(0), args.length // 4
    ids_BL = torch.randint(2, 256, (args.episodes, args.length), generator=generator).tolist()
    episodes = []
    for number, row in enumerate(ids_BL):
        episode = Episode(ids=row[:prompt], action=[False] * prompt)
        episode.add_message(row[prompt:], [-5.0] * (args.length - prompt))
        episode.credit(float(number % 2))
        episodes.append(episode)
    return collate(episodes, policy.pad_id, policy.device)


def measure_plain(shape: Shape, args: argparse.Namespace, clock: Clock) -> dict[str, Any]:
    """Measure what a short script does: the model's own logits of a micro-batch, their log-softmax, AdamW."""
    clock.forget_peak()
    model = random_model(shape, clock.device, torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-9)
    ids_BL = torch.randint(2, 256, (args.episodes, args.length), device=clock.device)
    rows = max(1, args.micro_tokens // args.length)

    def update() -> None:
        optimizer.zero_grad(set_to_none=True)
        for part_bL in ids_BL.split(rows):
            with torch.autocast(clock.device.type, dtype=torch.bfloat16):
                logits_bLV = model(input_ids=part_bL, use_cache=False).logits[:, :-1]
            logprobs_bLV = logits_bLV.float().log_softmax(-1)
            chosen_bL = logprobs_bLV.gather(2, part_bL[:, 1:, None])[:, :, 0]
            torch.autograd.backward(-chosen_bL[:, args.length // 4 - 1 :].mean())
        optimizer.step()

    seconds = clock.median(update, args.repeats)
    logits = rows * (args.length - 1) * shape["vocab_size"] * 4
    tokens = args.episodes * args.length
    return {
        "rate": tokens / seconds,
        "flops_per_token": flops_per_token(model, args, trains_all=True),
        "peak": clock.peak(),
        "logits": logits,
    }


def flops_per_token(model: Any, args: argparse.Namespace, trains_all: bool) -> float:
    """Return the operations that one token of an update needs, those done twice counted once.

    Two per weight and token forward, two for the gradient of the activations, two for that of the weights where they
    are trained; the head sees the three quarters of tokens that were sampled; attention is causal.
    """
    base = adapters.base_of(model)
    config, passes = base.config, 6 if trains_all else 4
    trunk = sum(parameter.numel() for name, parameter in base.base_model.named_parameters() if "lora_" not in name)
    trunk -= base.get_input_embeddings().weight.numel()
    head = base.get_output_embeddings().weight.numel() * (1 - (args.length // 4) / args.length)
    # Scores and sums, each 2 * length / 2 per width forward, twice that backward.
    attention = 3 * 2 * args.length * config.hidden_size * config.num_hidden_layers
    return float(passes * (trunk + head) + attention)
