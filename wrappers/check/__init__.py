"""Can this reward change the optimal policy? Part by part, and why."""

from rlenvs.wrappers.check.finding import Finding
from rlenvs.wrappers.check.rewards import check_rewards, worst_verdict

__all__ = ["Finding", "check_rewards", "worst_verdict"]
