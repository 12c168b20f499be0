"""A component under a deadline that holds: it runs in a process that is killed when it misses it."""

from rlenvs.wrappers.deadline.component import DeadlineReward

__all__ = ["DeadlineReward"]
