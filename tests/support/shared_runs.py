"""What each of two processes that are alive does in the tests of whole runs."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from rlenvs.agents.llm import TrainConfig, resume, train
from rlenvs.agents.llm.processes.data_parallel import DataParallel
from rlenvs.agents.llm.processes.joining import joined
from rlenvs.agents.reporting import make_view
from rlenvs.errors import EngineError, PeerError


def run(config: dict[str, Any], cache: Path, stop_after: int | None = None, ask: int = 1) -> dict[str, Any]:
    """Train; the process `ask` alone asks to stop after so many iterations."""
    os.environ["RLENVS_CACHE"] = str(cache)
    screen = io.StringIO()
    questions = iter(range(1_000))
    rank = torch.distributed.get_rank()
    result = train(
        TrainConfig.load(config),
        view=make_view(plain=True, stream=screen) if rank == 0 else None,
        stop=lambda: rank == ask and next(questions) == stop_after,
    )
    return {"iterations": result.iterations, "interrupted": result.interrupted, "screen": screen.getvalue()}


def go_on(run_dir: Path, changes: dict[str, str] | None = None) -> int:
    """Resume, perhaps with changes; returns iterations done."""
    overrides = [f"{key}={value}" for key, value in (changes or {}).items()]
    config = TrainConfig.load(run_dir / "config.yaml", overrides)
    silent = make_view(plain=True, stream=io.StringIO())
    return resume(run_dir, config=config, view=silent).iterations


def ask_everything() -> list[Any]:
    """Answers of one process to every question that processes have for each other."""
    with joined(TrainConfig.model_fields["distributed"].default, "cpu") as processes:
        assert isinstance(processes, DataParallel)
        rank = processes.rank
        tensor = torch.tensor([rank + 1.0])
        return [
            rank,
            processes.is_main,
            processes.sum(tensor).item(),
            tensor.item(),
            processes.gather({"rank": rank}),
            processes.main_value(f"of {rank}"),
            processes.any(rank == 1),
            processes.any(False),
            processes.share(14, unit=4),
            processes.first(14, unit=4),
            [None if rows is None else rows.tolist() for rows in processes.gather_rows([tensor.expand(rank + 1, 2 - rank), None])],
        ]  # fmt: skip


def fail(who: int) -> list[str]:
    """Let one process fail, then let both work on: their questions still meet."""
    processes = DataParallel()
    said = []
    for failing in (who, None):

        def work(failing: int | None = failing) -> int:
            if processes.rank == failing:
                raise EngineError("the engine is gone")
            return 1

        try:
            said.append(f"{processes.together(work)} of {int(processes.sum(torch.tensor(1)))}")
        except (EngineError, PeerError) as error:
            said.append(f"{type(error).__name__}: {error}")
    try:
        processes.on_main(lambda: work(0))
    except (EngineError, PeerError) as error:
        said.append(f"{type(error).__name__}: {error}")
    said.append(processes.on_main(lambda: f"by {processes.rank}"))
    return said
