"""Configuration of learning that ends where a policy is good enough."""

from typing import Annotated

from pydantic import Field, model_validator

from rlenvs.agents.runs.section import PositiveInt, Section
from rlenvs.config_file import ConfigKeyError


class AccuracyTarget(Section):
    """When supervised learning ends: by greedy accuracy on training problems, never on held-out ones."""

    target_accuracy: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="stop at this greedy accuracy on training problems; null: learn to the last step"
    )
    max_accuracy: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="a check above this is an overshoot: the best policy at or below it is kept"
    )
    check_every: PositiveInt = Field(50, description="steps between accuracy checks")
    check_problems: PositiveInt = Field(500, description="training problems per accuracy check")

    @model_validator(mode="after")
    def _there_is_a_window(self) -> "AccuracyTarget":
        if self.target_accuracy is not None and self.max_accuracy < self.target_accuracy:
            raise ConfigKeyError(
                "max_accuracy", f"must be >= target_accuracy ({self.target_accuracy}), got {self.max_accuracy}"
            )
        return self
