"""What the environments cost Stable-Baselines3: steps beside `DummyVecEnv`, and their share of training.

    OMP_NUM_THREADS=1 python benchmarks/sb3.py [--quick] [--parts step learn]

* `step`: the adapter (`rlenvs.agents.sb3.make_vec_env`) and `DummyVecEnv` over the same environments take the same
  random tokens, bare and inside a reward of two components, a schedule and a potential. They take turns; figures are
  medians over the rounds, of processor time, and the ratio is the median of the ratios within a round.
* `learn`: `model.learn` of configurations that ship, with the processor time within environments (rewards included),
  within the policy's forward passes while it collects, and within updates. The rest is what Stable-Baselines3 does in
  between. An environment step costs the less the more environments take it together, so each is measured twice.
"""

import argparse
import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import stable_baselines3
import torch
from sb3_parts.profiling import CASES, Profile, print_profiles
from sb3_parts.stepping import StepTimes, print_steps

import rlenvs

SIZES = (8, 64, 256)
PARTS = ("step", "learn")


def main(arguments: Sequence[str] | None = None) -> tuple[list[StepTimes], list[Profile]]:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few and short rounds: a check, not a measurement")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    args = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print(machine())
    steps: list[StepTimes] = []
    profiles: list[Profile] = []
    if "step" in args.parts:
        print()
        steps = print_steps(SIZES[:2] if args.quick else SIZES, 1 if args.quick else 9, 16 if args.quick else 400)
    if "learn" in args.parts:
        print()
        profiles = print_profiles(CASES, 3_000 if args.quick else 60_000)
    return steps, profiles


def machine() -> str:
    """What this runs on, and with which versions."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"rlenvs {rlenvs.__version__}, stable-baselines3 {stable_baselines3.__version__}, torch {torch.__version__}, "
        f"NumPy {np.__version__}, Python {platform.python_version()}; one of {os.cpu_count()} cores of {name}{load}"
    )


if __name__ == "__main__":
    main()
