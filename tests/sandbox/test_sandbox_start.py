"""Workers that die before they are ready: the system was short of memory, or somebody killed them."""

import os
import signal
from collections.abc import Callable

import pytest
from lying_worker import Liar

from rlenvs.errors import SandboxError
from rlenvs.sandbox import Limits, Program, SandboxPool, kernel
from rlenvs.sandbox.engine import ATTEMPTS, Engine
from rlenvs.sandbox.jobs import CallsJob, Job
from rlenvs.sandbox.worker import Worker

pytestmark = pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")
CODE = "def solve(x):\n    return x + 1"
PATIENT = Limits(wall_s=60.0)


@pytest.fixture
def die(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[Worker]]:
    """Lets so many workers die while they start."""

    def arrange(count: int) -> list[Worker]:
        started: list[Worker] = []
        start = SandboxPool.start_worker

        def start_and_kill(pool: SandboxPool) -> Worker:
            worker = start(pool)
            started.append(worker)
            if len(started) <= count:
                os.kill(worker.process.pid, signal.SIGKILL)
            return worker

        monkeypatch.setattr(SandboxPool, "start_worker", start_and_kill)
        return started

    return arrange


@pytest.mark.parametrize("count", [1, ATTEMPTS - 1])
def test_another_takes_its_place(die: Callable[[int], list[Worker]], count: int) -> None:
    started = die(count)
    with SandboxPool(1, PATIENT) as pool:
        assert pool.run(CODE, [[1]]).outcomes[0].value == 2
        assert pool.workers == started[count:]


def test_also_for_a_session(die: Callable[[int], list[Worker]]) -> None:
    die(1)
    with SandboxPool(1, PATIENT) as pool, pool.session() as session:
        assert session.run("1 + 1").stdout == "2\n"


def test_when_all_die_it_is_no_verdict(die: Callable[[int], list[Worker]]) -> None:
    started = die(1000)
    with SandboxPool(2, PATIENT) as pool:
        with pytest.raises(SandboxError, match="die while they start"):
            pool.run(CODE, [[1]])
        assert not [worker for worker in pool.workers if not worker.is_gone]
    assert len(started) < 10


EXIT_97 = 97 << 8


@pytest.mark.parametrize("status", [EXIT_97, 0, signal.SIGKILL, signal.SIGSEGV])
def test_an_execution_that_never_started_is_no_verdict(status: int) -> None:
    """The code had no turn yet: whatever ended it, it was not the code."""
    job = CallsJob(Program(CODE, [[1]]), PATIENT, "A")
    given_up: list[Job] = []
    Engine([Liar(b"", status=status, first=b"")], lambda worker: worker, given_up.append).run([job])  # type: ignore[list-item]
    assert given_up == [job]
    with SandboxPool(1, PATIENT) as pool:
        pool.give_up(job)
    assert job.result is not None
    assert job.result.status == "error"
    assert "never started" in job.result.reason


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(97)",
        "import os\ndef solve(x):\n    os._exit(97)",
        "import os\ndef solve(x):\n    os.close(3)\n    return x",
        "import builtins\ndef solve(x):\n    builtins.len = builtins.bytes = None\n    return x",
        "import os, gc\nos.write(3, b'+')\nos._exit(97)",
    ],
)
def test_code_cannot_pretend_that_it_never_started(code: str) -> None:
    with SandboxPool(1, PATIENT) as pool:
        assert pool.run(code, [[1]]).status in {"crash", "malformed"}
        assert pool.run(CODE, [[1]]).outcomes[0].value == 2
