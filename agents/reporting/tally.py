"""What the rollouts of a run say together: rewards by verdict, failures by component."""

import json
import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field

from rlenvs.agents.reporting.reading import finite

FAILING = frozenset({"invalid", "timeout", "error"})
GRADER = "(grader)"
LARGEST_COUNT = 1e15
MAX_COMPONENTS = 64  # names of components come from a file that may be damaged


@dataclass
class Mean:
    """A running mean."""

    total: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Count one value."""
        self.total += value
        self.count += 1

    @property
    def value(self) -> float:
        """The mean; NaN before the first value."""
        return self.total / self.count if self.count else math.nan


@dataclass
class Failures:
    """Verdicts of one component or of the grader that were not `ok`."""

    statuses: Counter[str] = field(default_factory=Counter)
    first_iteration: int | None = None
    last_iteration: int | None = None

    def add(self, status: str, iteration: int | None) -> None:
        """Count one verdict."""
        self.statuses[status] += 1
        if iteration is not None:
            self.first_iteration = iteration if self.first_iteration is None else min(self.first_iteration, iteration)
            self.last_iteration = iteration if self.last_iteration is None else max(self.last_iteration, iteration)


@dataclass
class Tally:
    """What a pass over all rollouts found.

    Args:
        rows: Number of rollouts.
        right: Rewards of right answers.
        wrong: Rewards of wrong answers.
        right_by_iteration: The same by iteration.
        wrong_by_iteration: The same by iteration.
        components: Names in order of appearance.
        failures: By component; the grader's own under `GRADER`.
        env: The first environment that is named.
    """

    rows: int = 0
    right: Mean = field(default_factory=Mean)
    wrong: Mean = field(default_factory=Mean)
    right_by_iteration: dict[int, Mean] = field(default_factory=lambda: defaultdict(Mean))
    wrong_by_iteration: dict[int, Mean] = field(default_factory=lambda: defaultdict(Mean))
    components: dict[str, None] = field(default_factory=dict)
    failures: dict[str, Failures] = field(default_factory=dict)
    env: str = ""

    def disagrees(self, reward: float | None, correct: bool | None) -> bool:
        """Tell whether a wrong answer earned more than the average right one, or a right one less than a wrong one.

        Where the run has no answer of the other kind to compare with, nothing disagrees.
        """
        if reward is None or correct is None:
            return False
        return reward < self.wrong.value if correct else reward > self.right.value

    def add(self, row: dict[str, object]) -> bool:
        """Add a rollout to the statistics; return whether any verdict about it failed."""
        reward, iteration, correct = finite(row.get("reward")), whole(row.get("iteration")), row.get("correct")
        self.rows += 1
        if not self.env and isinstance(row.get("env"), str):
            self.env = str(row["env"])
        if reward is not None and isinstance(correct, bool):
            (self.right if correct else self.wrong).add(reward)
            if iteration is not None:
                (self.right_by_iteration if correct else self.wrong_by_iteration)[iteration].add(reward)
        failed = False
        verdicts = [(GRADER, row.get("grade_status"))]
        for name, value in mapping(row.get("components")).items():
            if name in self.components or len(self.components) < MAX_COMPONENTS:
                self.components.setdefault(name)
                verdicts.append((name, mapping(value).get("status")))
        for name, status in verdicts:
            if isinstance(status, str) and status in FAILING:
                self.failures.setdefault(name, Failures()).add(status, iteration)
                failed = True
        return failed


def mapping(value: object) -> dict[str, object]:
    """Return a JSON object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """Return a string as it is, nothing for None, anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def whole(value: object) -> int | None:
    """Return a number as an integer, None for anything else and for what no counter reaches."""
    number = finite(value)
    return None if number is None or abs(number) > LARGEST_COUNT else int(number)
