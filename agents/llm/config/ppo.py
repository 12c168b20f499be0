"""Configuration of the algorithm."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rlenvs.agents.llm.algorithm.names import Estimator, ImportanceMode, KLEstimator, LossNormalization
from rlenvs.agents.runs.section import Count, Fraction, NonNegative, Positive, PositiveInt, Section
from rlenvs.config_file import ConfigKeyError


class PPOConfig(Section):
    """The algorithm (Schulman et al. 2017), as used for language models (Huang et al. 2024)."""

    iterations: PositiveInt = Field(200, description="rollout and update rounds")
    epochs: PositiveInt = Field(1, description="passes over each rollout")
    minibatches: PositiveInt = Field(4, description="optimiser steps per pass")

    learning_rate: Positive = Field(1.5e-4, description="peak learning rate of AdamW")
    warmup_steps: Count = Field(20, description="optimiser steps of linear warm-up")
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="linear, cosine: to 0 at the last step"
    )
    weight_decay: NonNegative = Field(0.0, description="of AdamW")
    max_grad_norm: Positive = Field(1.0, description="gradients are clipped to this norm")

    estimator: Estimator = Field("gae", description="where advantages come from; only gae uses the critic")
    gamma: Fraction = Field(1.0, description="discount per token")
    gae_lambda: Fraction = Field(1.0, description="of generalised advantage estimation")
    critic_lambda: Fraction | None = Field(None, description="lambda of the critic's returns; null: gae_lambda")
    length_adaptive_alpha: Positive | None = Field(
        None, description="gae_lambda becomes 1 - 1 / (alpha * tokens) per episode (VAPO); null: gae_lambda"
    )
    whiten: bool = Field(True, description="scale advantages to mean 0 and deviation 1 over the rollout's tokens")

    clip_range: Positive = Field(0.2, description="of the probability ratio")
    clip_range_high: Positive | None = Field(None, description="upper clip range (clip-higher); null: clip_range")
    dual_clip: Annotated[float, Field(gt=1)] | None = Field(
        None, description="bound on the ratio where the advantage is negative; null: none"
    )
    loss_normalization: LossNormalization = Field(
        "token", description="mean over tokens, over episodes, or constant: over episodes * rollout.max_new_tokens"
    )
    entropy_coef: NonNegative = Field(0.0, description="weight of the entropy bonus")
    old_logprobs: Literal["auto", "recompute", "engine"] = Field(
        "auto",
        description="engine: trust the engine's, which saves a pass; auto: where it computes what the trainer does",
    )
    importance: ImportanceMode | None = Field(
        None, description="weights pi_trainer / pi_engine on the policy loss; null: none"
    )
    importance_cap: Annotated[float, Field(ge=1)] = Field(2.0, description="largest importance weight")
    importance_floor: Fraction = Field(0.0, description="smallest importance weight")

    critic: Literal["detached", "shared", "adapter", "copy"] = Field(
        "detached",
        description="detached: a head on the trunk's features; shared: its loss trains the trunk too; "
        "adapter: a head on adapters of its own; copy: on a copy of the model",
    )
    value_coef: NonNegative = Field(0.1, description="weight of the value loss")
    value_clip_range: Positive | None = Field(None, description="of the value; null: no clipping")
    value_learning_rate_factor: Positive = Field(1.0, description="the critic's learning rate over the policy's")
    value_warmup: Count = Field(0, description="first iterations in which only the critic learns")

    kl_coef: NonNegative = Field(0.005, description="weight of the KL divergence to the reference; 0: no reference")
    kl_in: Literal["reward", "loss"] = Field("reward", description="a penalty per token, or a term of the loss")
    kl_estimator: KLEstimator = Field("k1", description="how one token estimates the KL divergence")
    kl_target: Positive | None = Field(
        None, description="adapt kl_coef to hold this KL, nats per token; null: kl_coef is fixed"
    )
    kl_horizon: PositiveInt = Field(10_000, description="episodes over which an adaptive kl_coef may move by 20 %")
    target_kl: Positive | None = Field(
        None, description="end an iteration's updates above this KL between old and new policy; null: never"
    )
    shuffle_rewards: bool = Field(False, description="control experiment: deal the rewards to random episodes")

    @property
    def uses_critic(self) -> bool:
        """Whether values decide anything."""
        return self.estimator == "gae"

    @model_validator(mode="after")
    def _switches_agree(self) -> "PPOConfig":
        if self.kl_target is not None and self.kl_coef == 0.0:
            raise ConfigKeyError("kl_target", "needs ppo.kl_coef > 0 to start from")
        if self.value_warmup and not self.uses_critic:
            raise ConfigKeyError("value_warmup", f"estimator {self.estimator!r} has no critic to warm up")
        if self.importance is not None and self.old_logprobs == "engine":
            raise ConfigKeyError("importance", "compares with the trainer's numbers: use old_logprobs: recompute")
        return self
