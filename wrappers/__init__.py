"""The reward layer: compose, normalise, schedule and potential-shape rewards, with every part in `info`.

Read `transition` first (what a reward sees), then `base` (what a component is), `pipeline` (how components become
one number) and `shaped` (how that number reaches Gymnasium). The pipeline is plain numpy and knows no environment.
"""

if __name__ != "rlenvs.wrappers":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.wrappers' (the repository root is on sys.path)")

from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.check.rewards import check_rewards
from rlenvs.wrappers.component_registry import component_registry, register_reward
from rlenvs.wrappers.components import (
    CorrectnessReward,
    DiversityReward,
    EnvReward,
    FormattingReward,
    GoalReward,
    HuggingFaceRewardModel,
    InfoValueReward,
    InstructionReward,
    JudgeReward,
    KeywordOverlapReward,
    LanguageReward,
    LengthPenalty,
    LengthRangePenalty,
    PreferenceScoreReward,
    ReadabilityReward,
    ReasoningScoreReward,
    RepetitionPenalty,
    SimilarityReward,
    SoftOverlongPenalty,
    StepPenalty,
    StructureReward,
    ToxicityPenalty,
)
from rlenvs.wrappers.config.rewards import RewardConfig
from rlenvs.wrappers.deadline.component import DeadlineReward
from rlenvs.wrappers.functions.decorators import component_of, components_of, llm_reward, reward
from rlenvs.wrappers.layers.shaped import ShapedReward
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
from rlenvs.wrappers.layers.vector_shaped import VectorShapedReward
from rlenvs.wrappers.loops.composer import RewardComposer
from rlenvs.wrappers.loops.shaper import RewardShaper
from rlenvs.wrappers.normalization.strategies import Normalization
from rlenvs.wrappers.parts import RewardParts
from rlenvs.wrappers.pipeline import RewardPipeline
from rlenvs.wrappers.potentials.base import (
    InfoPotential,
    LLMPotentialBasedReward,
    Potential,
    PotentialTerm,
    ProgressPotential,
    register_potential,
)
from rlenvs.wrappers.reducers import (
    GateReducer,
    HybridReducer,
    MinimumReducer,
    ProductReducer,
    Reducer,
    WeightedSumReducer,
)
from rlenvs.wrappers.reward_batch import RewardBatch, RewardRow
from rlenvs.wrappers.schedules.base import ReactiveSchedule, Schedule
from rlenvs.wrappers.schedules.fixed import ConstantSchedule, ExponentialSchedule, LinearIncreaseSchedule, StepSchedule
from rlenvs.wrappers.schedules.ramps import (
    CosineSchedule,
    CyclicSchedule,
    LinearSchedule,
    PolynomialSchedule,
    WarmupSchedule,
)
from rlenvs.wrappers.schedules.reactive import GatedSchedule, LagrangianSchedule
from rlenvs.wrappers.scoring import ErrorPolicy
from rlenvs.wrappers.transition import RewardState, Transition
from rlenvs.wrappers.transition_batch import StateBatch, TransitionBatch

__all__ = [
    "BaseReward",
    "ComposedReward",
    "ConstantSchedule",
    "CorrectnessReward",
    "CosineSchedule",
    "CyclicSchedule",
    "DeadlineReward",
    "DiversityReward",
    "EnvReward",
    "ErrorPolicy",
    "ExponentialSchedule",
    "FormattingReward",
    "GateReducer",
    "GatedSchedule",
    "GoalReward",
    "HuggingFaceRewardModel",
    "HybridReducer",
    "InfoPotential",
    "InfoValueReward",
    "InstructionReward",
    "JudgeReward",
    "KeywordOverlapReward",
    "LLMPotentialBasedReward",
    "LagrangianSchedule",
    "LanguageReward",
    "LengthPenalty",
    "LengthRangePenalty",
    "LinearIncreaseSchedule",
    "LinearSchedule",
    "MinimumReducer",
    "Normalization",
    "NormalizedReward",
    "PolynomialSchedule",
    "Potential",
    "PotentialShaping",
    "PotentialTerm",
    "PreferenceScoreReward",
    "ProductReducer",
    "ProgressPotential",
    "ReactiveSchedule",
    "ReadabilityReward",
    "ReasoningScoreReward",
    "Reducer",
    "RepetitionPenalty",
    "RewardBatch",
    "RewardComposer",
    "RewardConfig",
    "RewardParts",
    "RewardPipeline",
    "RewardRow",
    "RewardShaper",
    "RewardState",
    "Schedule",
    "ScheduledReward",
    "Score",
    "ShapedReward",
    "SimilarityReward",
    "SoftOverlongPenalty",
    "StateBatch",
    "StepPenalty",
    "StepSchedule",
    "StructureReward",
    "ToxicityPenalty",
    "Transition",
    "TransitionBatch",
    "VectorComposedReward",
    "VectorNormalizedReward",
    "VectorPotentialShaping",
    "VectorScheduledReward",
    "VectorShapedReward",
    "WarmupSchedule",
    "WeightedSumReducer",
    "check_rewards",
    "component_of",
    "component_registry",
    "components_of",
    "llm_reward",
    "register_potential",
    "register_reward",
    "reward",
]
