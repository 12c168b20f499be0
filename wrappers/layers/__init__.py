"""The reward layer as Gymnasium wrappers: whole configurations, single purposes, single and vector environments."""

from rlenvs.wrappers.layers.shaped import RewardLayer, ShapedReward
from rlenvs.wrappers.layers.single_purpose import (
    ComposedReward,
    NormalizedReward,
    PotentialShaping,
    ScheduledReward,
    VectorComposedReward,
    VectorNormalizedReward,
    VectorPotentialShaping,
    VectorScheduledReward,
)
from rlenvs.wrappers.layers.vector_shaped import VectorRewardLayer, VectorShapedReward

__all__ = [
    "ComposedReward",
    "NormalizedReward",
    "PotentialShaping",
    "RewardLayer",
    "ScheduledReward",
    "ShapedReward",
    "VectorComposedReward",
    "VectorNormalizedReward",
    "VectorPotentialShaping",
    "VectorRewardLayer",
    "VectorScheduledReward",
    "VectorShapedReward",
]
