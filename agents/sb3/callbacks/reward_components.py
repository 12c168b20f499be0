"""What rewards are made of, in the logger of Stable-Baselines3."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from rlenvs.agents.sb3.callbacks.windows import RewardWindow
from rlenvs.agents.sb3.episodes import EpisodeSums
from rlenvs.agents.sb3.reward_steps import RewardStep, RewardStepReader

MARK = "reward/total"
"""Always recorded: where it is missing, the logger has been emptied since."""


class RewardComponentsCallback(BaseCallback):
    """Logs the true return beside the shaped one, and raw value, weight, contribution and failures of each component.

    Works around `DummyVecEnv`, `SubprocVecEnv` and `VectorEnvAdapter`, under `VecNormalize` too. Means and counts are
    of what happened since the logger was written last; the keys are those of a run's `metrics.jsonl`, so TensorBoard
    shows runs and scripts side by side:

    | key | meaning |
    |---|---|
    | `return/true`, `return/shaped` | mean over episodes that ended: what the environment paid, what was trained on |
    | `accuracy/train` | share of them whose answer was right, where the environment says so |
    | `length/mean` | steps of them, mean |
    | `reward/total`, `reward/env`, `reward/potential` | means per step |
    | `component/NAME/raw`, `component/NAME/contribution`, `weight/NAME` | of a component; the weight is the newest |
    | `failures/NAME`, `invalid/NAME` | counts of errors, and of verdicts that were `invalid` or `timeout` |

    Args:
        verbose: as in Stable-Baselines3.
        on_step: shown every step, and which episodes `[N]` ended in it.

    Example:
        >>> RewardComponentsCallback().state_dict()["true"]
        []
    """

    def __init__(self, verbose: int = 0, on_step: Callable[[RewardStep, Any], None] | None = None) -> None:
        super().__init__(verbose)
        self.on_step_read = on_step
        self.sums = EpisodeSums(0)
        self.pending, self.window = RewardWindow(), RewardWindow()
        self.reader: RewardStepReader | None = None

    def _on_training_start(self) -> None:
        self.reader = RewardStepReader(self.training_env)
        if len(self.sums.lengths) != self.training_env.num_envs:
            self.sums = EpisodeSums(self.training_env.num_envs)

    def _on_step(self) -> bool:
        assert self.reader is not None
        infos, dones = self.locals["infos"], np.asarray(self.locals["dones"], dtype=np.bool_)
        step = self.reader.read(self.locals["rewards"], infos)
        self.sums.add(step.true, step.shaped)
        self.pending.add(step)
        if self.on_step_read is not None:
            self.on_step_read(step, dones)
        ended = np.flatnonzero(dones)
        if len(ended):
            for row, episode in zip(ended.tolist(), self.sums.close(ended), strict=True):
                correct = infos[row].get("is_success", infos[row].get("correct"))
                self.pending.end_episode(episode["r"], episode["shaped"], episode["l"], correct)
        return True

    def _on_rollout_end(self) -> None:
        written = self.logger.name_to_value
        if MARK not in written:
            self.window = RewardWindow()
        self.window.merge(self.pending)
        self.pending = RewardWindow()
        for key, value in self.window.metrics().items():
            self.logger.record(key, value)

    def state_dict(self) -> dict[str, Any]:
        """Return the sums of the episodes at hand, as plain data."""
        return self.sums.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.sums = EpisodeSums(len(state["lengths"]))
        self.sums.load_state_dict(state)
