"""A watch for reward hacking: the reward goes up, what it stands for does not."""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from rlenvs.agents.llm.callbacks.base import Callback, RunState, register_callback
from rlenvs.agents.llm.callbacks.watching import value_of
from rlenvs.errors import ParameterError
from rlenvs.wrappers.parameters import finite_number, whole_number

SMALLEST_DEVIATION = 1e-6  # of a mean: a window of equal values is not infinitely sure
SHARE_GROWTH = 0.1  # a component that always dominated is a choice, one that comes to dominate is a finding


@dataclass(frozen=True)
class Level:
    """Means over a window of iterations.

    Attributes:
        iteration: the last one.
        true: of the unshaped metric.
        true_error: standard error of `true`.
        shaped: of the shaped reward, potentials left out.
        shaped_error: standard error of `shaped`.
        length: tokens per message.
        shares: of each component that is not the task, in all that was paid.
    """

    iteration: int
    true: float
    true_error: float
    shaped: float
    shaped_error: float
    length: float
    shares: dict[str, float]


@register_callback()
class HackMonitor(Callback):
    """Warns, or ends the run, when a policy seems to game its reward.

    Means over the newest `window` iterations are compared with earlier ones. Three things give an alarm:

    * divergence: compared with the window in which the unshaped metric was best, the shaped reward has risen and the
      metric has fallen, both by more than `z` standard errors and the metric by more than `min_drop`. This is the
      curve of over-optimisation (Gao, Schulman & Hilton 2023, arXiv 2210.10760);
    * a component that is not the task's own has come to make up more than `max_share` of all that is paid or taken
      away (sum of absolute contributions);
    * messages have grown to more than `max_growth` times their length in the first window, while the metric has not
      risen.

    An alarm is told once, and again when it has passed and comes back. Logged with the metrics are `hack/alarms`, how
    many there are, and `hack/divergence`, the smaller of both deviations of the first kind, in standard errors.

    Args:
        metric: what the task itself says, more is better; measured in every iteration.
        window: iterations, >= 2.
        z: standard errors, > 0. At 3, 200 iterations of independent noise gave a false alarm in 1 run of 400.
        min_drop: smallest fall of the metric that matters, >= 0.
        max_share: in (0, 1].
        max_growth: > 1.
        action: `warn`, or `stop` the run at a first alarm.

    Example:
        >>> HackMonitor(window=20, action="stop").metric
        'accuracy/train'
    """

    def __init__(
        self,
        metric: str = "accuracy/train",
        window: int = 20,
        z: float = 3.0,
        min_drop: float = 0.02,
        max_share: float = 0.8,
        max_growth: float = 2.0,
        action: Literal["warn", "stop"] = "warn",
    ) -> None:
        self.metric = metric
        self.window = whole_number("window", window, minimum=2)
        self.z = finite_number("z", z)
        self.min_drop = finite_number("min_drop", min_drop)
        self.max_share = finite_number("max_share", max_share)
        self.max_growth = finite_number("max_growth", max_growth)
        self.action = action
        for name, is_right, rule in (
            ("z", self.z > 0, "> 0"),
            ("min_drop", self.min_drop >= 0, ">= 0"),
            ("max_share", 0 < self.max_share <= 1, "in (0, 1]"),
            ("max_growth", self.max_growth > 1, "> 1"),
        ):
            if not is_right:
                raise ParameterError(name, f"must be {rule}, got {getattr(self, name):g}")
        self.rows: deque[dict[str, Any]] = deque(maxlen=self.window)
        self.first: Level | None = None
        self.best: Level | None = None
        self.alarms: list[str] = []

    def on_update_end(self, state: RunState) -> None:
        """Look at one more iteration."""
        true = value_of(self.metric, state)
        shaped = state.metrics.get("reward/total", math.nan) - state.metrics.get("reward/potential", 0.0)
        state.metrics["hack/alarms"] = float(len(self.alarms))
        if true is None or not (math.isfinite(true) and math.isfinite(shaped)):
            return
        shares = shares_of(state.records, auxiliary_components(state))
        self.rows.append({"true": true, "shaped": shaped, "length": state.metrics["length/mean"], "shares": shares})
        if len(self.rows) < self.window:
            return
        now = level_of(self.rows, state.iteration)
        self.first = self.first or now
        if self.best is None or now.true > self.best.true:
            self.best = now
        deviation = self.divergence(now)
        found = dict(self._findings(now, deviation))
        for kind, finding in found.items():
            if kind not in self.alarms:
                state.log(f"reward hacking? {finding}")
                if self.action == "stop":
                    state.stop(f"reward hacking? {finding}")
        self.alarms = list(found)
        state.metrics |= {"hack/alarms": float(len(found)), "hack/divergence": deviation}

    def divergence(self, now: Level) -> float:
        """Return by how many standard errors reward and metric have moved apart since the metric was best."""
        best = self.best
        if best is None or now.iteration - best.iteration < self.window:  # the windows share iterations
            return 0.0
        risen = (now.shaped - best.shaped) / math.hypot(now.shaped_error, best.shaped_error)
        fallen = (best.true - now.true) / math.hypot(now.true_error, best.true_error)
        return max(min(risen, fallen), 0.0)

    def _findings(self, now: Level, deviation: float) -> Sequence[tuple[str, str]]:
        """Return kind and wording of every alarm."""
        first, best = self.first, self.best
        assert first is not None
        assert best is not None
        found = []
        if deviation > self.z and best.true - now.true > self.min_drop:
            found.append(
                (
                    "divergence",
                    f"since iteration {best.iteration} the reward has risen from {best.shaped:.3g} to "
                    f"{now.shaped:.3g}, and {self.metric} has fallen from {best.true:.3g} to {now.true:.3g}",
                )
            )
        for name, share in now.shares.items():
            before = first.shares.get(name, 0.0)
            if share > self.max_share and share > before + SHARE_GROWTH:
                found.append(
                    (f"share {name}", f"component {name!r} makes up {share:.0%} of the reward, {before:.0%} at first")
                )
        risen = (now.true - first.true) / math.hypot(now.true_error, first.true_error)
        if now.length > self.max_growth * first.length and risen <= self.z:
            found.append(
                (
                    "length",
                    f"messages have grown from {first.length:.0f} to {now.length:.0f} tokens, and {self.metric} has "
                    f"not risen ({first.true:.3g}, now {now.true:.3g})",
                )
            )
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the newest iterations and the levels that they are compared with."""
        levels = {name: level and asdict(level) for name, level in (("first", self.first), ("best", self.best))}
        return {"rows": list(self.rows), "alarms": list(self.alarms), **levels}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on watching."""
        self.rows = deque(state["rows"], maxlen=self.window)
        self.alarms = list(state["alarms"])
        self.first, self.best = (Level(**state[key]) if state[key] else None for key in ("first", "best"))


