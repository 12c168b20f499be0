"""Doors to the pipeline for training loops that are written by hand."""

from rlenvs.wrappers.loops.composer import RewardComposer
from rlenvs.wrappers.loops.shaper import RewardShaper

__all__ = ["RewardComposer", "RewardShaper"]
