"""What a pipeline returns: shaped rewards and everything they were made of."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.wrappers.base import OK, STATUS_DTYPE, STATUSES, FloatArray, StatusArray

CodeArray = npt.NDArray[np.uint8]
OK_CODE, INVALID_CODE, TIMEOUT_CODE, ERROR_CODE = range(4)
CODE_OF = {status: code for code, status in enumerate(STATUSES)}
STATUS_TEXTS: StatusArray = np.array(STATUSES, dtype=STATUS_DTYPE)

Visited = tuple[float, float]
"""Weighted and bare potential of a state, taken when it was visited."""


@dataclass(frozen=True, slots=True)
class RewardBatch:
    """Shaped rewards of N transitions and everything they were made of.

    The K columns are the configured names in their order, potentials among them. A potential's column holds
    Phi(s') (0 after `terminated`) as raw value and F as contribution.

    Attributes:
        total: `[N]` shaped rewards.
        raw: `[N, K]` what each component returned; NaN only where an error is masked.
        normalized: `[N, K]` raw values after normalisation (potentials are never normalised).
        weights: `[K]` weights at this step of the clock.
        contributions: `[N, K]` what each component adds, as the reducer sees it; a masked error contributes 0.
        potential: `[N]` sum of the potential terms F.
        codes: `[N, K]` statuses as numbers; `status` has them as texts.
        names: K names.
        visited: `[N, P, 2]` weighted and bare potentials of the states arrived at, for the next call.
    """

    total: FloatArray
    raw: FloatArray
    normalized: FloatArray
    weights: FloatArray
    contributions: FloatArray
    potential: FloatArray
    codes: CodeArray
    names: tuple[str, ...]
    visited: FloatArray

    @property
    def status(self) -> StatusArray:
        """`[N, K]` of `ok | invalid | timeout | error`."""
        return STATUS_TEXTS[self.codes]


@dataclass(slots=True)  # not frozen, which would cost a microsecond per step
class RewardRow:
    """The same for one transition, as plain numbers: what one step of one environment needs.

    Attributes:
        total: shaped reward.
        raw: K values; NaN only where an error is masked.
        normalized: K values.
        weights: K weights.
        contributions: K values.
        potential: sum of the potential terms F.
        status: K statuses.
        names: K names.
        visited: P pairs.
    """

    total: float
    raw: list[float]
    normalized: list[float]
    weights: list[float]
    contributions: list[float]
    potential: float
    status: list[str]
    names: tuple[str, ...]
    visited: list[Visited]

    def as_batch(self) -> RewardBatch:
        """Return a batch of one."""

        def row(values: Any) -> FloatArray:
            return np.array([values], dtype=np.float64)

        return RewardBatch(
            total=row(self.total),
            raw=row(self.raw),
            normalized=row(self.normalized),
            weights=np.array(self.weights, dtype=np.float64),
            contributions=row(self.contributions),
            potential=row(self.potential),
            codes=np.array([[CODE_OF[status] for status in self.status]], dtype=np.uint8),
            names=self.names,
            visited=row(self.visited).reshape(1, -1, 2),
        )

    def as_info(self, env_reward: float) -> dict[str, Any]:
        """Return the info entries that say what the reward was made of."""
        # Not `strict`, which costs a microsecond in ten steps: the pipeline made them of one length.
        parts = zip(self.names, self.raw, self.normalized, self.weights, self.contributions)  # noqa: B905
        return {
            "vector_reward": np.array(self.raw),
            "reward_weights": np.array(self.weights),
            "reward_components": {
                name: {"raw": raw, "normalized": normalized, "weight": weight, "contribution": contribution}
                for name, raw, normalized, weight, contribution in parts
            },
            "reward_status": self._statuses(),
            "reward_potential": self.potential,
            "env_reward": env_reward,
        }

    def _statuses(self) -> dict[str, str]:
        if self.status.count(OK) == len(self.status):
            return dict.fromkeys(self.names, OK)
        return dict(zip(self.names, self.status, strict=True))
