"""Configuration of a supervised run. YAML fills these models; unknown keys are errors. Imports without torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from rlenvs.agents.llm.config import (
    DistributedConfig,
    EnvConfig,
    MemoryConfig,
    PolicyConfig,
    SamplingConfig,
    TrainConfig,
)
from rlenvs.agents.llm.config.policy import model_from_anywhere
from rlenvs.agents.llm.config.target import AccuracyTarget
from rlenvs.agents.runs.config import EvaluationConfig, OutputConfig, RunConfig
from rlenvs.agents.runs.kinds import Kind, kind_of
from rlenvs.agents.runs.section import Count, NonNegative, Positive, PositiveInt, Section
from rlenvs.config_file import ConfigKeyError, load_config, parse_config, read_config, validate_config
from rlenvs.errors import ConfigError


class DataConfig(Section):
    """Where the demonstrations come from."""

    source: Literal["env", "jsonl", "rollouts"] = Field(
        "env",
        description="env: the environment shows how its training problems are done; jsonl: a file of conversations; "
        "rollouts: what an earlier run sampled and was paid for",
    )
    path: str | None = Field(None, description="jsonl: the file; rollouts: a run folder or its rollouts.jsonl")
    limit: PositiveInt | None = Field(
        None, description="most demonstrations; null: all there are, of env the first 20,000"
    )
    min_reward: float | None = Field(
        None, description="rollouts: episodes that earned less than this in all are left out"
    )
    best_of: PositiveInt | None = Field(
        None, description="rollouts: keep this many of the best episodes of a problem; null: all"
    )
    reward: Literal["env", "shaped"] = Field(
        "env", description="rollouts: which reward min_reward and best_of read; env: without shaping"
    )
    overlong: Literal["refuse", "leave_out"] = Field(
        "refuse", description="what is done with demonstrations longer than rollout.context_tokens"
    )
    held_out_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.05, description="share of the prompts whose demonstrations only measure the loss"
    )

    @model_validator(mode="after")
    def _the_source_has_what_it_needs(self) -> "DataConfig":
        if self.source == "env" and self.path is not None:
            raise ConfigKeyError(
                "path", "source 'env' reads no file: use source 'jsonl' or 'rollouts', or leave it out"
            )
        if self.source != "env" and self.path is None:
            raise ConfigKeyError("path", f"must name what source {self.source!r} reads")
        if self.source != "rollouts":
            for key in ("min_reward", "best_of"):
                if getattr(self, key) is not None:
                    raise ConfigKeyError(key, f"only rollouts have rewards: source is {self.source!r}")
        elif self.min_reward is None and self.best_of is None:
            raise ConfigKeyError(
                "min_reward", "must say which rollouts are good enough to imitate (or best_of how many per problem)"
            )
        return self


class ImitationConfig(AccuracyTarget):
    """The learning: cross-entropy of what the demonstrations' assistant says."""

    epochs: PositiveInt = Field(3, description="passes over the demonstrations")
    max_steps: PositiveInt | None = Field(None, description="most optimiser steps; null: as the epochs give")
    batch_size: PositiveInt = Field(64, description="demonstrations per optimiser step")
    learning_rate: Positive = Field(1e-5, description="peak learning rate of AdamW; about ten times that for adapters")
    warmup_steps: Count = Field(20, description="optimiser steps of linear warm-up")
    lr_schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="linear, cosine: to 0 at the last step"
    )
    weight_decay: NonNegative = Field(0.0, description="of AdamW")
    max_grad_norm: Positive = Field(1.0, description="gradients are clipped to this norm")


class SFTEvaluationConfig(EvaluationConfig):
    """Loss on held-out demonstrations; with an environment, accuracy on held-out problems by its own grader."""

    every: PositiveInt = Field(100, description="optimiser steps between evaluations; the first and last always are")


class SFTOutputConfig(OutputConfig):
    """What a run leaves behind."""

    checkpoint_every: PositiveInt = Field(100, description="optimiser steps between checkpoints")


