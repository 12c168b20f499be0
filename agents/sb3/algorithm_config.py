"""Parameters of the algorithms, under the names and with the defaults of their constructors. Imports without torch.

What decides how a run goes and is no parameter of learning (device, logging, seeds) has a place of its own in the
configuration; what token environments have no use for (state-dependent exploration, buffers of one's own) has none.
"""

import math
from abc import abstractmethod
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from rlenvs.agents.runs.section import Count, Fraction, NonNegative, Positive, PositiveInt, Section
from rlenvs.config_file import ConfigKeyError
from rlenvs.shown import shown

LINEAR = "lin_"


def check_scheduled(value: float | str) -> float | str:
    """Return a number that may move while a run goes on.

    Raises:
        ValueError: it is neither a number above 0 nor the notation of one that falls.

    Example:
        >>> check_scheduled("lin_3e-4")
        'lin_3e-4'
    """
    try:
        start = float(value.removeprefix(LINEAR)) if isinstance(value, str) and value.startswith(LINEAR) else value
    except ValueError:
        start = value
    if isinstance(start, str) or not 0 < start < math.inf:
        raise ValueError(f"must be a number > 0, or {LINEAR}X for one that falls from X to 0, got {shown(value)}")
    return value


Scheduled = Annotated[float | str, AfterValidator(check_scheduled)]
"""A number, or `lin_3e-4`: from that number to 0 over the whole run, in the notation of rl-zoo3."""


class AlgorithmConfig(Section):
    """What all algorithms have."""

    OWN: ClassVar[frozenset[str]] = frozenset({"name", "total_timesteps"})

    name: str
    total_timesteps: PositiveInt = Field(description="environment steps of the whole run, of all environments together")
    learning_rate: Scheduled
    gamma: Fraction = Field(0.99, description="discount per environment step")

    @property
    def masks_actions(self) -> bool:
        """Whether illegal actions are left out of the choice."""
        return False

    @property
    def is_recurrent(self) -> bool:
        """Whether the policy remembers what it saw."""
        return False

    @abstractmethod
    def rollout_steps(self, num_envs: int) -> int:
        """Return the environment steps of one round of collecting and learning."""

    def parameters(self) -> dict[str, Any]:
        """Return what the constructor takes, schedules as they are written."""
        return {key: value for key, value in self.model_dump().items() if key not in self.OWN}

    def check_sizes(self, num_envs: int) -> None:
        """Refuse sizes that do not fit each other.

        Raises:
            ConfigKeyError: blames a key of this section.
        """
        steps = self.rollout_steps(num_envs)
        if self.total_timesteps < steps:
            raise ConfigKeyError(
                "total_timesteps",
                f"must be >= {steps}, the steps of one round of {num_envs} environments, got {self.total_timesteps}",
            )


class OnPolicyConfig(AlgorithmConfig):
    """What learns from each rollout once and throws it away."""

    n_steps: PositiveInt
    gae_lambda: Fraction
    ent_coef: NonNegative = Field(0.0, description="weight of the entropy bonus")
    vf_coef: NonNegative = Field(0.5, description="weight of the value loss")
    max_grad_norm: Positive = Field(0.5, description="gradients are clipped to this norm")

    def rollout_steps(self, num_envs: int) -> int:
        """Return the environment steps of one rollout."""
        return self.n_steps * num_envs


class A2CConfig(OnPolicyConfig):
    """Advantage actor-critic (Mnih et al. 2016)."""

    name: Literal["a2c"]
    learning_rate: Scheduled = 7e-4
    n_steps: PositiveInt = Field(5, description="steps of each environment per rollout")
    gae_lambda: Fraction = Field(1.0, description="of generalised advantage estimation")
    rms_prop_eps: Positive = Field(1e-5, description="of RMSProp")
    use_rms_prop: bool = Field(True, description="RMSProp as in the paper; false: Adam")
    normalize_advantage: bool = Field(False, description="normalise advantages in each rollout")


