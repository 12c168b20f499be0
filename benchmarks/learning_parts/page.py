"""The page of learning curves: one JSON file and one drawing per task, and the text made of all of them."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from learning_parts.curves import draw, reached_at
from learning_parts.tasks import TASKS, Task

HEAD = """# Does it learn

Every curve is of whole runs of `rlenvs train` with a file of `configs/train/`, on held-out problems that training never
sees. The line is the mean over seeds, the faint ones are the seeds. Made by

```bash
python benchmarks/learning.py --config {names} --seeds 0 1 2 --write docs
```

one configuration at a time; the numbers behind the curves are in `docs/learning/*.json`.
"""


def write_page(docs: Path, name: str, task: Task, runs: Sequence[Mapping[str, Any]]) -> Path:
    """Store the runs of a task, draw them, and write the page anew.

    Args:
        docs: the folder; curves go to `learning/` in it.
        name: of the task.
        task: what was trained.
        runs: each with `variant`, `seed`, `episodes` per iteration, `seconds` and `curves` (metric -> curve).
    """
    folder = docs / "learning"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"runs": runs}, indent=1) + "\n", encoding="utf-8")
    groups = {
        " ".join(filter(None, (variant, said if len(task.lines) > 1 else ""))) or said: [
            run["curves"][metric] for run in runs if run["variant"] == variant
        ]
        for variant in task.variants
        for metric, said in task.lines.items()
    }
    groups = {said: curves for said, curves in groups.items() if curves}
    (folder / f"{name}.svg").write_text(draw(groups, task.title), encoding="utf-8")
    stored = {key: folder / f"{key}.json" for key in [*TASKS, name]}
    parts = [HEAD.replace("{names}", "NAME.yaml")]
    for key, path in stored.items():
        if path.is_file():
            found = json.loads(path.read_text(encoding="utf-8"))["runs"]
            parts.append(section(key, TASKS.get(key, task), found))
    page = docs / "learning.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def section(name: str, task: Task, runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the part of one task: drawing and table."""
    named = len(task.variants) > 1
    heads = [*(["run"] if named else []), "seed", *task.lines.values(), *(["episodes"] if not task.goal else [])]
    if task.goal:
        heads.append(f"episodes to {task.goal:.0%}")
    rows = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for variant in task.variants:
        for run in (run for run in runs if run["variant"] == variant):
            cells = [*([variant] if named else []), str(run["seed"])]
            for metric in task.lines:
                curve = run["curves"][metric]
                cells.append(f"{curve[0][1]:.1%} → {curve[-1][1]:.1%}")
            cells.append(_episodes(task, run))
            rows.append(f"| {' | '.join(cells)} |")
    figure = f"![{task.title}](learning/{name}.svg)"
    head = f"## {task.title}\n\n`configs/train/{name}.yaml`. {task.note}".rstrip()
    parts = [head, figure, "\n".join(rows)]
    if task.goal and (said := _medians(task, runs)):
        parts.append(said)
    return "\n\n".join(parts) + "\n"


def _needed(task: Task, run: Mapping[str, Any]) -> float | None:
    assert task.goal is not None
    place = reached_at(run["curves"][next(iter(task.lines))], task.goal)
    return None if place is None else place * run["episodes"]


def _episodes(task: Task, run: Mapping[str, Any]) -> str:
    if task.goal is None:
        return f"{run['curves'][next(iter(task.lines))][-1][0] * run['episodes']:,}"
    needed = _needed(task, run)
    return "not reached" if needed is None else f"{needed:,.0f}"


def _medians(task: Task, runs: Sequence[Mapping[str, Any]]) -> str:
    """Say how many episodes each variant needs, where every one of its seeds got there."""
    said = []
    for variant in task.variants:
        needed = [_needed(task, run) for run in runs if run["variant"] == variant]
        reached = [value for value in needed if value is not None]
        if needed and len(reached) == len(needed):
            said.append(f"{variant} {statistics.median(reached):,.0f}")
        elif needed:
            said.append(f"{variant} {len(reached)} of {len(needed)} seeds got there")
    return f"Episodes to {task.goal:.0%}, median: {'; '.join(said)}." if said else ""
