"""One run of a recipe in a process of its own, and what is kept of it."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

METRICS = ("return/true", "return/shaped", "accuracy/greedy", "accuracy/sampled")
MOST_POINTS = 120
"""More than a drawing of this size shows; means of neighbours are kept where a run logged more."""
KEPT = "baseline.json"


@dataclass(frozen=True)
class Measured:
    """What a run came to.

    Args:
        variant: of the recipe, "" where it has one.
        seed: of the run.
        steps: environment steps.
        cpu_seconds: processor time of the whole command, its start included.
        wall_seconds: time of the same on the clock.
        curves: metric -> (environment steps, value).
    """

    variant: str
    seed: int
    steps: int
    cpu_seconds: float
    wall_seconds: float
    curves: Mapping[str, Sequence[tuple[int, float]]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; `from_dict` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> "Measured":
        """Inverse of `to_dict`."""
        curves = {name: [(int(x), float(y)) for x, y in curve] for name, curve in record["curves"].items()}
        return cls(**{**record, "curves": curves})


def run(folder: Path, recipe: str, variant: str, seed: int, overrides: Sequence[str]) -> Measured:
    """Train once with one thread, unless the folder holds what came of it already."""
    kept = folder / KEPT
    if kept.is_file():
        return Measured.from_dict(json.loads(kept.read_text(encoding="utf-8")))
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "rlenvs", "train", f"{recipe}.yaml", "--plain", "--output", str(folder)]
    subprocess.run(
        [*command, f"seed={seed}", *overrides],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    measured = Measured(variant, seed, int(rows[-1]["step"]), round(cpu, 1), round(wall, 1), curves_of(rows))
    kept.write_text(json.dumps(measured.to_dict()) + "\n", encoding="utf-8")
    return measured


def curves_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    """Return the curves over environment steps that a run logged.

    Example:
        >>> curves_of([{"step": 64, "return/true": 0.25}, {"step": 128, "return/true": None}])
        {'return/true': [(64, 0.25)]}
    """
    found = {}
    for metric in METRICS:
        curve = [(int(row["step"]), float(row[metric])) for row in rows if row.get(metric) is not None]
        if curve:
            found[metric] = thinned(curve)
    return found


def thinned(curve: Sequence[tuple[int, float]], most: int = MOST_POINTS) -> list[tuple[int, float]]:
    """Return means of neighbours, each where the last of them is, so that no more than `most` points are left.

    Example:
        >>> thinned([(1, 0.0), (2, 1.0), (3, 1.0), (4, 1.0)], most=2)
        [(2, 0.5), (4, 1.0)]
    """
    size = -(-len(curve) // most)
    groups = [curve[at : at + size] for at in range(0, len(curve), size)]
    return [(group[-1][0], round(sum(y for _, y in group) / len(group), 4)) for group in groups]


def last_value(curve: Sequence[tuple[int, float]], share: float = 0.1) -> float:
    """Return the mean over the last tenth of a curve's steps.

    Example:
        >>> last_value([(10, 0.0), (95, 0.5), (100, 1.0)])
        0.75
    """
    start = curve[-1][0] * (1 - share)
    values = [y for x, y in curve if x >= start]
    return sum(values) / len(values)