class ClippedConfig(OnPolicyConfig):
    """What the three kinds of PPO have (Schulman et al. 2017)."""

    learning_rate: Scheduled = Field(3e-4, description="a number, or lin_3e-4: linear to 0")
    gae_lambda: Fraction = Field(0.95, description="of generalised advantage estimation")
    n_epochs: PositiveInt = Field(10, description="passes over each rollout")
    clip_range: Scheduled = Field(0.2, description="of the policy's probability ratio")
    clip_range_vf: Scheduled | None = Field(None, description="of the value function; null: not clipped")
    normalize_advantage: bool = Field(True, description="normalise advantages in each minibatch")
    target_kl: Positive | None = Field(None, description="no further epoch once the update went this far")
    batch_size: Annotated[int, Field(ge=2)]

    def check_sizes(self, num_envs: int) -> None:
        """Refuse minibatches that do not divide the rollout: the last one would be cut.

        Raises:
            ConfigKeyError: blames a key of this section.
        """
        super().check_sizes(num_envs)
        steps = self.rollout_steps(num_envs)
        if steps % self.batch_size:
            fitting = [size for size in range(2, steps + 1) if steps % size == 0]
            nearest = min(fitting, key=lambda size: abs(size - self.batch_size))
            raise ConfigKeyError(
                "batch_size",
                f"must divide n_steps * env.num_envs ({self.n_steps} * {num_envs} = {steps}), or the last minibatch is "
                f"cut, got {self.batch_size}: the nearest that does is {nearest}",
            )


class PPOConfig(ClippedConfig):
    """Proximal policy optimisation."""

    name: Literal["ppo"]
    n_steps: PositiveInt = Field(2048, description="steps of each environment per rollout")
    batch_size: Annotated[int, Field(ge=2)] = Field(64, description="environment steps per optimiser step")


class MaskablePPOConfig(ClippedConfig):
    """PPO that never plays an illegal action (sb3-contrib)."""

    name: Literal["maskable_ppo"]
    n_steps: PositiveInt = Field(2048, description="steps of each environment per rollout")
    batch_size: Annotated[int, Field(ge=2)] = Field(64, description="environment steps per optimiser step")

    @property
    def masks_actions(self) -> bool:
        """Whether illegal actions are left out of the choice."""
        return True


class RecurrentPPOConfig(ClippedConfig):
    """PPO with an LSTM between features and heads (sb3-contrib)."""

    name: Literal["recurrent_ppo"]
    n_steps: PositiveInt = Field(128, description="steps of each environment per rollout")
    batch_size: Annotated[int, Field(ge=2)] = Field(128, description="environment steps per optimiser step")

    @property
    def is_recurrent(self) -> bool:
        """Whether the policy remembers what it saw."""
        return True


class DQNConfig(AlgorithmConfig):
    """Deep Q-network (Mnih et al. 2015) with n-step returns."""

    name: Literal["dqn"]
    learning_rate: Scheduled = Field(1e-4, description="a number, or lin_1e-4: linear to 0")
    buffer_size: PositiveInt = Field(1_000_000, description="transitions kept, of all environments together")
    learning_starts: Count = Field(100, description="environment steps before anything is learned")
    batch_size: PositiveInt = Field(32, description="transitions per gradient step")
    tau: Fraction = Field(1.0, description="share of the target network that an update replaces")
    train_freq: PositiveInt = Field(4, description="steps of each environment between updates")
    gradient_steps: Annotated[int, Field(ge=-1)] = Field(
        1, description="gradient steps per update; -1: as many as environment steps were taken since the last"
    )
    n_steps: PositiveInt = Field(1, description="steps of a return before it bootstraps")
    target_update_interval: PositiveInt = Field(10_000, description="environment steps between updates of the target")
    exploration_fraction: Fraction = Field(0.1, description="share of the run over which exploration falls")
    exploration_initial_eps: Fraction = Field(1.0, description="share of random actions at first")
    exploration_final_eps: Fraction = Field(0.05, description="share of random actions at last")
    max_grad_norm: Positive = Field(10.0, description="gradients are clipped to this norm")

    def rollout_steps(self, num_envs: int) -> int:
        """Return the environment steps between two updates."""
        return self.train_freq * num_envs

    def check_sizes(self, num_envs: int) -> None:
        """Refuse a run that ends before it learns.

        Raises:
            ConfigKeyError: blames a key of this section.
        """
        super().check_sizes(num_envs)
        if self.learning_starts >= self.total_timesteps:
            raise ConfigKeyError(
                "learning_starts",
                f"must be < total_timesteps ({self.total_timesteps}), or nothing is learned, "
                f"got {self.learning_starts}",
            )
        if self.buffer_size < num_envs:
            raise ConfigKeyError("buffer_size", f"must be >= env.num_envs ({num_envs}), got {self.buffer_size}")

    @model_validator(mode="after")
    def _exploration_takes_time(self) -> "DQNConfig":
        if self.exploration_fraction == 0.0:
            raise ConfigKeyError("exploration_fraction", "must be > 0: exploration falls over this share of the run")
        return self


AnyAlgorithm = Annotated[
    PPOConfig | A2CConfig | DQNConfig | MaskablePPOConfig | RecurrentPPOConfig, Field(discriminator="name")
]
