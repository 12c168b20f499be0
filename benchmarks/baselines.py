"""Do the recipes of Stable-Baselines3 learn, how far and how fast, and does it take the rewards that they are given.

    python benchmarks/baselines.py [--config sb3_ppo ...] [--seeds 0 1 2 3 4] [--control] [--write docs] [key=value ...]

Each run is `rlenvs train` in a process of its own, with one thread. The control deals the rewards of a step to random
environments and must not learn. With `--keep` the run folders stay, and those that are done already are not trained
again. With `--write` the table and the curves of docs/baselines.md are brought up to date.
"""

import argparse
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path

from baseline_parts.page import RETURN, goal_text, spread, write_page
from baseline_parts.recipes import RECIPES, SHUFFLED, Recipe
from baseline_parts.running import Measured, last_value, run


def measured(
    place: Path, name: str, recipe: Recipe, seeds: Sequence[int], control: bool, overrides: Sequence[str]
) -> list[Measured]:
    """Run all variants of a recipe, and its control with the first seed; print a line for each."""
    variants = {variant: list(more) for variant, more in recipe.variants.items()}
    if control:
        variants[SHUFFLED] = ["shuffle_rewards=true"]
    found = []
    for variant, more in variants.items():
        mine = []
        for seed in seeds[:1] if variant == SHUFFLED else seeds:
            folder = place / "-".join([name, *variant.split(), str(seed)])
            mine.append(run(folder, name, variant, seed, [*more, *overrides]))
            show(f"{name} {variant} seed {seed}", recipe, mine[-1:])
        if len(mine) > 1:
            show(f"{name} {variant} all seeds", recipe, mine)
        found += mine
    return found


def show(said: str, recipe: Recipe, runs: Sequence[Measured]) -> None:
    """Print one line."""
    seconds = sum(one.cpu_seconds for one in runs) / len(runs)
    ends = spread([last_value(one.curves[RETURN]) for one in runs])
    print(f"{said:44} return {ends:16} {goal_text(recipe, runs):36} {seconds:6.0f} s of CPU", flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run and print, and write the page where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", nargs="+", choices=list(RECIPES), default=list(RECIPES), help="which recipes")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="seeds to train with")
    parser.add_argument("--control", action="store_true", help="also train the first seed on shuffled rewards")
    parser.add_argument("--write", type=Path, metavar="FOLDER", help="write table and curves to this folder")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the runs are kept, to go on another time")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings for every run")
    args = parser.parse_intermixed_args(arguments)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, one thread; true return, largest 1")
    with tempfile.TemporaryDirectory() as scratch:
        place = args.keep or Path(scratch)
        place.mkdir(parents=True, exist_ok=True)
        for name in args.config:
            runs = measured(place, name, RECIPES[name], args.seeds, args.control, args.overrides)
            if args.write:
                print(f"wrote {write_page(args.write, name, runs)}")


if __name__ == "__main__":
    main()
