"""How fast do the engines sample: side by side, in one process, on the same prompts and weights.

    python benchmarks/decode.py [--layers 4 --width 256 --kv-heads 4] [--batch 64] [--threads 2] [--device cpu]

Three loads, each the median of several calls taken in turn (so that a busy neighbour slows all alike):

* fixed: every answer has the full length; what a step costs.
* ragged: answers end early, mean length about a quarter; what rows that have ended cost.
* turns: three turns with feedback between them; what reading the conversation again costs.

Tokens are counted where they were asked for: a row that has ended produces nothing. `forward` is a loop over
`model(...)` with the cache of transformers, left padding and no compaction, the way small trainers do it.
"""

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from rlenvs.agents.llm.engines import Completion, Engine, GenerateEngine, SamplingParams, StaticEngine
from rlenvs.agents.llm.engines.sampling import pick, row_seeds, uniform_at
from rlenvs.agents.llm.policy.model import Policy

VOCABULARY, EOS = 260, 2
Load = Callable[[Engine, int], int]


class NoTokenizer:
    """Stands where a tokenizer is expected; nothing is decoded here."""

    eos_token_id = EOS
    pad_token_id = 0


class ForwardLoop:
    """The plain way: the model's own forward pass and cache, until the last row has ended."""

    name = "forward"

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    @torch.no_grad()
    def generate(self, prompts: Any, params: Any, generator: torch.Generator) -> list[Completion]:
        """Sample like the other engines, and as many numbers."""
        device, longest = self.policy.device, max(map(len, prompts))
        each = [params] * len(prompts) if isinstance(params, SamplingParams) else params
        temperature = torch.tensor([one.temperature for one in each], device=device)
        limits = torch.tensor([one.max_new_tokens for one in each], device=device)
        seeds = row_seeds(len(prompts), generator).to(device)
        ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        seen = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=device)
        tokens, logprobs, cache = [], [], None
        ended, lengths = torch.zeros(len(prompts), dtype=torch.bool, device=device), torch.zeros_like(limits)
        for _ in range(int(limits.max())):
            positions = (seen.cumsum(1) - 1)[:, -ids.shape[1] :]
            output = self.policy.model(
                input_ids=ids, attention_mask=seen, position_ids=positions, past_key_values=cache, logits_to_keep=1
            )
            cache = output.past_key_values
            token, logprob, _ = pick(output.logits[:, -1], temperature, uniform_at(seeds, lengths), greedy=False)
            tokens.append(token)
            logprobs.append(logprob)
            lengths += ~ended
            ended |= (token == EOS) | (lengths >= limits)
            if bool(ended.all()):
                break
            ids, seen = token[:, None], torch.cat([seen, seen.new_ones(len(prompts), 1)], dim=1)
        rows = zip(torch.stack(tokens, 1).tolist(), torch.stack(logprobs, 1).tolist(), lengths.tolist(), strict=True)
        return [Completion(t[:length], p[:length], "length") for t, p, length in rows]

    def sync(self, policy: Policy) -> None:
        """Weights are live."""

    def close(self) -> None:
        """Nothing is held."""


def random_policy(args: argparse.Namespace) -> Policy:
    """Build a Llama with random weights that never ends a text by itself."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=args.width,
        intermediate_size=int(args.width * 8 / 3) // 16 * 16,
        num_hidden_layers=args.layers,
        num_attention_heads=args.width // 64,
        num_key_value_heads=args.kv_heads or args.width // 64,
        max_position_embeddings=4096,
        eos_token_id=EOS,
        bos_token_id=None,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).to(args.device, torch.bfloat16 if args.bf16 else torch.float32)
    policy = Policy(model, NoTokenizer())
    policy.eos_ids = ()
    return policy


def prompts_of(args: argparse.Namespace, generator: torch.Generator) -> list[list[int]]:
    """Return random prompts; none equal to another, so that nothing is shared."""
    return torch.randint(3, VOCABULARY, (args.batch, args.prompt), generator=generator).tolist()


def loads(args: argparse.Namespace) -> dict[str, Load]:
    """Return what is measured, by name; each returns the number of tokens that were sampled."""
    draws = torch.rand(args.batch, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    # Lengths of answers that end with equal probability at every token, mean a quarter of the limit.
    lengths = (1 + (draws.log() / torch.log(torch.tensor(1 - 4 / args.new))).floor()).clamp(max=args.new).int().tolist()

    def seeded(seed: int) -> torch.Generator:
        return torch.Generator(args.device).manual_seed(seed)

    def sampled(completions: Sequence[Completion]) -> int:
        return sum(len(completion.ids) for completion in completions)

    def fixed(engine: Engine, seed: int) -> int:
        prompts = prompts_of(args, torch.Generator().manual_seed(seed))
        return sampled(engine.generate(prompts, SamplingParams(args.new), seeded(seed)))

    def ragged(engine: Engine, seed: int) -> int:
        prompts = prompts_of(args, torch.Generator().manual_seed(seed))
        return sampled(engine.generate(prompts, [SamplingParams(length) for length in lengths], seeded(seed)))

    def turns(engine: Engine, seed: int) -> int:
        generator, tokens = torch.Generator().manual_seed(seed), 0
        prompts = prompts_of(args, generator)
        for turn in range(3):
            completions = engine.generate(prompts, SamplingParams(args.new), seeded(seed + turn))
            tokens += sampled(completions)
            feedback = torch.randint(3, VOCABULARY, (args.batch, 50), generator=generator).tolist()
            prompts = [[*p, *c.ids, *f] for p, c, f in zip(prompts, completions, feedback, strict=True)]
        return tokens

    return {"fixed": fixed, "ragged": ragged, "turns": turns}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"layers": 4, "width": 256, "kv-heads": 0, "batch": 64, "prompt": 16, "new": 64}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=5, help="calls per load and engine, after one that warms up")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--cpu-time", action="store_true", help="count processor seconds: fair on a busy machine")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    policy = random_policy(args)
    engines: list[Engine] = [ForwardLoop(policy), GenerateEngine(policy, args.batch), StaticEngine(policy, args.batch)]
    clock = time.process_time if args.cpu_time else time.perf_counter
    millions = sum(p.numel() for p in policy.model.parameters()) / 1e6
    print(
        f"{millions:.2f}M parameters, batch {args.batch}, prompt {args.prompt}, new {args.new}, {policy.model.dtype}, "
        f"{policy.device}, {args.threads} threads, torch {torch.__version__}, Python {platform.python_version()}, "
        f"{'processor' if args.cpu_time else 'wall'} seconds"
    )
    print(f"{'tokens/s':10}" + "".join(f"{engine.name:>22}" for engine in engines))
    for name, load in loads(args).items():
        rates: dict[str, list[float]] = {engine.name: [] for engine in engines}
        for repeat in range(1 + args.repeats):
            for engine in engines:
                started = clock()
                tokens = load(engine, repeat)
                rates[engine.name].append(tokens / (clock() - started))
        medians = {engine: statistics.median(values[1:]) for engine, values in rates.items()}
        base = medians[GenerateEngine.name]
        print(f"{name:10}" + "".join(f"{rate:>14.0f} ({rate / base:4.2f}x)" for rate in medians.values()), flush=True)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
