"""Configuration of the policy that needs no download."""

from typing import Annotated

from pydantic import Field, model_validator

from rlenvs.agents.llm.config.target import AccuracyTarget
from rlenvs.agents.runs.section import PositiveInt, Section
from rlenvs.config_file import ConfigKeyError


class WarmStartConfig(AccuracyTarget):
    """Supervised learning that gives the embedded policy something to improve on."""

    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        0.62,
        description="stop at this greedy accuracy on training problems; null: imitate for max_steps, for environments "
        "that do not say what is correct",
    )
    max_accuracy: Annotated[float, Field(gt=0, le=1)] = Field(
        0.68, description="never start reinforcement learning from more than this"
    )
    max_steps: PositiveInt = Field(
        1_000, description="give up after this many optimiser steps; with no target, take them all"
    )
    batch_size: PositiveInt = Field(256, description="demonstrations per step")
    learning_rate: Annotated[float, Field(gt=0)] = Field(2e-3, description="peak learning rate of AdamW")
    warmup_steps: Annotated[int, Field(ge=0)] = Field(20, description="steps of linear warm-up")
    check_every: PositiveInt = Field(10, description="steps between accuracy checks")


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
