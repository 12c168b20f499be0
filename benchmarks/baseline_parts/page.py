"""The measured parts of docs/baselines.md: a table of all recipes, a drawing of each, and the figures behind them."""

import json
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from learning_parts.curves import draw, reached_at

from baseline_parts.recipes import RECIPES, SHUFFLED, Recipe
from baseline_parts.running import Measured, last_value

RETURN = "return/true"
PACKAGES = ("stable-baselines3", "sb3-contrib", "gymnasium", "torch", "numpy")
HEAD = ("algorithm", "task", "run", "seeds", "return at the end", "held out, greedy", "steps to the goal", "CPU time")


def write_page(docs: Path, name: str, runs: Sequence[Measured]) -> Path:
    """Store the runs of a recipe, draw them, and bring the page up to date.

    Args:
        docs: the folder that holds `baselines.md`; drawings and figures go to `baselines/` in it.
        name: of the recipe.
        runs: all of its runs, the control's too.
    """
    folder = docs / "baselines"
    folder.mkdir(parents=True, exist_ok=True)
    stored = {"versions": versions(), "runs": [run.to_dict() for run in runs]}
    (folder / f"{name}.json").write_text(json.dumps(stored) + "\n", encoding="utf-8")
    recipe = RECIPES[name]
    groups = {
        variant or recipe.algorithm: [run.curves[RETURN] for run in runs if run.variant == variant]
        for variant in (*recipe.variants, SHUFFLED)
    }
    drawing = draw({said: curves for said, curves in groups.items() if curves}, title(recipe), "steps")
    (folder / f"{name}.svg").write_text(drawing, encoding="utf-8")
    found = {key: stored_runs(folder / f"{key}.json") for key in RECIPES if (folder / f"{key}.json").is_file()}
    page = docs / "baselines.md"
    text = page.read_text(encoding="utf-8")
    text = replaced(text, "table", table(found))
    text = replaced(text, "curves", "\n\n".join(section(key, RECIPES[key], one) for key, one in found.items()))
    page.write_text(text, encoding="utf-8")
    return page


def stored_runs(path: Path) -> list[Measured]:
    """Return the runs of a file of figures."""
    return [Measured.from_dict(record) for record in json.loads(path.read_text(encoding="utf-8"))["runs"]]


def versions() -> dict[str, str]:
    """Return the versions that figures belong to."""
    return {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}


def replaced(text: str, mark: str, content: str) -> str:
    r"""Return a page with what stands between `<!-- mark -->` and `<!-- /mark -->` replaced.

    Example:
        >>> replaced("a <!-- x -->\nold\n<!-- /x --> b", "x", "new")
        'a <!-- x -->\nnew\n<!-- /x --> b'
    """
    pattern = rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise SystemExit(f"the page lacks the marks <!-- {mark} --> and <!-- /{mark} -->")
    return re.sub(pattern, lambda found: f"{found[1]}{content}\n{found[2]}", text, flags=re.DOTALL)


def title(recipe: Recipe) -> str:
    """What a drawing is called."""
    return f"{recipe.algorithm}: {recipe.task}"


def table(found: Mapping[str, Sequence[Measured]]) -> str:
    """Return one row for each variant of each recipe."""
    rows = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for name, runs in found.items():
        recipe = RECIPES[name]
        for variant in (*recipe.variants, SHUFFLED):
            mine = [run for run in runs if run.variant == variant]
            if mine:
                rows.append(f"| {' | '.join(row(recipe, variant, mine))} |")
    return "\n".join(rows)


def row(recipe: Recipe, variant: str, runs: Sequence[Measured]) -> list[str]:
    """Return the cells of a variant."""
    ends = [last_value(run.curves[RETURN]) for run in runs]
    held = [run.curves["accuracy/greedy"][-1][1] for run in runs if "accuracy/greedy" in run.curves]
    minutes = statistics.fmean(run.cpu_seconds for run in runs) / 60
    return [
        recipe.algorithm,
        recipe.task,
        variant or "as it ships",
        str(len(runs)),
        spread(ends),
        spread(held) if held else "",
        goal_text(recipe, runs),
        f"{minutes:.1f} min",
    ]


def spread(values: Sequence[float]) -> str:
    """Return mean and standard deviation.

    Example:
        >>> spread([0.9, 1.0]), spread([0.5])
        ('0.950 ± 0.071', '0.500')
    """
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ± {statistics.stdev(values):.3f}"


def goal_text(recipe: Recipe, runs: Sequence[Measured]) -> str:
    """Return the median of the steps that runs took to the goal, and how many got there."""
    needed = sorted(
        float("inf") if place is None else place
        for place in (reached_at(run.curves[RETURN], recipe.goal) for run in runs)
    )
    reached = sum(place < float("inf") for place in needed)
    middle = needed[(len(needed) - 1) // 2] if len(needed) % 2 else statistics.median(needed)
    said = f"{middle:,.0f}" if middle < float("inf") else f"more than {max(run.steps for run in runs):,}"
    return f"{said} to {recipe.goal:g} ({reached} of {len(runs)})"


def section(name: str, recipe: Recipe, runs: Sequence[Measured]) -> str:
    """Return the part of one recipe: its drawing, and the command."""
    seeds = sorted({run.seed for run in runs if run.variant != SHUFFLED})
    control = " --control" if any(run.variant == SHUFFLED for run in runs) else ""
    command = (
        f"python benchmarks/baselines.py --config {name} --seeds {' '.join(map(str, seeds))}{control} --write docs"
    )
    note = f"{recipe.note}\n\n" if recipe.note else ""
    return (
        f"### {title(recipe)}\n\n{note}![True return over environment steps, {title(recipe)}](baselines/{name}.svg)\n\n"
        f"`configs/train/{name}.yaml`, measured by `{command}`."
    )
