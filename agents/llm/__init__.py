"""PPO for language models: any causal language model of `transformers`, one process, a critic on the shared trunk.

Read `trainer` first (one iteration), then `collect` (episodes as token ids), `advantages` and `losses` (the
mathematics, as pure functions), `update` (an optimiser step) and `launch` (a whole run). Nothing here is loaded by
`import rlenvs`; this package needs the extra `llm`.
"""

from typing import TYPE_CHECKING, Any

from rlenvs.agents.llm.config import TrainConfig

if TYPE_CHECKING:
    from rlenvs.agents.llm.evaluation import evaluate_model
    from rlenvs.agents.llm.launch import resume, train
    from rlenvs.agents.llm.run import RunResult

__all__ = ["RunResult", "TrainConfig", "evaluate_model", "resume", "train"]

_LAZY = {"RunResult": "run", "evaluate_model": "evaluation", "resume": "launch", "train": "launch"}


def __getattr__(name: str) -> Any:
    """Load what needs torch only when it is asked for, so that configurations can be read without it."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from rlenvs.extras import require

    require("torch", "llm", "training a language model")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
