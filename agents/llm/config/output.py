"""Configuration of what a run leaves behind and of how it is measured."""

from typing import Literal

from pydantic import Field

from rlenvs.agents.llm.config.section import PositiveInt, Section


class EvaluationConfig(Section):
    """Accuracy on held-out problems by the environment's own grader, greedy and sampled."""

    every: PositiveInt = Field(20, description="iterations between evaluations; the first and last always are")
    problems: PositiveInt = Field(1_000, description="held-out problems, or all there are")


class TrainEvaluationConfig(EvaluationConfig):
    """The same of a run with rewards: some of them can be asked on held-out problems too."""

    components: list[str] = Field(
        default_factory=list,
        description="reward components whose raw value on held-out problems is measured as held_out/<name>/greedy and "
        "/sampled, for environments that do not say what is correct",
    )


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
