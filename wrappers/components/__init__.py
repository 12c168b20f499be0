"""Reward components. Importing this package registers them; each module holds one family."""

from rlenvs.wrappers.components.correctness import CorrectnessReward
from rlenvs.wrappers.components.environment import (
    EnvReward,
    GoalReward,
    InfoValueReward,
    PreferenceScoreReward,
    ReasoningScoreReward,
    StepPenalty,
)
from rlenvs.wrappers.components.form import FormattingReward
from rlenvs.wrappers.components.length import LengthPenalty

__all__ = [
    "CorrectnessReward",
    "EnvReward",
    "FormattingReward",
    "GoalReward",
    "InfoValueReward",
    "LengthPenalty",
    "PreferenceScoreReward",
    "ReasoningScoreReward",
    "StepPenalty",
]
