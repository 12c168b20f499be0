"""The processes that train one policy together, one per GPU: `torchrun --nproc-per-node N -m rlenvs train CONFIG`.

Every process plays its share of the episodes with the same policy. Losses are divided by counts over all of them and
gradients are summed, so that N processes take the step that one would take with all episodes.

Read `alone` first (what a process of a run can ask, and the answers where there is one), then `data_parallel` (the
same over `torch.distributed`), `sharded` (FSDP2), `joining` (who starts it) and `failing` (how it ends when one
process fails).
"""

from rlenvs.agents.llm.processes.alone import ALONE, Processes

__all__ = ["ALONE", "Processes"]
