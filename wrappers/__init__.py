"""The reward layer: compose, normalise, schedule and potential-shape rewards, with every part in `info`.

Read `transition` first (what a reward sees), then `base` (what a component is), `pipeline` (how components become
one number) and `shaped` (how that number reaches Gymnasium). The pipeline is plain numpy and knows no environment.
"""

if __name__ != "rlenvs.wrappers":
    raise ImportError(f"imported as {__name__!r}: use 'rlenvs.wrappers' (the repository root is on sys.path)")

from rlenvs.wrappers.base import BaseReward, Score
from rlenvs.wrappers.check import check_rewards
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
from rlenvs.wrappers.composer import RewardComposer
from rlenvs.wrappers.config import RewardConfig
from rlenvs.wrappers.deadline import DeadlineReward
from rlenvs.wrappers.functions import component_of, components_of, llm_reward, reward
from rlenvs.wrappers.layers import (
    ComposedReward,
    NormalizedReward,
    PotentialShaping,
    ScheduledReward,
    VectorComposedReward,
    VectorNormalizedReward,
    VectorPotentialShaping,
    VectorScheduledReward,
)
from rlenvs.wrappers.normalization import Normalization
from rlenvs.wrappers.pipeline import RewardBatch, RewardParts, RewardPipeline, RewardRow
from rlenvs.wrappers.potentials import (
    InfoPotential,
    LLMPotentialBasedReward,
    Potential,
    PotentialTerm,
    ProgressPotential,
    register_potential,
)
from rlenvs.wrappers.reactive_schedules import GatedSchedule, LagrangianSchedule
from rlenvs.wrappers.reducers import (
    GateReducer,
    HybridReducer,
    MinimumReducer,
    ProductReducer,
    Reducer,
    WeightedSumReducer,
)
from rlenvs.wrappers.schedules import (
    ConstantSchedule,
    CosineSchedule,
    CyclicSchedule,
    ExponentialSchedule,
    LinearIncreaseSchedule,
    LinearSchedule,
    PolynomialSchedule,
    ReactiveSchedule,
    Schedule,
    StepSchedule,
    WarmupSchedule,
)
from rlenvs.wrappers.scoring import ErrorPolicy
from rlenvs.wrappers.shaped import ShapedReward
from rlenvs.wrappers.shaper import RewardShaper
from rlenvs.wrappers.transition import RewardState, Transition
from rlenvs.wrappers.transition_batch import StateBatch, TransitionBatch
from rlenvs.wrappers.vector_shaped import VectorShapedReward

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
