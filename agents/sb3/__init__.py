"""Stable-Baselines3 on the token level: our environments and rewards as its `VecEnv`, and whole runs of its algorithms.

For a script of one's own read `vec_env` (environments side by side), `extractors` (from token windows to features),
`callbacks` (reward clock and reward parts) and `refusals` (stacks of wrappers that would not do what they say). For a
run with a folder, a report and exact resume read `config` and `launch`. Nothing here is loaded by `import rlenvs`; this
package needs the extra `sb3`.
"""

from typing import TYPE_CHECKING, Any

from rlenvs.agents.sb3.config import SB3TrainConfig

if TYPE_CHECKING:
    from rlenvs.agents.sb3.callbacks import RewardComponentsCallback, RewardScheduleCallback
    from rlenvs.agents.sb3.evaluate import evaluate_sb3
    from rlenvs.agents.sb3.extractors import TokenEmbedding, TokenGRU, TokenTransformer
    from rlenvs.agents.sb3.launch import resume_sb3, train_sb3
    from rlenvs.agents.sb3.refusals import check_stack
    from rlenvs.agents.sb3.run import SB3RunResult
    from rlenvs.agents.sb3.vec_env import VectorEnvAdapter, make_vec_env

__all__ = [
    "RewardComponentsCallback",
    "RewardScheduleCallback",
    "SB3RunResult",
    "SB3TrainConfig",
    "TokenEmbedding",
    "TokenGRU",
    "TokenTransformer",
    "VectorEnvAdapter",
    "check_stack",
    "evaluate_sb3",
    "make_vec_env",
    "resume_sb3",
    "train_sb3",
]

_LAZY = {
    "RewardComponentsCallback": "callbacks",
    "RewardScheduleCallback": "callbacks",
    "SB3RunResult": "run",
    "TokenEmbedding": "extractors",
    "TokenGRU": "extractors",
    "TokenTransformer": "extractors",
    "VectorEnvAdapter": "vec_env",
    "check_stack": "refusals",
    "evaluate_sb3": "evaluate",
    "make_vec_env": "vec_env",
    "resume_sb3": "launch",
    "train_sb3": "launch",
}


def __getattr__(name: str) -> Any:
    """Load what needs Stable-Baselines3 only when it is asked for, so that configurations can be read without it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from rlenvs.extras import require

    require("stable_baselines3", "sb3", "training with Stable-Baselines3")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
