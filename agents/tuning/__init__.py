"""Optuna tunes the reward layer: which weights, schedules, normalisers and potentials make the policy best.

Read `space` (what trials may set), `trial_config` (from a base configuration and a space to the configuration of a
trial), `optimizer` (a study from Python), `objectives` (what a trial is worth), `engine` (who runs trials, and what
becomes of those whose worker dies) and `command` (`rlenvs tune`). Nothing here is loaded by `import rlenvs`; this
package needs the extra `tune`.
"""

from typing import TYPE_CHECKING, Any

from rlenvs.agents.tuning.space import SearchSpace, TunedParameter

if TYPE_CHECKING:
    from rlenvs.agents.tuning.engine.plan import StudyPlan
    from rlenvs.agents.tuning.engine.pruners import PrunerConfig
    from rlenvs.agents.tuning.engine.running import run_study
    from rlenvs.agents.tuning.engine.samplers import SamplerConfig
    from rlenvs.agents.tuning.engine.storage import open_storage
    from rlenvs.agents.tuning.objectives import llm_objective, offline_objective, sb3_objective
    from rlenvs.agents.tuning.optimizer import BayesianRewardOptimizer
    from rlenvs.agents.tuning.result import TuningResult
    from rlenvs.agents.tuning.trial_config import TrialConfigs

__all__ = [
    "BayesianRewardOptimizer",
    "PrunerConfig",
    "SamplerConfig",
    "SearchSpace",
    "StudyPlan",
    "TrialConfigs",
    "TunedParameter",
    "TuningResult",
    "llm_objective",
    "offline_objective",
    "open_storage",
    "run_study",
    "sb3_objective",
]

_LAZY = {
    "BayesianRewardOptimizer": "optimizer",
    "PrunerConfig": "engine.pruners",
    "SamplerConfig": "engine.samplers",
    "StudyPlan": "engine.plan",
    "TrialConfigs": "trial_config",
    "TuningResult": "result",
    "llm_objective": "objectives",
    "offline_objective": "objectives",
    "open_storage": "engine.storage",
    "run_study": "engine.running",
    "sb3_objective": "objectives",
}


def __getattr__(name: str) -> Any:
    """Load what needs Optuna only when it is asked for, so that configurations can be read without it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from rlenvs.extras import require

    require("optuna", "tune", "tuning")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
