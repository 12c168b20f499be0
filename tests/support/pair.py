"""Two processes that train together, alive for many questions: starting them costs more than asking."""

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable
from multiprocessing import connection
from typing import Any

import torch

DEADLINE = 180.0


class Pair:
    """Two processes joined by gloo, one thread each, which call functions of importable modules side by side."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        self.pipes, self.workers = [], []
        for rank in range(2):
            mine, theirs = context.Pipe()
            worker = context.Process(target=_serve, args=(rank, port, theirs), daemon=True)
            worker.start()
            theirs.close()
            self.pipes.append(mine)
            self.workers.append(worker)

    def run(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call `function(*arguments)` in both and return what it returned, by rank."""
        for pipe in self.pipes:
            pipe.send((function, arguments))
        answers: dict[int, Any] = {}
        while len(answers) < len(self.pipes):
            waiting = [pipe for rank, pipe in enumerate(self.pipes) if rank not in answers]
            ready = connection.wait(waiting, DEADLINE)
            assert ready, f"one process does not answer, the other said: {answers}"
            for pipe in ready:
                rank = self.pipes.index(pipe)
                good, answers[rank] = pipe.recv()
                assert good, f"process {rank}:\n{answers[rank]}"  # the other may wait for it forever
        return [answer for _, answer in sorted(answers.items())]

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.join()


def _serve(rank: int, port: int, pipe: Any) -> None:
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ.update(address | {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"})
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    while True:
        try:
            function, arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((True, function(*arguments)))
        except Exception:  # noqa: BLE001 - the test reports it
            pipe.send((False, traceback.format_exc()))
