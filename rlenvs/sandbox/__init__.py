"""Runs what nobody trusts: code that a model wrote.

What lives here, and what to read first:

* `pool.SandboxPool`: what users call. `program` and `limits` say what to run and how much of everything it may use;
  `result` says what came of it; `session` keeps state between cells; `duel` holds a solution against assertions.
* `engine`, `jobs`, `execution`, `worker`: the grader's side. It alone has a clock, and it alone judges.
* `inside`: the side that runs the code. `codec` and `frames` are what both sides speak.
* `kernel`: how a worker gives up what a process can do.

Linux only; elsewhere importing works and using raises SandboxError.
"""

from rlenvs.errors import SandboxError
from rlenvs.sandbox.backend import Backend
from rlenvs.sandbox.bubblewrap import BubblewrapBackend
from rlenvs.sandbox.duel import Duel, DuelResult
from rlenvs.sandbox.limits import Limits
from rlenvs.sandbox.pool import SandboxPool, default_pool, set_default_pool
from rlenvs.sandbox.program import Program
from rlenvs.sandbox.result import Outcome, Result
from rlenvs.sandbox.session import Session

__all__ = [
    "Backend",
    "BubblewrapBackend",
    "Duel",
    "DuelResult",
    "Limits",
    "Outcome",
    "Program",
    "Result",
    "SandboxError",
    "SandboxPool",
    "Session",
    "default_pool",
    "set_default_pool",
]
