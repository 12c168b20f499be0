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
from rlenvs.wrappers.components.instructions import InstructionReward
from rlenvs.wrappers.components.judge import JudgeReward
from rlenvs.wrappers.components.keywords import KeywordOverlapReward
from rlenvs.wrappers.components.language import LanguageReward
from rlenvs.wrappers.components.length import LengthPenalty, LengthRangePenalty, SoftOverlongPenalty
from rlenvs.wrappers.components.readability import ReadabilityReward
from rlenvs.wrappers.components.repetition import DiversityReward, RepetitionPenalty
from rlenvs.wrappers.components.reward_model import HuggingFaceRewardModel
from rlenvs.wrappers.components.similarity import SimilarityReward
from rlenvs.wrappers.components.structure import StructureReward
from rlenvs.wrappers.components.toxicity import ToxicityPenalty

__all__ = [
    "CorrectnessReward",
    "DiversityReward",
    "EnvReward",
    "FormattingReward",
    "GoalReward",
    "HuggingFaceRewardModel",
    "InfoValueReward",
    "InstructionReward",
    "JudgeReward",
    "KeywordOverlapReward",
    "LanguageReward",
    "LengthPenalty",
    "LengthRangePenalty",
    "PreferenceScoreReward",
    "ReadabilityReward",
    "ReasoningScoreReward",
    "RepetitionPenalty",
    "SimilarityReward",
    "SoftOverlongPenalty",
    "StepPenalty",
    "StructureReward",
    "ToxicityPenalty",
]
