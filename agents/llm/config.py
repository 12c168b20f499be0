"""Configuration of a PPO run. YAML fills these models; unknown keys are errors. Imports without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rlenvs.config_file import ConfigKeyError, load_config, parse_config
from rlenvs.wrappers.config.rewards import RewardConfig

PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of every section: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", serialize_by_alias=True)


class EnvConfig(Section):
    """What the policy trains on."""

    id: str = Field(description="registered id of a turn-level environment")
    kwargs: dict[str, Any] = Field(default_factory=dict, description="parameters of the environment")


class WarmStartConfig(Section):
    """Supervised learning that gives the embedded policy something to improve on."""

    target_accuracy: Annotated[float, Field(gt=0, le=1)] = Field(
        0.62, description="stop at this greedy accuracy on training problems"
    )
    max_accuracy: Annotated[float, Field(gt=0, le=1)] = Field(
        0.68, description="never start reinforcement learning from more than this"
    )
    max_steps: PositiveInt = Field(1_000, description="give up after this many optimiser steps")
    batch_size: PositiveInt = Field(256, description="demonstrations per step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(2e-3, description="peak learning rate of AdamW")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(20, description="steps of linear warm-up")
    check_every: PositiveInt = Field(10, description="steps between accuracy checks")
    check_problems: PositiveInt = Field(500, description="training problems per accuracy check")

    @model_validator(mode="after")
    def _there_is_a_window(self) -> "WarmStartConfig":
        if self.max_accuracy < self.target_accuracy:
            raise ConfigKeyError(
                "max_accuracy", f"must be >= target_accuracy ({self.target_accuracy}), got {self.max_accuracy}"
            )
        return self


class EmbeddedConfig(Section):
    """The policy that needs no download: a character tokenizer and a small Llama."""

    alphabet: str | None = Field(None, description="characters of the tokenizer; null: those of the demonstrations")
    hidden_size: PositiveInt = Field(128, description="width")
    layers: PositiveInt = Field(3, description="decoder layers")
    heads: PositiveInt = Field(4, description="attention heads; must divide hidden_size")
    max_positions: PositiveInt = Field(1_024, description="context window in tokens")
    warm_start: WarmStartConfig = WarmStartConfig()

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "EmbeddedConfig":
        if self.hidden_size % self.heads:
            raise ConfigKeyError("heads", f"must divide hidden_size ({self.hidden_size}), got {self.heads}")
        if self.hidden_size // self.heads % 2:
            raise ConfigKeyError(
                "heads", f"hidden_size / heads must be even (rotary positions), got {self.hidden_size} / {self.heads}"
            )
        return self


class PolicyConfig(Section):
    """Which language model is trained."""

    model: str = Field("embedded", description="'embedded', a folder made by save_pretrained, or a hub id")
    prompt_format: Literal["auto", "chat", "plain"] = Field(
        "auto",
        description="chat: the tokenizer's chat template; plain: text as it is; auto: chat where there is one",
    )
    embedded: EmbeddedConfig = EmbeddedConfig()

    @model_validator(mode="after")
    def _embedded_has_no_template(self) -> "PolicyConfig":
        if self.model == "embedded" and self.prompt_format == "chat":
            raise ConfigKeyError("prompt_format", "the embedded policy has no chat template: use 'auto' or 'plain'")
        return self


class RolloutConfig(Section):
    """How episodes are sampled."""

    episodes: PositiveInt = Field(512, description="episodes per iteration")
    max_new_tokens: PositiveInt = Field(64, description="tokens per message")
    context_tokens: PositiveInt = Field(1_024, description="prompt and messages together; longer episodes are cut")
    temperature: Annotated[float, Field(gt=0)] = Field(1.0, description="divides the logits, in sampling and training")
    batch_size: PositiveInt = Field(512, description="sequences generated at once")


class PPOConfig(Section):
    """The algorithm (Schulman et al. 2017), as used for language models (Huang et al. 2024)."""

    iterations: PositiveInt = Field(200, description="rollout and update rounds")
    epochs: PositiveInt = Field(1, description="passes over each rollout")
    minibatches: PositiveInt = Field(4, description="optimiser steps per pass")
    micro_batch_size: PositiveInt = Field(128, description="sequences per forward pass; gradients accumulate")
    learning_rate: Annotated[float, Field(gt=0)] = Field(1.5e-4, description="peak learning rate of AdamW")
    value_learning_rate_factor: Annotated[float, Field(gt=0)] = Field(
        1.0, description="the value head's learning rate over the trunk's"
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(20, description="optimiser steps of linear warm-up")
    lr_schedule: Literal["constant", "linear"] = Field("linear", description="linear: to 0 at the last step")
    weight_decay: NonNegative = Field(0.0, description="of AdamW")
    max_grad_norm: Annotated[float, Field(gt=0)] = Field(1.0, description="gradients are clipped to this norm")
    clip_range: Annotated[float, Field(gt=0)] = Field(0.2, description="of the probability ratio")
    value_clip_range: Annotated[float, Field(gt=0)] | None = Field(None, description="of the value; null: no clipping")
    critic: Literal["detached", "shared"] = Field(
        "detached", description="detached: the value loss trains the head alone; shared: the trunk too"
    )
    value_coef: NonNegative = Field(0.1, description="weight of the value loss")
    entropy_coef: NonNegative = Field(0.0, description="weight of the entropy bonus")
    kl_coef: NonNegative = Field(0.005, description="per-token penalty on log pi - log ref; 0: no reference model")
    gamma: Fraction = Field(1.0, description="discount per token")
    gae_lambda: Fraction = Field(1.0, description="of generalised advantage estimation")
    target_kl: Annotated[float, Field(gt=0)] | None = Field(
        None, description="end an iteration's updates above this KL between old and new policy; null: never"
    )
    logprob_chunk: PositiveInt = Field(1_024, description="tokens whose logits exist at the same time")
    shuffle_rewards: bool = Field(False, description="control experiment: deal the rewards to random episodes")


class EvaluationConfig(Section):
    """Accuracy on held-out problems by the environment's own grader, greedy and sampled."""

    every: PositiveInt = Field(20, description="iterations between evaluations; the first and last always are")
    problems: PositiveInt = Field(1_000, description="held-out problems, or all there are")


