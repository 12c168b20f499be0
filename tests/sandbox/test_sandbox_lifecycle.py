"""Workers come, die, are replaced, and leave nothing behind."""

import gc
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_tree import descendants

from rlenvs.errors import SandboxError
from rlenvs.sandbox import Limits, Program, SandboxPool, default_pool, kernel, set_default_pool
from rlenvs.sandbox import pool as pool_module

LONG = Limits(wall_s=60.0)
PROGRAM = Program("def solve(x):\n    return x + 1", [[1]], limits=LONG)

pytestmark = pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")


def wait_until(condition: object, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    processes = descendants(os.getpid())
    files = set(os.listdir("/tmp"))
    yield
    gc.collect()
    wait_until(lambda: descendants(os.getpid()) <= processes)
    assert len(set(os.listdir("/proc/self/fd"))) <= len(before)
    assert not [name for name in set(os.listdir("/tmp")) - files if "rlenvs" in name or "box" in name]


HOSTILE = (
    "while True: pass", "import os\nos._exit(0)", "while True: print('x' * 9999)", "import os\nwhile True: os.write(3, b'x' * 99)",
    "import os\nfor n in range(99): os.close(n)", "def solve(x): return bytearray(10**11)", "1 / 0",
    "import threading, time\nfor _ in range(99): threading.Thread(target=time.sleep, args=(99,)).start()",
)  # fmt: skip


@pytest.mark.usefixtures("nothing_is_left")
def test_nothing_is_left_after_a_hostile_batch() -> None:
    with SandboxPool(2) as pool:
        pool.run_batch([PROGRAM] * 2)
        descriptors = len(os.listdir("/proc/self/fd"))
        programs = [Program(code, [[1]], limits=Limits(wall_s=0.5)) for code in HOSTILE] + [PROGRAM] * 4
        results = pool.run_batch(programs)
        assert [each.status for each in results[-4:]] == ["ok"] * 4
        assert "ok" not in [each.status for each in results[: len(HOSTILE)]]
        assert "error" not in [each.status for each in results]
        assert len(os.listdir("/proc/self/fd")) == descriptors
        with pool.session(LONG) as session:
            session.run("x = 1")
        pool.duel("def check(c): assert c() == 1", "def f(): return 1", "f")
        assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.usefixtures("nothing_is_left")
def test_a_worker_killed_at_random_loses_no_verdict() -> None:
    with SandboxPool(2) as pool:
        pool.run_batch([PROGRAM])
        stop = threading.Event()
        rng = random.Random(0)

        def killer() -> None:
            while not stop.wait(0.25):
                for worker in rng.sample(pool.workers, k=min(1, len(pool.workers))):
                    if worker.is_ready:
                        os.kill(worker.process.pid, signal.SIGKILL)

        thread = threading.Thread(target=killer)
        thread.start()
        try:
            programs = [Program(f"def solve(x):\n    return x + {n}", [[1]], limits=LONG) for n in range(300)]
            results = pool.run_batch(programs)
        finally:
            stop.set()
            thread.join()
        assert [(each.status, [o.value for o in each.outcomes]) for each in results] == [
            ("ok", [n + 1]) for n in range(300)
        ]


@pytest.mark.usefixtures("nothing_is_left")
def test_a_worker_that_does_not_answer_is_replaced() -> None:
    with SandboxPool(1) as pool:
        pool.run_batch([PROGRAM])
        (worker,) = pool.workers
        for pid in {worker.process.pid, *descendants(worker.process.pid)}:
            os.kill(pid, signal.SIGSTOP)
        result = pool.run_batch([Program(PROGRAM.code, [[1]], limits=Limits(wall_s=1.0))])[0]
        assert result.status == "ok"
        assert worker not in pool.workers


@pytest.mark.usefixtures("nothing_is_left")
def test_threads_share_a_pool() -> None:
    with SandboxPool(2) as pool:
        seen: dict[int, list[object]] = {}

        def work(number: int) -> None:
            programs = [Program(f"def solve():\n    return ({number}, {n})", [[]], limits=LONG) for n in range(10)]
            seen[number] = [each.outcomes[0].value for each in pool.run_batch(programs)]

        threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert seen == {number: [(number, n) for n in range(10)] for number in range(6)}
        assert len(pool.workers) == 2


@pytest.mark.usefixtures("nothing_is_left")
def test_a_forked_process_gets_workers_of_its_own() -> None:
    with SandboxPool(1) as pool:
        pool.run_batch([PROGRAM])
        session = pool.session(LONG)
        session.run("x = 5")
        workers = descendants(os.getpid())
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ok = pool.run_batch([PROGRAM])[0].status == "ok" and session.is_closed
                pool.close()
                code = 0 if ok else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert workers <= descendants(os.getpid())
        assert pool.run_batch([PROGRAM])[0].status == "ok"
        assert session.run("x").stdout == "5\n"
        session.close()


def run_script(body: str, **options: object) -> "subprocess.Popen[str]":
    script = f"import os, sys, time\nfrom rlenvs.sandbox import *\n{textwrap.dedent(body)}"
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True, **options
    )  # type: ignore[call-overload,no-any-return]


