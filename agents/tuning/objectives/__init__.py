"""What a trial is worth: held-out metrics of runs that train with its configuration, or stored rollouts scored again.

Read `metrics` (what may be maximised, and why the shaped reward may not), `seeds` (several runs of a trial, and what
they report), then `sb3`, `llm` and `offline`. `config` is the same in YAML. Nothing here imports torch until a run
begins.
"""

from rlenvs.agents.tuning.objectives.config import ObjectiveConfig
from rlenvs.agents.tuning.objectives.llm import llm_objective
from rlenvs.agents.tuning.objectives.metrics import Constraint
from rlenvs.agents.tuning.objectives.offline import offline_objective
from rlenvs.agents.tuning.objectives.sb3 import sb3_objective

__all__ = ["Constraint", "ObjectiveConfig", "llm_objective", "offline_objective", "sb3_objective"]
