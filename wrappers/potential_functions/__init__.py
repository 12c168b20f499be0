"""Potential functions. Importing this package registers them; each module holds one family.

Read `state_text` first (what a potential may read of a state), then `text` (length, keywords), `embedding` (likeness
to a target) and `state_value` (a value learned from stored rollouts).
"""

from rlenvs.wrappers.potential_functions.embedding import EmbeddingSimilarityPotential
from rlenvs.wrappers.potential_functions.hashing import hash_embedding
from rlenvs.wrappers.potential_functions.rollouts import rollout_states
from rlenvs.wrappers.potential_functions.state_value import (
    StateValue,
    StateValuePotential,
    fit_state_value,
)
from rlenvs.wrappers.potential_functions.text import KeywordCoveragePotential, TargetLengthPotential

__all__ = [
    "EmbeddingSimilarityPotential",
    "KeywordCoveragePotential",
    "StateValue",
    "StateValuePotential",
    "TargetLengthPotential",
    "fit_state_value",
    "hash_embedding",
    "rollout_states",
]
