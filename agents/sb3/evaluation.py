"""True accuracy and return on held-out problems: what the environment itself says and pays, no shaped reward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from stable_baselines3.common.base_class import BaseAlgorithm

from rlenvs.agents.runs.environments import are_graded, held_out_problems, make_vector_env
from rlenvs.agents.sb3.config import SB3TrainConfig
from rlenvs.agents.sb3.state import own_randomness
from rlenvs.problems import Problem

CHUNK = 512  # episodes side by side: conversations and sandboxes of all problems at once need not fit


@dataclass(frozen=True, slots=True)
class Marks:
    """What came of N episodes, in the order of the problems.

    Attributes:
        returns: `[N]` sums of what the environment paid.
        correct: `[N]` whether the last message was right; None where the problems have no right answer.
    """

    returns: npt.NDArray[np.float64]
    correct: npt.NDArray[np.bool_] | None


class HeldOutEvaluation:
    """Greedy and sampled accuracy on one fixed set of held-out problems.

    Training goes on as if there had been no evaluation: it has environments and random numbers of its own.

    Args:
        config: of the run.

    Raises:
        ConfigError: no such environment, parameters it refuses, or one without held-out problems.
    """

    def __init__(self, config: SB3TrainConfig) -> None:
        env, chosen = config.env, config.algorithm
        self.problems: Sequence[Problem] = held_out_problems(
            env.id, env.kwargs, config.evaluation.problems, config.seed
        )
        limit = {} if env.max_episode_steps is None else {"max_episode_steps": env.max_episode_steps}
        kwargs = env.kwargs | limit | {"split": "held_out"}
        self.envs = make_vector_env(env.id, kwargs, min(len(self.problems), CHUNK))
        self.seed = config.seed
        self.masks_actions = chosen.masks_actions
        # Noise added to greedy actions is no policy of its own.
        self.modes = ("greedy",) if chosen.name == "dqn" else ("greedy", "sampled")

    def __call__(self, model: BaseAlgorithm) -> dict[str, float]:
        """Play every problem greedily, and once more sampled where the policy is a distribution.

        Returns:
            `return/greedy` and `return/sampled`, the mean sum of what the environment paid; `accuracy/greedy` and
            `accuracy/sampled` with their binomial standard errors, where the environment says what is correct; and
            `accuracy/problems`.
        """
        metrics: dict[str, float] = {"accuracy/problems": len(self.problems)}
        for mode in self.modes:
            with own_randomness(self.seed):
                marks = self.play(model, deterministic=mode == "greedy")
            metrics[f"return/{mode}"] = float(marks.returns.mean())
            if marks.correct is not None:
                share = float(marks.correct.mean())
                metrics[f"accuracy/{mode}"] = share
                metrics[f"accuracy/{mode}_stderr"] = (share * (1 - share) / len(marks.correct)) ** 0.5
        return metrics

    def play(self, model: BaseAlgorithm, deterministic: bool) -> Marks:
        """Play one episode on each problem.

        Args:
            model: acts.
            deterministic: whether it takes its best action, or samples.
        """
        returns = np.zeros(len(self.problems))
        correct = np.zeros(len(self.problems), dtype=np.bool_)
        for start in range(0, len(self.problems), self.envs.num_envs):
            stop = min(start + self.envs.num_envs, len(self.problems))
            self._play(model, deterministic, self.problems[start:stop], returns[start:stop], correct[start:stop])
        return Marks(returns, correct if are_graded(self.problems) else None)

    def close(self) -> None:
        """Close the environments."""
        self.envs.close()

    def _play(
        self,
        model: BaseAlgorithm,
        deterministic: bool,
        problems: Sequence[Problem],
        returns: npt.NDArray[np.float64],
        correct: npt.NDArray[np.bool_],
    ) -> None:
        """Play the problems of one chunk; the rows behind them, in the last chunk, stay over."""
        count, rows = self.envs.num_envs, len(problems)
        going = np.arange(count) < rows
        options = {"problems": [*problems, *[None] * (count - rows)], "reset_mask": going.copy()}
        observations, _ = self.envs.reset(seed=self.seed, options=options)
        memory: Any = None
        starts = np.ones(count, dtype=np.bool_)
        while going.any():
            actions, memory = self._act(model, observations, memory, starts, deterministic)
            observations, rewards, terminated, truncated, infos = self.envs.step(actions)
            starts[:] = False
            returns += np.where(going, rewards, 0.0)[:rows]
            ended = going & (terminated | truncated)
            if ended.any() and "correct" in infos:
                told = np.flatnonzero(ended & infos["_correct"])
                correct[told] = np.asarray(infos["correct"])[told].astype(np.bool_)
            going &= ~ended

    def _act(
        self, model: BaseAlgorithm, observations: Any, memory: Any, starts: npt.NDArray[np.bool_], deterministic: bool
    ) -> tuple[Any, Any]:
        policy: Any = model.policy
        masks = {"action_masks": self.envs.unwrapped.action_masks()} if self.masks_actions else {}  # type: ignore[attr-defined]
        actions, memory = policy.predict(observations, memory, starts, deterministic, **masks)
        return actions, memory
