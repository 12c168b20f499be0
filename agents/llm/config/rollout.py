"""Configuration of the sampling: episodes, limits, the engine, what is kept."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from rlenvs.agents.runs.section import Count, PositiveInt, Section
from rlenvs.config_file import ConfigKeyError


class EngineConfig(Section):
    """What samples."""

    name: Literal["auto", "static", "generate", "vllm", "http"] = Field(
        "auto", description="auto: the faster of static and generate, measured on the device"
    )
    dtype: Literal["float32", "bfloat16"] | None = Field(
        None, description="static only: decode with a copy of the weights in this type; null: with the weights"
    )
    compiled: bool = Field(False, description="static only: torch.compile the layers; pays in long runs on a GPU")
    url: str | None = Field(None, description="http only: where the server listens, up to /v1")
    model: str | None = Field(None, description="http only: the name that the server knows the model by")
    weights: Literal["adapter", "shared_gpu"] | None = Field(
        None,
        description="http only: how a vLLM server gets new weights: a LoRA adapter through a folder that both see, or "
        "all weights through the memory of a GPU that both use; null: it keeps its own, which is enough to evaluate",
    )
    weights_dir: str | None = Field(None, description="http only: the folder of the adapter")

    @model_validator(mode="after")
    def _servers_have_addresses(self) -> "EngineConfig":
        if self.name == "http":
            for key, what in (("url", "where the server listens"), ("model", "which of the server's models to ask")):
                if getattr(self, key) is None:
                    raise ConfigKeyError(key, f"must say {what}, for engine 'http'")
            if self.weights == "adapter" and self.weights_dir is None:
                raise ConfigKeyError("weights_dir", "must name a folder that the server sees, for weights: adapter")
        return self


class SamplingConfig(Section):
    """How a policy answers: limits, temperature, what samples."""

    max_new_tokens: PositiveInt = Field(64, description="tokens per message")
    context_tokens: PositiveInt = Field(1_024, description="prompt and messages together; longer episodes are cut")
    max_turns: PositiveInt = Field(64, description="messages per episode; longer episodes are cut")
    temperature: Annotated[float, Field(gt=0)] = Field(1.0, description="divides the logits, in sampling and training")
    stop: list[Annotated[str, Field(min_length=1)]] = Field(
        default_factory=list, description="a message ends with the token that completes one"
    )
    batch_size: PositiveInt = Field(512, description="sequences generated at once")
    engine: EngineConfig = EngineConfig()


class RolloutConfig(SamplingConfig):
    """How episodes are sampled."""

    episodes: PositiveInt = Field(512, description="episodes per iteration")
    samples_per_prompt: PositiveInt = Field(1, description="episodes that start from the same problem: a group")
    drop_uniform_groups: bool = Field(
        False, description="leave out groups whose episodes all score the same, and play others (DAPO)"
    )
    max_refills: Count = Field(3, description="drop_uniform_groups: rounds of further episodes per iteration")
    mask_overlong: bool = Field(False, description="leave episodes that hit a length limit out of the loss (DAPO)")

    @model_validator(mode="after")
    def _groups_fit(self) -> "RolloutConfig":
        if self.episodes % self.samples_per_prompt:
            raise ConfigKeyError(
                "samples_per_prompt", f"must divide episodes ({self.episodes}), got {self.samples_per_prompt}"
            )
        if self.drop_uniform_groups and self.samples_per_prompt == 1:
            raise ConfigKeyError("drop_uniform_groups", "needs samples_per_prompt > 1: a group of one always agrees")
        return self
