"""Bringing components of different scales together: strategies, and the window that their statistics look back on."""

from rlenvs.wrappers.normalization.strategies import (
    NORMALIZATION_STRATEGIES,
    Normalization,
    Normalizer,
    Strategy,
    fields_used_by,
)

__all__ = ["NORMALIZATION_STRATEGIES", "Normalization", "Normalizer", "Strategy", "fields_used_by"]
