"""The clock of reward schedules, kept by whoever trains."""

from typing import Literal, cast

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.type_aliases import TrainFreq, TrainFrequencyUnit

from rlenvs.errors import UserError, WrapperOrderError

CLOCK = "set_global_step"


class RewardScheduleCallback(BaseCallback):
    """Keeps one reward clock for all environments: before every step, schedules read how far the training is.

    Without it each `ShapedReward` counts its own steps, so that N environments of a `DummyVecEnv` run a schedule N
    times as slowly as it says, and a loaded model begins at step 0 again. The clock is set by `env_method`, which
    reaches through every wrapper and into other processes; `set_attr` would not.

    Args:
        unit: what schedules count: `steps` of all environments together, or `rollouts` begun before this one.
        verbose: as in Stable-Baselines3.

    Raises:
        WrapperOrderError: when training starts, if no environment has a reward clock.

    Example:
        >>> RewardScheduleCallback().unit
        'steps'
    """

    def __init__(self, unit: Literal["steps", "rollouts"] = "steps", verbose: int = 0) -> None:
        super().__init__(verbose)
        if unit not in ("steps", "rollouts"):
            raise UserError(f"unit must be 'steps' or 'rollouts', got {unit!r}")
        self.unit = unit

    def _on_training_start(self) -> None:
        if not self.training_env.has_attr(CLOCK):
            raise WrapperOrderError(
                "RewardScheduleCallback found no reward clock to keep: wrap each environment in ShapedReward "
                "(make_vec_env(..., wrapper_class=ShapedReward)), or leave the callback out"
            )
        self._set_clock()

    def _on_rollout_start(self) -> None:
        self._set_clock()

    def _on_step(self) -> bool:
        if self.unit == "steps":
            self._set_clock()
        return True

    def _set_clock(self) -> None:
        steps = self.num_timesteps if self.unit == "steps" else self.num_timesteps // self._rollout_steps()
        self.training_env.env_method(CLOCK, steps)

    def _rollout_steps(self) -> int:
        """Return the steps of a rollout: counted from the model's own steps, rollouts survive a resume."""
        model = self.model
        if isinstance(model, OnPolicyAlgorithm):
            return model.n_steps * model.n_envs
        if isinstance(model, OffPolicyAlgorithm):
            every = cast(TrainFreq, model.train_freq)  # what it is once the model is set up
            if every.unit is TrainFrequencyUnit.STEP:
                return every.frequency * model.n_envs
        raise UserError(
            f"unit 'rollouts' needs rollouts of a fixed number of steps, which this {type(model).__name__} does not "
            "have: use 'steps'"
        )
