"""Configuration of runs of several processes: one per GPU, or per machine without one."""

from typing import Literal

from pydantic import Field

from rlenvs.agents.runs.section import PositiveInt, Section


class DistributedConfig(Section):
    """How the processes that `torchrun` starts share the work. Without effect on a run of one process."""

    strategy: Literal["ddp", "fsdp2"] = Field(
        "ddp", description="ddp: every process holds the whole model; fsdp2: a share of weights, gradients and moments"
    )
    timeout: PositiveInt = Field(
        1_800,
        description="seconds that a process waits for the others, more than a rollout takes; then the run ends",
    )
