"""What each switch of the algorithm does on the default task: short runs that differ in that switch alone.

    python benchmarks/ablations.py [--seeds 0 1] [--iterations 40] [--only WORD] [key=value ...]

Every run starts from the same warm start of its seed. The figure is the accuracy of sampled answers on all held-out
problems after the last iteration; the first row, which changes nothing, says with its spread how much of a difference
is noise.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

GROUPS = ["rollout.samples_per_prompt=8"]
VARIANTS: dict[str, list[str]] = {
    "default": [],
    "clip_range 0.1": ["ppo.clip_range=0.1"],
    "clip_range_high 0.28": ["ppo.clip_range_high=0.28"],
    "dual_clip 3": ["ppo.dual_clip=3.0"],
    "epochs 2": ["ppo.epochs=2"],
    "minibatches 8": ["ppo.minibatches=8"],
    "no warm-up of the rate": ["ppo.warmup_steps=0"],
    "constant rate": ["ppo.lr_schedule=constant"],
    "cosine rate": ["ppo.lr_schedule=cosine"],
    "no whitening": ["ppo.whiten=false"],
    "sequence normalisation": ["ppo.loss_normalization=sequence"],
    "constant normalisation": ["ppo.loss_normalization=constant"],
    "entropy_coef 0.01": ["ppo.entropy_coef=0.01"],
    "gae_lambda 0.95": ["ppo.gae_lambda=0.95"],
    "gae_lambda 0.95, critic 1": ["ppo.gae_lambda=0.95", "ppo.critic_lambda=1.0"],
    "critic shared": ["ppo.critic=shared"],
    "critic's rate x 10": ["ppo.value_learning_rate_factor=10"],
    "critic warmed up for 5": ["ppo.value_warmup=5", "ppo.value_learning_rate_factor=10"],
    "value clipping 0.2": ["ppo.value_clip_range=0.2"],
    "no KL": ["ppo.kl_coef=0"],
    "KL x 10": ["ppo.kl_coef=0.05"],
    "KL in the loss, k2": ["ppo.kl_in=loss", "ppo.kl_estimator=k2"],
    "KL in the loss, k3": ["ppo.kl_in=loss", "ppo.kl_estimator=k3"],
    "adaptive KL, target 0.05": ["ppo.kl_target=0.05", "ppo.kl_horizon=10000"],
    "target_kl 0.01": ["ppo.target_kl=0.01"],
    "reinforce": ["ppo.estimator=reinforce"],
    "reinforce_baseline": ["ppo.estimator=reinforce_baseline"],
    "gae, groups of 8": GROUPS,
    "rloo, groups of 8": ["ppo.estimator=rloo", *GROUPS],
    "grpo, groups of 8": ["ppo.estimator=grpo", *GROUPS],
    "grpo, uniform groups dropped": ["ppo.estimator=grpo", *GROUPS, "rollout.drop_uniform_groups=true"],
    "log-probabilities recomputed": ["ppo.old_logprobs=recompute"],
    "truncated importance": ["ppo.importance=token_truncate"],
    "over-long masked": ["rollout.mask_overlong=true"],
    "bfloat16 autocast": ["memory.autocast=bfloat16"],
    "LoRA r16, rate x 10": ["policy.adapter={}", "ppo.learning_rate=2.5e-3"],
    "rewards shuffled": ["ppo.shuffle_rewards=true"],
}


def run(folder: Path, overrides: Sequence[str], cache: Path) -> tuple[float, float, float]:
    """Train once; return the sampled accuracy before and after and the KL divergence of the last iteration."""
    command = [sys.executable, "-m", "rlenvs", "train", "--plain", "--output", str(folder), *overrides]
    done = subprocess.run(command, env=os.environ | {"RLENVS_CACHE": str(cache)}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr.strip()}")
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    evaluated = [row["accuracy/sampled"] for row in rows if "accuracy/sampled" in row]
    return evaluated[0], evaluated[-1], rows[-1].get("kl", float("nan"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="seeds to train with")
    parser.add_argument("--iterations", type=int, default=40, help="iterations of each run")
    parser.add_argument("--only", metavar="WORD", help="variants whose name contains this, besides the default")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings for every run")
    args = parser.parse_args(arguments)
    chosen = {n: v for n, v in VARIANTS.items() if args.only is None or args.only in n or n == "default"}
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}; {args.iterations} iterations")
    print(f"{'variant':32} {'sampled accuracy, by seed':>28} {'mean':>8} {'KL':>8}")
    with tempfile.TemporaryDirectory() as scratch:
        for number, (name, changes) in enumerate(chosen.items()):
            after, distances = [], []
            for seed in args.seeds:
                every = [f"seed={seed}", f"ppo.iterations={args.iterations}", "evaluation.every=100000"]
                folder = Path(scratch) / f"run{number}-{seed}"
                before, reached, kl = run(folder, [*every, *changes, *args.overrides], Path(scratch) / f"cache{seed}")
                if name == "default":
                    print(f"{f'warm start, seed {seed}':32} {before:28.1%}")
                after.append(reached)
                distances.append(kl)
            each = ", ".join(f"{value:.1%}" for value in after)
            print(f"{name:32} {each:>28} {sum(after) / len(after):8.1%} {sum(distances) / len(after):8.3f}", flush=True)


if __name__ == "__main__":
    main()
