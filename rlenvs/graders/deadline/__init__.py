"""Checks of hostile text under a deadline that holds: they run in processes that are killed when they miss it.

`DeadlinePool` is what graders use. It starts one nursery process per kind of check, which imports what the check needs
and forks workers from that state (a few milliseconds each). Requests and replies are JSON. Read `pool`, then `worker`.
"""

from rlenvs.graders.deadline.pool import DeadlinePool, Exceeded, shared_pool

__all__ = ["DeadlinePool", "Exceeded", "shared_pool"]