class SFTConfig(RunConfig):
    """One supervised run of one language model on one set of demonstrations."""

    kind: ClassVar[Kind] = Kind.SUPERVISED

    name: str = Field("sft", pattern=r"^[\w.-]+$", description="names the run folder")
    seed: Annotated[int, Field(ge=0, lt=2**31)] = Field(0, description="of every random stream of the run")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: cuda where there is one")
    env: EnvConfig | None = Field(
        None, description="shows demonstrations and grades answers; null: only a loss is known"
    )
    data: DataConfig = DataConfig()
    policy: PolicyConfig = PolicyConfig()
    rollout: SamplingConfig = SamplingConfig()
    sft: ImitationConfig = ImitationConfig()
    memory: MemoryConfig = MemoryConfig()
    distributed: DistributedConfig = DistributedConfig()
    evaluation: SFTEvaluationConfig = SFTEvaluationConfig()
    output: SFTOutputConfig = SFTOutputConfig()

    @classmethod
    def load(cls, config: "str | Path | Mapping[str, Any] | SFTConfig", overrides: Sequence[str] = ()) -> "SFTConfig":
        """Read a YAML file or a mapping, with `key.sub=value` overrides.

        Raises:
            ConfigError: the configuration cannot be used; the message names file, line and key.
        """
        if isinstance(config, SFTConfig):
            return config
        if isinstance(config, Mapping):
            return parse_config(cls, config, overrides=overrides)
        return load_config(cls, config, overrides)

    def from_anywhere(self) -> Self:
        """Return the configuration with absolute folders, that of the model among them."""
        config = super().from_anywhere()
        config.policy.model = model_from_anywhere(config.policy.model)
        return config

    @model_validator(mode="after")
    def _an_environment_is_there_where_one_is_asked(self) -> "SFTConfig":
        if self.env is None:
            if self.data.source == "env":
                raise ConfigKeyError(
                    "env", "must name the environment that shows demonstrations (data.source is 'env')"
                )
            if self.sft.target_accuracy is not None:
                raise ConfigKeyError(
                    ("sft", "target_accuracy"), "needs an environment whose grader says what is right: set env.id"
                )
        elif "split" in self.env.kwargs:
            raise ConfigKeyError(
                ("env", "kwargs", "split"),
                "is not yours to set: demonstrations are of train problems, evaluation of held-out ones",
            )
        return self

    @model_validator(mode="after")
    def _sizes_fit(self) -> "SFTConfig":
        if self.rollout.max_new_tokens >= self.rollout.context_tokens:
            raise ConfigKeyError(
                ("rollout", "max_new_tokens"),
                f"must be < rollout.context_tokens ({self.rollout.context_tokens}), got {self.rollout.max_new_tokens}",
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_ignored(self) -> "SFTConfig":
        if self.policy.model == "embedded" and self.policy.adapter is not None:
            raise ConfigKeyError(
                ("policy", "adapter"),
                "the embedded policy starts from random weights: train all of them, or name a model",
            )
        for key in ("offload_reference", "offload_optimizer"):
            if getattr(self.memory, key):
                raise ConfigKeyError(("memory", key), "is for runs with rollouts and a reference: leave it out")
        if self.distributed.strategy != "ddp":
            raise ConfigKeyError(
                ("distributed", "strategy"), f"must be 'ddp' in a supervised run, got {self.distributed.strategy!r}"
            )
        return self


def load_language_model_run(path: str | Path) -> TrainConfig | SFTConfig:
    """Read the configuration that lies in the folder of a run which trained a language model.

    Raises:
        ConfigError: it cannot be used, or the run trained something else.
    """
    data, source = read_config(path)
    kind = kind_of(data)
    if kind is Kind.SB3:
        raise ConfigError(f"{path}: the run trained {kind.value}, which is no language model")
    if kind is Kind.SUPERVISED:
        return validate_config(SFTConfig, data, source=source)
    return validate_config(TrainConfig, data, source=source)
