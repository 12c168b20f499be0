"""What the configurations of all kinds of runs have in common. Imports without torch."""

import copy
import os
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import Field

from rlenvs.agents.runs.kinds import Kind
from rlenvs.agents.runs.section import PositiveInt, Section


class EvaluationConfig(Section):
    """Accuracy on held-out problems by the environment's own grader, greedy and sampled."""

    every: PositiveInt = Field(20, description="iterations between evaluations; the first and last always are")
    problems: PositiveInt = Field(1_000, description="held-out problems, or all there are")


class OutputConfig(Section):
    """What a run leaves behind."""

    dir: str | None = Field(None, description="run folder; null: runs/<name>-<date>-<time>")
    checkpoint_every: PositiveInt = Field(20, description="iterations between checkpoints")
    checkpoint_dir: str | None = Field(None, description="where checkpoints go; null: checkpoints/ in the run folder")
    keep_checkpoints: PositiveInt = Field(2, description="checkpoints kept")
    trackers: list[Literal["tensorboard", "wandb"]] = Field(
        default_factory=lambda: ["tensorboard"],  # type: ignore[arg-type]
        description="where metrics go besides metrics.jsonl; tensorboard where it is installed",
    )


class RunConfig(Section):
    """Base of the configurations of runs.

    Attributes:
        kind: of run.
        name: names the run folder.
        output: what the run leaves behind.
    """

    kind: ClassVar[Kind]
    if TYPE_CHECKING:  # each kind declares them at their place among its own keys
        name: str
        output: OutputConfig

    def from_anywhere(self) -> Self:
        """Return the configuration with absolute folders: whoever resumes may stand elsewhere."""
        config = copy.deepcopy(self)
        if config.output.checkpoint_dir is not None:
            config.output.checkpoint_dir = os.path.abspath(config.output.checkpoint_dir)
        return config
