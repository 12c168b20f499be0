"""Optuna tunes the reward layer: which weights, schedules, normalisers and potentials make the policy best.

Read `space` (what trials may set), `trial_config` (from a base configuration and a space to the configuration of a
trial) and `optimizer` (a study from Python).
"""

from rlenvs.agents.tuning.space import SearchSpace, TunedParameter

__all__ = ["SearchSpace", "TunedParameter"]
