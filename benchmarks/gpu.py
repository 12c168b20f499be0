"""How far from the limits of a GPU are sampling and training: decode against memory bandwidth, updates against matmuls.

    python benchmarks/gpu.py [--models 0.5b 1.5b] [--json figures.json]
    python benchmarks/gpu.py --device cpu --tiny          # does the script itself work?

Runs anywhere with CUDA, installs and downloads nothing: the models have random weights and the shapes of Qwen2.5-0.5B,
Qwen2.5-1.5B and Llama-3.2-1B. The limits are measured, not read off a data sheet: bytes per second of a large copy, and
operations per second of a large bfloat16 product. Per model it prints

* decoding: tokens/s of the static engine and of `transformers.generate` at several batch sizes, and the share of what
  the bandwidth would allow if weights and cached keys and values were read once per token and nothing else happened;
* training: tokens/s, model FLOP utilisation (MFU) and peak memory of one update of all weights and of adapters, beside
  a plain update that holds all logits; the estimate of `rlenvs train --dry-run` beside the measured peak;
* the largest tensor of logits that an update ever makes.
"""

import argparse
import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from gpu_parts.decoding import measure_decoding
from gpu_parts.hardware import Clock, copy_bandwidth, matmul_rate
from gpu_parts.models import SHAPES, TINY
from gpu_parts.training import measure_training

PRIME_RL = (
    ("Qwen3-0.6B", "RL, all weights", "16k", 11_896, 11.1, 12.5),
    ("Qwen3-0.6B", "RL, LoRA 16", "16k", 13_342, 10.9, 5.1),
    ("Qwen3-0.6B", "RL, all weights", "64k", 10_147, 26.8, 19.6),
    ("Qwen3-0.6B", "SFT, all weights", "16k", 25_486, 23.7, 52.8),
    ("Qwen3-4B", "RL, LoRA 16", "16k", 6_229, 21.7, 23.3),
)
"""Trainer alone on one H100: model, mode, sequence, tokens/s, MFU %, peak GiB; prime-rl benchmarks/baselines, 2026."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print tables in Markdown and write the figures."""
    args = parse(arguments)
    torch.set_float32_matmul_precision("high")
    clock = Clock(torch.device(args.device))
    limits = {
        "copy_bytes_per_second": copy_bandwidth(clock, args.copy_bytes),
        "matmul_flops_per_second": matmul_rate(clock, args.matmul),
    }
    figures: dict[str, Any] = {"machine": machine(args.device), "limits": limits, "models": {}}
    print(f"# {figures['machine']['device']}, torch {torch.__version__}, transformers {transformers.__version__}\n")
    print(f"Measured limits: copy {limits['copy_bytes_per_second'] / 1e9:,.0f} GB/s, ", end="")
    print(f"bfloat16 product {limits['matmul_flops_per_second'] / 1e12:,.1f} TFLOP/s\n")
    for name in args.models:
        shape = (TINY if args.tiny else SHAPES)[name]
        found = figures["models"][name] = {"shape": shape}
        if "decode" in args.parts:
            found["decoding"] = measure_decoding(shape, args, clock, limits["copy_bytes_per_second"])
            print_decoding(name, found["decoding"])
        if "train" in args.parts:
            found["training"] = measure_training(shape, args, clock, limits["matmul_flops_per_second"])
            print_training(name, found["training"])
        if args.json:  # after every model: a later one may run out of time
            Path(args.json).write_text(json.dumps(figures, indent=2), encoding="utf-8")
    print_published()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; `--tiny` makes everything small."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=SHAPES, default=["0.5b", "1.5b"])
    parser.add_argument("--parts", nargs="+", choices=["decode", "train"], default=["decode", "train"])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="models and loads of toy size, to try the script")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32, 64, 128, 256], help="decoded at once")
    parser.add_argument("--prompt", type=int, default=128, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=256, help="tokens decoded per prompt")
    parser.add_argument("--episodes", type=int, default=64, help="episodes per update")
    parser.add_argument("--length", type=int, default=1024, help="tokens of an episode in training, a quarter prompt")
    parser.add_argument("--micro-tokens", type=int, default=16_384, help="tokens per forward and backward pass")
    parser.add_argument("--checkpointing", action="store_true", help="compute activations again")
    parser.add_argument("--packing", action="store_true", help="pack sequences")
    parser.add_argument("--compile", action="store_true", help="torch.compile decoding and training")
    parser.add_argument("--repeats", type=int, default=3, help="measurements, after one that warms up; medians count")
    args = parser.parse_args(arguments)
    args.copy_bytes, args.matmul = 2**31, 8_192
    if args.tiny:
        args.copy_bytes, args.matmul, args.batches, args.prompt, args.new = 2**22, 256, [1, 4], 8, 8
        args.episodes, args.length, args.micro_tokens, args.repeats = 8, 32, 128, 1
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no CUDA device; `--device cpu --tiny` tries the script without one")
    return args


def machine(device: str) -> dict[str, str]:
    """Say what was measured on."""
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def print_decoding(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print tokens/s by batch size."""
    print(f"## {name}: decoding, tokens/s (share of the bandwidth bound)\n")
    print("| batch | bound | static engine | transformers.generate |\n|---|---|---|---|")
    for row in rows:
        cells = [_rate(row[engine], row["bound"]) for engine in ("static", "generate")]
        print(f"| {row['batch']} | {row['bound']:,.0f} | {cells[0]} | {cells[1]} |", flush=True)
    print()


def print_training(name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Print tokens/s, MFU and memory by way of training."""
    print(f"## {name}: training\n")
    print("| what | update tokens/s | MFU | scoring tokens/s | peak GiB | estimated GiB | largest logits GiB |")
    print("|---|---|---|---|---|---|---|")
    for row in rows:
        if "failed" in row:
            print(f"| {row['what']} | {row['failed']} | | | | | |")
            continue
        scoring = f"{row['score_rate']:,.0f}" if row.get("score_rate") else ""
        sizes = [f"{row[key] / 2**30:.2f}" if row.get(key) else "" for key in ("peak", "estimate", "logits")]
        print(
            f"| {row['what']} | {row['rate']:,.0f} | {row['mfu']:.1%} | {scoring} | {' | '.join(sizes)} |", flush=True
        )
    print()


def print_published() -> None:
    """Print what another trainer published, for comparison."""
    print("## Beside it: prime-rl's published trainer alone, one H100\n")
    print("| model | mode | sequence | tokens/s | MFU | peak GiB |\n|---|---|---|---|---|---|")
    for model, mode, length, rate, mfu, peak in PRIME_RL:
        print(f"| {model} | {mode} | {length} | {rate:,} | {mfu} % | {peak} |")


def _rate(rate: float | None, bound: float) -> str:
    return "out of memory" if rate is None else f"{rate:,.0f} ({rate / bound:.1%})"


if __name__ == "__main__":
    main()
