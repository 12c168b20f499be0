"""Configuration of the language model: which one, what of it is trained, in which precision."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rlenvs.agents.llm.config.embedded import EmbeddedConfig
from rlenvs.agents.runs.section import PositiveInt, Section
from rlenvs.config_file import ConfigKeyError


class AdapterConfig(Section):
    """Low-rank adapters by peft: the base stays as it is, and is the reference when they are switched off."""

    rank: PositiveInt = Field(16, description="rank of the update (LoRA, Hu et al. 2021)")
    alpha: Annotated[float, Field(gt=0)] = Field(32, description="the update is scaled by alpha / rank")
    target_modules: Literal["all-linear"] | list[str] = Field(
        "all-linear", description="names of the layers that are adapted; all-linear: all but the output embedding"
    )
    dora: bool = Field(False, description="weight-decomposed adapters (DoRA, Liu et al. 2024)")
    rslora: bool = Field(False, description="scale by alpha / sqrt(rank), for large ranks (Kalajdzievski 2023)")


def model_from_anywhere(model: str) -> str:
    """Return the absolute path of a model folder; what is no folder here, a hub id for one, as it is."""
    return os.path.abspath(model) if model != "embedded" and Path(model).is_dir() else model


class PolicyConfig(Section):
    """Which language model is trained."""

    model: str = Field(
        "embedded", min_length=1, description="'embedded', a folder made by save_pretrained, or a hub id"
    )
    prompt_format: Literal["auto", "chat", "plain"] = Field(
        "auto",
        description="chat: the tokenizer's chat template; plain: text as it is; auto: chat where there is one",
    )
    adapter: AdapterConfig | None = Field(None, description="train low-rank adapters; null: all weights")
    quantize: Literal["8bit", "4bit"] | None = Field(
        None, description="hold the frozen base in 8 or 4 bits (bitsandbytes); needs policy.adapter"
    )
    dtype: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the frozen weights; weights that are trained are float32 whatever this says"
    )
    attention: Literal["auto", "eager", "sdpa", "flex_attention", "flash_attention_2"] = Field(
        "auto", description="attention kernel of the forward passes; auto: the model's own default"
    )
    embedded: EmbeddedConfig = EmbeddedConfig()

    @model_validator(mode="after")
    def _embedded_has_no_template(self) -> "PolicyConfig":
        if self.model == "embedded" and self.prompt_format == "chat":
            raise ConfigKeyError("prompt_format", "the embedded policy has no chat template: use 'auto' or 'plain'")
        return self

    @model_validator(mode="after")
    def _what_is_frozen_may_be_small(self) -> "PolicyConfig":
        if self.adapter is None and self.quantize is not None:
            raise ConfigKeyError("quantize", f"{self.quantize!r} weights cannot be trained: set policy.adapter")
        if self.adapter is None and self.dtype != "float32":
            raise ConfigKeyError(
                "dtype",
                "'bfloat16' weights lose small updates, and without policy.adapter all are trained: "
                "use memory.autocast: bfloat16",
            )
        return self
