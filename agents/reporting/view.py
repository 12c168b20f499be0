"""What a trainer tells a person who watches: the plan, phases, metrics, messages, the end."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What is about to be trained.

    Args:
        name: Name of the run.
        run_dir: Its folder.
        iterations: Number of PPO iterations planned, 0 or more.
        components: Names of the reward components, in the order in which to show them.
        device: Where the model lives, such as `cuda:0`.
        model: The model, described in a few words.
        parameters: Number of its parameters.
    """

    name: str
    run_dir: str | Path
    iterations: int
    components: Sequence[str] = ()
    device: str = "cpu"
    model: str = ""
    parameters: int | None = None


class TrainingView(Protocol):
    """Shows a run while it happens. Leaving it as a context manager restores the terminal, whatever happened."""

    def start(self, plan: RunPlan) -> None:
        """Begin to show the run."""

    def phase(self, name: str, detail: str = "", fraction: float | None = None) -> None:
        """Say what is being done, such as a warm start.

        Args:
            name: The phase.
            detail: A few words more, such as the loss.
            fraction: How far it is, in [0, 1]; None when unknown.
        """

    def update(self, metrics: dict[str, float]) -> None:
        """Show the metrics of one iteration; the keys are those of `metrics.jsonl`."""

    def log(self, message: str) -> None:
        """Show a message that stays on the screen."""

    def finish(self, summary: dict[str, object]) -> None:
        """Show the result and stop."""

    def __enter__(self) -> Self:
        """Return the view."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, restore the terminal, let any exception pass."""


@dataclass
class MetricHistory:
    """Metrics by iteration, in order; each iteration once."""

    rows: list[dict[str, float]] = field(default_factory=list)

    def record(self, metrics: Mapping[str, object]) -> None:
        """Append one iteration. Iterations at or after it are forgotten: a resumed run repeats them."""
        row = {key: number for key, value in metrics.items() if (number := as_float(value)) is not None}
        if not math.isfinite(row.get("iteration", math.nan)):
            row["iteration"] = self.rows[-1]["iteration"] + 1 if self.rows else 0.0
        while self.rows and self.rows[-1]["iteration"] >= row["iteration"]:
            self.rows.pop()
        self.rows.append(row)

    def series(self, key: str) -> list[float]:
        """Return all recorded values of a metric."""
        return [row[key] for row in self.rows if key in row]

    def latest(self, key: str) -> float | None:
        """Return the newest value of a metric, None when there is none."""
        return next((row[key] for row in reversed(self.rows) if key in row), None)

    def before_training(self, key: str) -> float | None:
        """Return the value of a metric at iteration 0, None when it was not measured."""
        return self.rows[0].get(key) if self.rows and self.rows[0]["iteration"] == 0 else None


def held_out_keys(rows: Iterable[Mapping[str, float]]) -> list[str]:
    """Return the metrics of reward components on held-out problems, in the order of their first appearance.

    Example:
        >>> held_out_keys([{"iteration": 0, "held_out/follows/greedy": 0.5, "reward/total": 1.0}])
        ['held_out/follows/greedy']
    """
    return list(dict.fromkeys(key for row in rows for key in row if key.startswith("held_out/")))


LOSSES = (("loss/train", "demonstrations learned"), ("loss/held_out", "demonstrations set aside"))
"""What a supervised run measures in the place of rewards: mean cross-entropy of the assistant's tokens, nats."""


def is_supervised(row: Mapping[str, object]) -> bool:
    """Tell the metrics of a supervised run from those of reinforcement learning."""
    return "epoch" in row or any(key in row for key, _ in LOSSES)


RETURNS = (
    ("return/true", "training, true"),
    ("return/shaped", "training, shaped"),
    ("return/greedy", "held-out, greedy"),
    ("return/sampled", "held-out, sampled"),
)
"""Mean sums over episodes, of a run that measures them: what the environment paid, and what was trained on."""


def counts_episodes(row: Mapping[str, object]) -> bool:
    """Tell the metrics of an agent that acts token by token, whose unit is the episode, from those of other runs."""
    return "return/true" in row


def as_float(value: object) -> float | None:
    """Return a number as a float, NaN and infinities included; None for what is no number or too large for one."""
    if not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def component_names(plan: RunPlan | None, row: Mapping[str, float]) -> list[str]:
    """Return the components of the plan, then others that the metrics mention, in their order there."""
    names = dict.fromkeys(plan.components if plan else ())
    for key in row:
        if key.startswith("component/") and key.endswith(("/raw", "/contribution")):
            names.setdefault(key.removeprefix("component/").rpartition("/")[0])
    return list(names)
