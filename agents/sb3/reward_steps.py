"""What a step of N environments was paid and for what, whatever kind of `VecEnv` they are in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from rlenvs.agents.sb3.vec_env import VectorEnvAdapter
from rlenvs.wrappers.reward_batch import CODE_OF, RewardBatch

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RewardStep:
    """The rewards of one step.

    Attributes:
        shaped: `[N]` what the reward layer paid.
        true: `[N]` what the environment itself paid.
        batch: what the shaped rewards were made of; None without a reward layer.
    """

    shaped: Floats
    true: Floats
    batch: RewardBatch | None


class RewardStepReader:
    """Reads the newest step of a `VecEnv`: from the arrays of a `VectorEnvAdapter`, else from the infos of each row.

    Args:
        env: what an algorithm trains in, whatever wraps it.
    """

    def __init__(self, env: VecEnv) -> None:
        self.adapter = find_layer(env, VectorEnvAdapter)
        self.normalizer = find_layer(env, VecNormalize)

    def read(self, rewards: npt.NDArray[Any], infos: Sequence[Mapping[str, Any]]) -> RewardStep:
        """Return the step.

        Args:
            rewards: `[N]` what the algorithm was given.
            infos: of the N rows.
        """
        if self.adapter is not None:
            true = np.array(self.adapter.last_env_rewards, dtype=np.float64)
            batch = None if self.adapter.layer is None else self.adapter.layer.last_batch
            return RewardStep(true if batch is None else batch.total, true, batch)
        if self.normalizer is not None:
            rewards = self.normalizer.get_original_reward()
        shaped = np.array(rewards, dtype=np.float64)
        if not all("reward_components" in info for info in infos):
            return RewardStep(shaped, shaped, None)
        true = np.array([info["env_reward"] for info in infos], dtype=np.float64)
        return RewardStep(shaped, true, batch_of(shaped, infos))


def find_layer(env: VecEnv, kind: type[Any]) -> Any:
    """Return the outermost layer of a kind in a stack of `VecEnv` wrappers; None where there is none."""
    layer: VecEnv = env
    while not isinstance(layer, kind):
        if not isinstance(layer, VecEnvWrapper):
            return None
        layer = layer.venv
    return layer


def batch_of(shaped: Floats, infos: Sequence[Mapping[str, Any]]) -> RewardBatch:
    """Return the rewards of N single environments as the batch that a vector environment would have made.

    Args:
        shaped: `[N]` rewards.
        infos: of N rows, each with what `ShapedReward` says.
    """
    names = tuple(infos[0]["reward_components"])

    def columns(key: str) -> Floats:
        return np.array([[info["reward_components"][name][key] for name in names] for info in infos])

    return RewardBatch(
        total=shaped,
        raw=columns("raw"),
        normalized=columns("normalized"),
        weights=np.array([infos[0]["reward_components"][name]["weight"] for name in names]),
        contributions=columns("contribution"),
        potential=np.array([info["reward_potential"] for info in infos]),
        codes=np.array([[CODE_OF[info["reward_status"][name]] for name in names] for info in infos], dtype=np.uint8),
        names=names,
        visited=np.zeros((len(infos), 0, 2)),
    )
