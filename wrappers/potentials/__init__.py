"""Potentials: dense guidance that leaves the optimal policy alone. Importing this package registers them.

Read `base` first (what a potential is, and the term that a configuration makes of it), then `shaping` (the terms of a
pipeline), `state_text` (what a potential may read of a state), and the families: `text` (length, keywords),
`embedding` (likeness to a target), `derivation` (steps of a known solution), `state_value` (a value learned from stored
rollouts).
"""

from rlenvs.wrappers.potentials.base import (
    InfoPotential,
    LLMPotentialBasedReward,
    Potential,
    PotentialTerm,
    ProgressPotential,
    potential_class,
    potential_registry,
    register_potential,
)
from rlenvs.wrappers.potentials.derivation import DerivationPotential
from rlenvs.wrappers.potentials.embedding import EmbeddingSimilarityPotential
from rlenvs.wrappers.potentials.hashing import hash_embedding
from rlenvs.wrappers.potentials.rollouts import rollout_states
from rlenvs.wrappers.potentials.state_value import StateValue, StateValuePotential, fit_state_value
from rlenvs.wrappers.potentials.text import KeywordCoveragePotential, TargetLengthPotential

__all__ = [
    "DerivationPotential",
    "EmbeddingSimilarityPotential",
    "InfoPotential",
    "KeywordCoveragePotential",
    "LLMPotentialBasedReward",
    "Potential",
    "PotentialTerm",
    "ProgressPotential",
    "StateValue",
    "StateValuePotential",
    "TargetLengthPotential",
    "fit_state_value",
    "hash_embedding",
    "potential_class",
    "potential_registry",
    "register_potential",
    "rollout_states",
]
