"""Configuration of memory and speed: none of it changes what is learned beyond rounding."""

from typing import Literal

from pydantic import Field

from rlenvs.agents.runs.section import PositiveInt, Section


class MemoryConfig(Section):
    """What is held when, and in which precision."""

    micro_batch_size: PositiveInt = Field(128, description="sequences per forward pass; gradients accumulate")
    micro_batch_tokens: PositiveInt | None = Field(
        None, description="tokens per forward pass, with what padding there is, sorted by length; null: no such limit"
    )
    packing: bool | Literal["auto"] = Field(
        "auto",
        description="put sequences one behind the other instead of padding them; auto: on a CPU, where the model can",
    )
    logprob_chunk: PositiveInt = Field(1_024, description="tokens whose logits exist at the same time")
    gradient_checkpointing: bool = Field(False, description="compute activations again in the backward pass")
    autocast: Literal["bfloat16"] | None = Field(
        None, description="precision of the matrix products in training and scoring; null: that of the weights"
    )
    offload_reference: bool = Field(False, description="hold the reference model in main memory between its passes")
    offload_optimizer: bool = Field(False, description="hold the optimiser's moments in main memory during rollouts")
    optimizer: Literal["adamw", "adamw_8bit"] = Field(
        "adamw", description="adamw_8bit: moments in 8 bits (bitsandbytes)"
    )
    compile: bool = Field(False, description="torch.compile the model's forward and backward passes")
