"""Supervised fine-tuning on demonstrations: the same policies, run folders and checkpoints as reinforcement learning.

Read `data` first (where demonstrations come from), then `encoding` (token ids and which of them count), `imitation`
(an optimiser step), `target` (when it is enough), `trainer` and `launch` (a whole run).
"""

from typing import TYPE_CHECKING, Any

from rlenvs.agents.llm.sft.config import SFTConfig

if TYPE_CHECKING:
    from rlenvs.agents.llm.sft.launch import SFTResult, resume, sft

__all__ = ["SFTConfig", "SFTResult", "resume", "sft"]


def __getattr__(name: str) -> Any:
    """Load what needs torch only when it is asked for, so that configurations can be read without it."""
    if name not in ("SFTResult", "resume", "sft"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from rlenvs.extras import require

    require("torch", "llm", "supervised fine-tuning")
    return getattr(import_module(f"{__name__}.launch"), name)
