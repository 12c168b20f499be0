"""Typed configuration of the reward layer: two YAML dialects, one `RewardConfig`, one pipeline.

Read `rewards` first, then `component`, `shaping` and `composer` (its three sections) and `dialects`.
"""

from rlenvs.wrappers.config.rewards import RewardConfig, build_pipeline, normalizations

__all__ = ["RewardConfig", "build_pipeline", "normalizations"]
