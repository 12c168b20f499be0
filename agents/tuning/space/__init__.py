"""Search spaces: trees of ranges, choices and functions of the trial, over any part of a configuration.

Read `specs` (what one parameter may be), `leaves` (where a space ends), `reading` (from mappings to
leaves) and `space`.
"""

from rlenvs.agents.tuning.space.space import SearchSpace, TunedParameter, space_problems

__all__ = ["SearchSpace", "TunedParameter", "space_problems"]
