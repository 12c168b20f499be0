"""The process that uses a pool: what it does about signals, forks, threads and descriptors is its own affair."""

import os
import resource
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from rlenvs.errors import SandboxError
from rlenvs.sandbox import Limits, Program, SandboxPool, kernel
from rlenvs.sandbox.worker import Worker

pytestmark = pytest.mark.skipif(kernel.probe().tier == "C", reason="no tier can be entered")
CODE = "def solve(x):\n    return x + 1"
PATIENT = Limits(wall_s=60.0)


def block() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


def ignore() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@pytest.fixture
def signals() -> Iterator[None]:
    mask, handler = signal.pthread_sigmask(signal.SIG_BLOCK, ()), signal.getsignal(signal.SIGCHLD)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    signal.signal(signal.SIGCHLD, handler)


@pytest.mark.parametrize("arrange", [block, ignore])
@pytest.mark.parametrize("tier", {"A": ["A", "B"], "B": ["B"], "C": []}[kernel.probe().tier])
def test_signals_that_the_grader_does_not_hear(signals: None, tier: str, arrange: Callable[[], None]) -> None:
    arrange()
    with SandboxPool(1, PATIENT, tier=tier) as pool:
        result = pool.run(CODE, [[1]])
    assert (result.status, result.outcomes[0].value) == ("ok", 2)
    assert result.wall_s < 30


def test_an_execution_may_take_a_month(pool: SandboxPool) -> None:
    assert pool.run(CODE, [[1]], limits=Limits(wall_s=1e7)).status == "ok"


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_of_the_grader_holds_nothing_of_an_execution_that_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    start = Worker.start
    alive, alive_end = os.pipe()
    begun, begun_end = os.pipe()
    children: list[int] = []

    def fork() -> None:
        pid = os.fork()
        if pid == 0:
            os.close(alive_end)
            os.write(begun_end, b"x")  # now it has closed what it closes after a fork
            os.read(alive, 1)
            os._exit(0)
        children.append(pid)

    forker = threading.Thread(target=fork)

    def start_beside_a_fork(worker: Worker, request: bytes, descriptors: list[int]) -> None:
        forker.start()
        forker.join(0.5)
        start(worker, request, descriptors)

    with SandboxPool(1, PATIENT) as pool:
        pool.run(CODE, [[1]])
        monkeypatch.setattr(Worker, "start", start_beside_a_fork)
        pipes = threading.Timer(20.0, os.close, (alive_end,))
        pipes.start()
        result = pool.run("import os\ndef solve(x):\n    print(x)\n    return x", [[1]])
        forker.join()
        assert os.read(begun, 1) == b"x"
        held = {os.readlink(f"/proc/{children[0]}/fd/{name}") for name in os.listdir(f"/proc/{children[0]}/fd")}
        own = {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}  # fmt: skip
        if pipes.is_alive():
            pipes.cancel()
            os.close(alive_end)
        os.waitpid(children[0], 0)
        for end in (alive, begun, begun_end):
            os.close(end)
    assert (result.status, result.stdout) == ("ok", "1\n")
    assert result.wall_s < 15
    assert not {name for name in held - own if name.startswith(("pipe:", "socket:"))}


def test_no_descriptors_left_is_said_and_leaves_the_pool_usable(pool: SandboxPool) -> None:
    pool.run_batch([Program(CODE, [[1]], limits=PATIENT)] * 2)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    fillers = [os.dup(0)]
    while fillers[-1] <= highest:  # no gaps below
        fillers.append(os.dup(0))
    before = os.listdir("/proc/self/fd")
    refused = 0
    for room in range(10):
        resource.setrlimit(resource.RLIMIT_NOFILE, (fillers[-1] + 1 + room, hard))
        try:
            result = pool.run(CODE, [[1]], limits=PATIENT)
            assert result.status == "ok"
        except SandboxError as error:
            assert "Too many open files" in str(error)  # noqa: PT017 - both may happen
            refused += 1
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert len(os.listdir("/proc/self/fd")) == len(before)
    assert refused == 8
    for filler in fillers:
        os.close(filler)
    assert pool.run(CODE, [[1]], limits=PATIENT).status == "ok"


