"""What a study is: everything that those who work on it must agree on, and how long this one works on it."""

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.engine.pruners import PrunerConfig
from rlenvs.agents.tuning.engine.samplers import SamplerConfig
from rlenvs.errors import StudyError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["StudyPlan"]

MEMORY = "memory"
"""Storage of a study that ends with its process."""

DIRECTIONS = ("maximize", "minimize")
MAX_SEED = 2**32


@dataclass(frozen=True)
class StudyPlan:
    """What a study is, and how long to work on it.

    Attributes:
        name: of the study, unique in its storage.
        storage: URL (see `storage.open_storage`) or, for work in this process alone, a storage of Optuna.
        directions: `maximize` or `minimize`, one for each objective.
        n_trials: how many trials are to finish, all sessions and machines together.
        timeout_s: seconds after which no new trial begins; None: no limit. Running trials finish.
        seed: of all proposals, in [0, 2**32).
        sampler: who proposes parameters.
        pruner: which trials end early.
        fingerprint: what else must be equal for whoever joins or resumes the study, as plain JSON: the search space,
            the base configuration, the objective.
        heartbeat_s: seconds between two signs of life of a running trial.
        grace_s: seconds without a sign of life after which a trial is given to somebody else. A worker that ended on
            the same machine is noticed at once.
        max_retries: how often a trial whose worker died is tried again before it counts as failed.
    """

    name: str
    storage: "str | BaseStorage" = MEMORY
    directions: tuple[str, ...] = ("maximize",)
    n_trials: int = 100
    timeout_s: float | None = None
    seed: int = 0
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    pruner: PrunerConfig = field(default_factory=PrunerConfig)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    heartbeat_s: float = 5.0
    grace_s: float = 60.0
    max_retries: int = 3

    def __post_init__(self) -> None:
        """Refuse what cannot be run.

        Raises:
            StudyError: a value is out of its range; the message says which.
        """
        for rule, holds, got in (
            ("name must have 1 to 200 printable characters", _is_name(self.name), self.name),
            ("directions must be 'maximize' or 'minimize', one per objective", self._directed(), self.directions),
            ("n_trials must be an integer >= 1", _is_count(self.n_trials, 1), self.n_trials),
            ("timeout must be > 0 seconds", self.timeout_s is None or self.timeout_s > 0, self.timeout_s),
            ("seed must be an integer in [0, 2**32)", _is_count(self.seed, 0) and self.seed < MAX_SEED, self.seed),
            ("heartbeat_s must be > 0", 0 < self.heartbeat_s < math.inf, self.heartbeat_s),
            ("grace_s must be at least 2 * heartbeat_s", self.grace_s >= 2 * self.heartbeat_s, self.grace_s),
            ("max_retries must be an integer >= 0", _is_count(self.max_retries, 0), self.max_retries),
        ):
            if not holds:
                raise StudyError(f"{rule}, got {got!r}")
        self.sampler.check(self.directions)
        self.pruner.check()

    def _directed(self) -> bool:
        return len(self.directions) > 0 and all(direction in DIRECTIONS for direction in self.directions)

    def identity(self) -> dict[str, Any]:
        """Return what must be equal for whoever works on the study, as plain JSON."""
        return {
            "directions": list(self.directions),
            "seed": self.seed,
            "sampler": self.sampler.model_dump(mode="json"),
            "pruner": self.pruner.model_dump(mode="json"),
            "max_retries": self.max_retries,
            **{str(key): value for key, value in self.fingerprint.items()},
        }

    def replace(self, **changes: Any) -> "StudyPlan":
        """Return the same plan with some values changed."""
        return dataclasses.replace(self, **changes)


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_name(name: object) -> bool:
    return isinstance(name, str) and re.fullmatch(r"[^\x00-\x1f\x7f]{1,200}", name) is not None and name.strip() != ""