def auxiliary_components(state: RunState) -> list[str]:
    """Return the components that are not the task's own; none where there is no such component to compare with."""
    pipeline = state.trainer.envs.pipeline
    components = {name: part for name, part in pipeline.parts.components.items() if name not in pipeline.potentials}
    others = [name for name, component in components.items() if not getattr(component, "is_task", False)]
    return others if len(others) < len(components) else []


def shares_of(records: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """Return the share of components in the sum of all absolute contributions.

    Example:
        >>> records = [{"components": {"right": {"contribution": 1.0}, "form": {"contribution": -3.0}}}]
        >>> shares_of(records, ["form"])
        {'form': 0.75}
    """
    sums: dict[str, float] = {}
    for record in records:
        for name, part in record["components"].items():
            paid = abs(part["contribution"])
            sums[name] = sums.get(name, 0.0) + (paid if math.isfinite(paid) else 0.0)
    whole = sum(sums.values())
    return {name: sums.get(name, 0.0) / whole if whole > 0 else 0.0 for name in names}


def level_of(rows: Sequence[Mapping[str, Any]], iteration: int) -> Level:
    """Return means and their standard errors over iterations."""
    true, shaped = (np.array([row[key] for row in rows]) for key in ("true", "shaped"))
    errors = [max(float(values.std(ddof=1)) / math.sqrt(len(values)), SMALLEST_DEVIATION) for values in (true, shaped)]
    names = rows[-1]["shares"]
    return Level(
        iteration=iteration,
        true=float(true.mean()),
        true_error=errors[0],
        shaped=float(shaped.mean()),
        shaped_error=errors[1],
        length=float(np.mean([row["length"] for row in rows])),
        shares={name: float(np.mean([row["shares"].get(name, 0.0) for row in rows])) for name in names},
    )
