"""Configuration of how a run with rewards is measured."""

from pydantic import Field

from rlenvs.agents.runs.config import EvaluationConfig


class TrainEvaluationConfig(EvaluationConfig):
    """Accuracy on held-out problems; rewards can be asked about them too."""

    components: list[str] = Field(
        default_factory=list,
        description="reward components whose raw value on held-out problems is measured as held_out/<name>/greedy and "
        "/sampled, for environments that do not say what is correct",
    )