def end(worker: Worker) -> None:
    """Kill a worker; when this returns everybody can see that it is gone."""
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()


@pytest.mark.parametrize("name", ["wait_until_ready", "hear_ready", "start"])
def test_an_interrupt_while_workers_start_takes_no_place_for_good(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    real = getattr(Worker, name)
    due = [False]

    def interrupt(worker: Worker, *arguments: object) -> None:
        if due.pop():
            raise KeyboardInterrupt
        due.append(False)
        real(worker, *arguments)

    with SandboxPool(1, PATIENT) as pool:
        pool.run(CODE, [[1]])
        end(pool.workers[0])
        monkeypatch.setattr(Worker, name, interrupt)
        for _ in range(3):
            due[:] = [False, True]
            with pytest.raises(KeyboardInterrupt):
                pool.run(CODE, [[1]])
            assert [worker for worker in pool.workers if worker not in pool.idle] == []
            assert pool.run(CODE, [[1]]).status == "ok"
            end(pool.workers[0])


def test_an_interrupt_while_a_worker_is_replaced_takes_no_place_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Worker.wait_until_ready

    def interrupt(worker: Worker) -> None:
        if worker is not first:
            raise KeyboardInterrupt
        os.kill(worker.process.pid, signal.SIGKILL)
        worker.process.wait()
        real(worker)

    with SandboxPool(1, PATIENT) as pool:
        pool.run(CODE, [[1]])
        (first,) = pool.workers
        monkeypatch.setattr(Worker, "wait_until_ready", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pool.run(CODE, [[1]])
        monkeypatch.undo()
        assert [worker for worker in pool.workers if worker not in pool.idle] == []
        assert pool.run(CODE, [[1]]).status == "ok"


def test_an_execution_holds_no_descriptor_of_its_worker() -> None:
    from rlenvs.sandbox.kernel.libc import close_from

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = min(hard, 5000) - 1
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        os.dup2(0, highest)
        os.dup2(0, 4)
        close_from(4)
        left = [number for number in (4, highest) if os.path.exists(f"/proc/self/fd/{number}")]
        os._exit(len(left))
    assert os.waitpid(pid, 0)[1] == 0


def test_a_machine_without_memory_ends_executions_first(pool: SandboxPool) -> None:
    pool.run(CODE, [[1]], limits=PATIENT)
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        assert int(file.read()) < 1000
    for worker in pool.workers:
        with open(f"/proc/{worker.process.pid}/oom_score_adj", encoding="ascii") as file:
            assert int(file.read()) == 1000


def test_a_worker_forgets_limits_that_it_no_longer_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    from rlenvs.sandbox.execution import fork_request
    from rlenvs.sandbox.inside import zygote

    monkeypatch.setattr(zygote, "fork", lambda: 1 << 30)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    handler, wakeup = signal.getsignal(signal.SIGCHLD), signal.set_wakeup_fd(-1)
    worker = zygote.Zygote(theirs, lambda *_: None, False)
    try:
        for number in range(2 * zygote.MOST_REQUESTS):
            null = [os.open(os.devnull, os.O_RDONLY) for _ in range(zygote.GIVEN)]
            socket.send_fds(ours, [fork_request("calls", Limits(memory_mb=100 + number))], null)
            worker.receive()
            assert len(worker.requests) <= zygote.MOST_REQUESTS
            worker.end(next(iter(worker.leases)), b"")
            worker.leases.clear()
            for descriptor in null:
                os.close(descriptor)
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(signal.SIGCHLD, handler)
        for end in (worker.wake, worker.waker):
            os.close(end)
        ours.close()
        theirs.close()
