"""The reward layer: compose, schedule and potential-shape rewards, with every part in `info`.

Read `transition` first (what a reward sees), then `base` (what a component is), `pipeline` (how components become
one number) and `shaped` (how that number reaches Gymnasium). The pipeline is plain numpy and knows no environment.
"""

if __name__ != "rlenvs.wrappers":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.wrappers' (the repository root is on sys.path)")

from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.component_registry import register_reward
from rlenvs.wrappers.components import CorrectnessReward, EnvReward, FormattingReward, LengthPenalty
from rlenvs.wrappers.config import RewardConfig
from rlenvs.wrappers.pipeline import RewardBatch, RewardPipeline
from rlenvs.wrappers.potentials import (
    InfoPotential,
    LLMPotentialBasedReward,
    Potential,
    ProgressPotential,
    register_potential,
)
from rlenvs.wrappers.reducers import Reducer, WeightedSumReducer
from rlenvs.wrappers.schedules import ConstantSchedule, ExponentialSchedule, LinearSchedule, Schedule
from rlenvs.wrappers.scoring import ErrorPolicy
from rlenvs.wrappers.shaped import ShapedReward
from rlenvs.wrappers.transition import RewardState, Transition
from rlenvs.wrappers.vector_shaped import VectorShapedReward

__all__ = [
    "BaseReward",
    "ConstantSchedule",
    "CorrectnessReward",
    "EnvReward",
    "ErrorPolicy",
    "ExponentialSchedule",
    "FormattingReward",
    "InfoPotential",
    "LLMPotentialBasedReward",
    "LengthPenalty",
    "LinearSchedule",
    "Potential",
    "ProgressPotential",
    "Reducer",
    "RewardBatch",
    "RewardConfig",
    "RewardPipeline",
    "RewardState",
    "Schedule",
    "Score",
    "ShapedReward",
    "Transition",
    "VectorShapedReward",
    "WeightedSumReducer",
    "register_potential",
    "register_reward",
]
