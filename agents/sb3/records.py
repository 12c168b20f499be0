"""Lines of `rollouts.jsonl`: some of the episodes that a run played, each with what it was paid for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlenvs.agents.sb3.reward_steps import RewardStep
from rlenvs.agents.sb3.vec_env import VectorEnvAdapter
from rlenvs.wrappers.reward_batch import STATUS_TEXTS, RewardBatch

Floats = npt.NDArray[np.float64]


class EpisodeRecorder:
    """Writes down the first episodes that end in each iteration, one record each.

    Every row's contributions are summed from the start of its episode; what an episode said is asked of the
    environment only where it is kept.

    Args:
        adapter: the environments.
        limit: most records per iteration.
    """

    def __init__(self, adapter: VectorEnvAdapter, limit: int) -> None:
        self.adapter = adapter
        self.limit = limit
        self.records: list[dict[str, Any]] = []
        columns = 0 if adapter.layer is None else len(adapter.layer.pipeline.names)
        self._contributions: Floats = np.zeros((adapter.num_envs, columns))
        self._potential: Floats = np.zeros(adapter.num_envs)
        self._shaped: Floats = np.zeros(adapter.num_envs)
        self._true: Floats = np.zeros(adapter.num_envs)
        self._lengths = np.zeros(adapter.num_envs, dtype=np.int64)

    def see(self, step: RewardStep, dones: npt.NDArray[np.bool_]) -> None:
        """Count a step, and record episodes that ended in it.

        Args:
            step: of N rows.
            dones: `[N]` rows whose episode ended.
        """
        self._shaped += step.shaped
        self._true += step.true
        self._lengths += 1
        if step.batch is not None:
            self._contributions += step.batch.contributions
            self._potential += step.batch.potential
        ended = np.flatnonzero(dones)
        for row in ended[: max(0, self.limit - len(self.records))].tolist():
            self.records.append(self._record(row, step.batch))
        for sums in (self._shaped, self._true, self._lengths, self._contributions, self._potential):
            sums[ended] = 0

    def take(self, iteration: int, step: int) -> list[dict[str, Any]]:
        """Return the records of an iteration, and begin the next.

        Args:
            iteration: its number.
            step: environment steps at its end.
        """
        found = [{"iteration": iteration, "step": step} | record for record in self.records]
        self.records = []
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the episodes at hand, as plain data."""
        return {name: sums.tolist() for name, sums in self._sums().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        for name, sums in self._sums().items():
            sums[:] = np.array(state[name]).reshape(sums.shape)

    def _sums(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "contributions": self._contributions,
            "potential": self._potential,
            "shaped": self._shaped,
            "true": self._true,
            "lengths": self._lengths,
        }

    def _record(self, row: int, batch: RewardBatch | None) -> dict[str, Any]:
        info = self.adapter.final_info(row)
        messages = info.get("messages") or [{"content": ""}]
        return {
            "env": row,
            "problem_id": info.get("problem_id"),
            "prompt": messages[0]["content"],
            "response": info.get("response", info.get("response_so_far", "")),
            "reward": float(self._shaped[row]),
            "env_reward": float(self._true[row]),
            "potential": float(self._potential[row]),
            "correct": _plain_bool(info.get("correct")),
            "grade_status": info.get("grade_status"),
            "tokens": int(self._lengths[row]),
            "components": {} if batch is None else self._components(row, batch),
        }

    def _components(self, row: int, batch: RewardBatch) -> dict[str, dict[str, Any]]:
        """Return raw value, weight and status at the end of the episode, and the contribution of all of it."""
        return {
            name: {
                "raw": float(batch.raw[row, k]),
                "weight": float(batch.weights[k]),
                "contribution": float(self._contributions[row, k]),
                "status": str(STATUS_TEXTS[batch.codes[row, k]]),
            }
            for k, name in enumerate(batch.names)
        }


def _plain_bool(value: Any) -> bool | None:
    return None if value is None else bool(value)