BUSY = """
pool = SandboxPool(2)
pool.run("def solve(): return 1", [[]])
print("ready", flush=True)
pool.run_batch([Program("while True: pass", [[]], limits=Limits(wall_s=600.0))] * 2)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_the_grader_ends_everything(how: signal.Signals) -> None:
    process = run_script(BUSY, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    wait_until(lambda: len(descendants(process.pid)) >= 4)
    below = descendants(process.pid)
    os.killpg(process.pid, how)
    process.communicate(timeout=60)
    wait_until(lambda: not [pid for pid in below if Path(f"/proc/{pid}").exists()])


def test_an_exit_without_close_is_clean() -> None:
    process = run_script(
        'pool = SandboxPool(1)\nprint(pool.run("def solve(): return 1", [[]]).status)', stderr=subprocess.PIPE
    )
    out, err = process.communicate(timeout=120)
    assert (out, err, process.returncode) == ("ok\n", "", 0)


def test_an_interrupt_leaves_a_pool_that_works() -> None:
    with SandboxPool(1) as pool:
        pool.run_batch([PROGRAM])
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            pool.run("while True: pass", [[]], limits=Limits(wall_s=120.0))
        timer.join()
        descriptors = len(os.listdir("/proc/self/fd"))
        assert pool.run_batch([PROGRAM])[0].status == "ok"
        assert len(os.listdir("/proc/self/fd")) == descriptors


def test_a_closed_pool_says_so() -> None:
    pool = SandboxPool(1)
    pool.close()
    pool.close()
    with pytest.raises(SandboxError, match="closed"):
        pool.run_batch([PROGRAM])
    with pytest.raises(SandboxError, match="closed"):
        pool.session()


def test_the_default_pool_is_made_once_and_can_be_set() -> None:
    try:
        first = default_pool()
        assert default_pool() is first
        other = SandboxPool(1)
        set_default_pool(other)
        assert default_pool() is other
        other.close()
        assert default_pool() is not other
        first.close()
    finally:
        default_pool().close()
        set_default_pool(None)


def test_without_isolation_nothing_runs_unless_that_is_written_out(monkeypatch: pytest.MonkeyPatch) -> None:
    probe = kernel.Probe("C", {}, ("landlock: it is switched off; switch it on",))
    monkeypatch.setattr(pool_module.kernel, "probe", lambda: probe)
    with pytest.raises(SandboxError, match=r"landlock: it is switched off.*unsafe=True"):
        SandboxPool()
    with pytest.raises(SandboxError, match="cannot enter tier A"):
        SandboxPool(tier="A", unsafe=True)
    with SandboxPool(1, unsafe=True) as pool:
        assert pool.tier == "unsafe"
        result = pool.run_batch([PROGRAM])[0]
        assert (result.status, result.tier) == ("ok", "unsafe")
        killer = pool.run(
            "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass", [[1]], limits=LONG
        )
        assert killer.status == "crash"
        assert killer.reason == "ended every worker that it was given to"


def test_other_systems_can_import_and_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="needs Linux, this is darwin"):
        SandboxPool()