class OutputConfig(Section):
    """What a run leaves behind."""

    dir: str | None = Field(None, description="run folder; null: runs/<name>-<date>-<time>")
    checkpoint_every: PositiveInt = Field(20, description="iterations between checkpoints")
    keep_checkpoints: PositiveInt = Field(2, description="checkpoints kept")
    tensorboard: bool = Field(True, description="write TensorBoard events, where tensorboard is installed")


class TrainConfig(Section):
    """One PPO run of one language model on one environment with one reward."""

    name: str = Field("run", pattern=r"^[\w.-]+$", description="names the run folder")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of every random stream of the run")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    env: EnvConfig
    rewards: RewardConfig
    policy: PolicyConfig = PolicyConfig()
    rollout: RolloutConfig = RolloutConfig()
    ppo: PPOConfig = PPOConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    output: OutputConfig = OutputConfig()

    @classmethod
    def load(
        cls, config: "str | Path | Mapping[str, Any] | TrainConfig", overrides: Sequence[str] = ()
    ) -> "TrainConfig":
        """Read a YAML file or a mapping, with `key.sub=value` overrides.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        if isinstance(config, TrainConfig):
            return config
        if isinstance(config, Mapping):
            return parse_config(cls, config, overrides=overrides)
        return load_config(cls, config, overrides)

    @model_validator(mode="after")
    def _sizes_fit(self) -> "TrainConfig":
        if self.rollout.episodes < self.ppo.minibatches:
            raise ConfigKeyError(
                ("ppo", "minibatches"),
                f"must be <= rollout.episodes ({self.rollout.episodes}), got {self.ppo.minibatches}",
            )
        if self.rollout.max_new_tokens >= self.rollout.context_tokens:
            raise ConfigKeyError(
                ("rollout", "max_new_tokens"),
                f"must be < rollout.context_tokens ({self.rollout.context_tokens}), got {self.rollout.max_new_tokens}",
            )
        return self

    @model_validator(mode="after")
    def _shaping_stays_exact(self) -> "TrainConfig":
        for name, component in self.rewards.reward_components.items():
            if not component.is_potential:
                continue
            if (gamma := component.params.get("gamma", 1.0)) != self.ppo.gamma:
                raise ConfigKeyError(
                    ("rewards", *self.rewards.place_of(name, "gamma")),
                    f"must equal the learner's ppo.gamma ({self.ppo.gamma}), got {gamma}: "
                    "shaping leaves the optimal policy alone only when they are equal",
                )
            if gamma != 1.0 and component.params.get("gamma_unit", "step") != "token":
                raise ConfigKeyError(
                    ("rewards", *self.rewards.place_of(name, "gamma_unit")),
                    f"must be 'token' with ppo.gamma {self.ppo.gamma}: the learner discounts every token, while "
                    "shaping is paid once per turn, and would favour long or short answers",
                )
        return self

    @model_validator(mode="after")
    def _training_keeps_to_its_split(self) -> "TrainConfig":
        if "split" in self.env.kwargs:
            raise ConfigKeyError(
                ("env", "kwargs", "split"),
                "is not yours to set: training draws train problems, evaluation held-out ones",
            )
        return self
