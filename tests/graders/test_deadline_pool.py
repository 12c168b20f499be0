import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from rlenvs.errors import GraderError, MissingExtraError
from rlenvs.graders import grade, grading
from rlenvs.graders.deadline import DeadlinePool, Exceeded
from rlenvs.graders.deadline.checks import CHECKS, Check
from rlenvs.graders.deadline.frames import FRAME
from rlenvs.graders.deadline.pool import DeadlineMissedError, Worker, WorkerDiedError

pytest.importorskip("jsonschema")

# Python's regular expressions backtrack: this takes hours on thirty letters.
SLOW = {"schema": {"pattern": "^(a+)+$"}, "document": '"' + "a" * 40 + '!"'}
FAST = {"schema": {"type": "integer"}, "document": "7"}
VALID = {"verdict": "valid", "reason": ""}


@pytest.fixture(scope="module")
def pool():
    pool = DeadlinePool("schema", size=2)
    assert pool.check(FAST, 60) == VALID
    yield pool
    pool.close()


def is_alive(pid):
    """Whether a process runs; a dead one that nobody has waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_what_takes_too_long_is_killed_at_the_deadline(pool):
    (worker,) = pool.idle
    started = time.monotonic()
    assert pool.check(SLOW, 0.3) == Exceeded("time")
    assert 0.3 <= time.monotonic() - started < 2
    assert not is_alive(worker.pid)
    started = time.monotonic()
    assert pool.check(FAST, 5) == VALID
    assert time.monotonic() - started < 2  # a fork, not a start


def test_a_slow_text_does_not_hold_up_other_threads(pool):
    results = []
    slow = threading.Thread(target=lambda: results.append(pool.check(SLOW, 1.5)))
    slow.start()
    time.sleep(0.2)
    started = time.monotonic()
    assert pool.check(FAST, 5) == VALID
    assert time.monotonic() - started < 1
    assert slow.is_alive()
    slow.join()
    assert results == [Exceeded("time")]


def test_many_checks_run_side_by_side_and_keep_their_order(pool):
    started = time.monotonic()
    replies = pool.check_all([(SLOW, 0.5), (FAST, 5.0), (SLOW, 0.5), (FAST, 5.0)])
    assert replies == [Exceeded("time"), VALID, Exceeded("time"), VALID]
    assert time.monotonic() - started < 3
    assert pool.check_all([]) == []


def test_many_threads_share_the_workers(pool):
    wrong = []

    def ask(number):
        for _ in range(20):
            request = {"schema": {"const": number}, "document": str(number)}
            if pool.check(request, 10) != VALID:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(pool.idle) <= pool.size


def test_a_worker_or_nursery_that_somebody_kills_is_replaced(pool):
    pool.check(FAST, 5)
    for worker in pool.idle:
        os.kill(worker.pid, signal.SIGKILL)
    assert pool.check(FAST, 5) == VALID
    pool.nursery.process.kill()
    assert wait_until(lambda: pool.nursery.is_gone)
    assert pool.check(FAST, 60) == VALID


def test_a_check_that_raises_is_an_error(pool):
    with pytest.raises(GraderError, match="the schema checker failed: JSONDecodeError"):
        pool.check({"schema": {}, "document": "not JSON"}, 5)
    assert pool.check(FAST, 5) == VALID


def test_a_checker_that_does_not_start_is_an_error(monkeypatch):
    ghost = Check("rlenvs.graders.deadline.ghost", "json", "text", "a ghost", {}, "boo")
    monkeypatch.setitem(CHECKS, "ghost", ghost)
    with pytest.raises(GraderError, match="the ghost checker did not start: KeyError: 'ghost'"):
        DeadlinePool("ghost").check(FAST, 5)


@pytest.mark.parametrize(
    ("kind", "package", "extra"), [("math", "math_verify", "reasoning"), ("schema", "jsonschema", "text")]
)
def test_a_missing_package_says_which_extra_brings_it(monkeypatch, kind, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is not installed: .* needs it; .*rlenvs\[{extra}\]"):
        DeadlinePool(kind).check(FAST, 5)


@pytest.mark.parametrize("kind", sorted(CHECKS))
def test_every_kind_answers_its_own_probe_as_expected(kind):
    pytest.importorskip(CHECKS[kind].needs)
    pool = DeadlinePool(kind, size=1)
    try:
        assert pool.check(CHECKS[kind].probe, 60)["verdict"] == CHECKS[kind].expected
    finally:
        pool.close()


def test_a_text_that_ends_every_worker_is_to_blame_unless_others_end_them_too(monkeypatch, pool):
    ask = Worker.ask

    def dies(self, request, seconds):
        if request == SLOW:
            raise WorkerDiedError("ended")
        return ask(self, request, seconds)

    monkeypatch.setattr(Worker, "ask", dies)
    assert pool.check(SLOW, 1) == Exceeded("crash")
    monkeypatch.setattr(Worker, "ask", lambda self, request, seconds: dies(self, SLOW, seconds))
    with pytest.raises(GraderError, match="the schema checker is broken"):
        pool.check(SLOW, 1)


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (FRAME.pack(1 << 30), WorkerDiedError),
        (FRAME.pack(3) + b"{{{", WorkerDiedError),
        (FRAME.pack(2) + b"[]", WorkerDiedError),
        (FRAME.pack(6) + b"[" * 6, WorkerDiedError),
        (b"\0\0", DeadlineMissedError),
        (FRAME.pack(9) + b"{}", DeadlineMissedError),
    ],
)
def test_whatever_a_worker_sends_is_read_as_data(reply, error):
    worker = object.__new__(Worker)
    worker.channel, other = socket.socketpair()
    worker.channel.setblocking(False)
    with worker.channel, other:
        other.sendall(reply)
        with pytest.raises(error):
            worker.ask(FAST, 0.1)


def script(body):
    """Run a script that may use a `pool`, with warnings as errors, in its processes too."""
    head = """
    import os, signal, sys, threading, time
    from rlenvs.graders.deadline import DeadlinePool, Exceeded, shared_pool
    FAST = {"schema": {"type": "integer"}, "document": "7"}
    SLOW = {"schema": {"pattern": "^(a+)+$"}, "document": '"' + "a" * 40 + '!"'}
    pool = shared_pool("schema")
    """
    source = textwrap.dedent(head) + textwrap.dedent(body)
    return subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", source],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )


def test_nothing_is_left_of_a_process_that_was_killed():
    # Its child holds copies of every descriptor that is not closed in it, as forked environments do.
    process = script("""
    pool.check(FAST, 60)
    worker = pool.idle[0].pid
    threading.Thread(target=lambda: pool.check(SLOW, 60)).start()
    time.sleep(0.2)
    child = os.fork()
    if child == 0:
        time.sleep(30)
        os._exit(0)
    print(worker, pool.nursery.process.pid, child, flush=True)
    time.sleep(60)
    """)
    worker, nursery, child = map(int, process.stdout.readline().split())
    try:
        assert is_alive(worker)
        assert is_alive(nursery)
        process.kill()
        process.wait()
        assert wait_until(lambda: not is_alive(worker) and not is_alive(nursery))
        assert is_alive(child)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        process.communicate()


def test_nothing_is_left_of_a_process_that_ends_well_nor_of_a_nursery_that_was_killed():
    process = script("""
    pool.check(FAST, 60)
    first = pool.idle[0].pid
    pool.nursery.process.kill()
    pool.nursery.process.wait()
    assert pool.check(FAST, 60)["verdict"] == "valid"
    print(first, pool.idle[0].pid, pool.nursery.process.pid)
    """)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert wait_until(lambda: not any(map(is_alive, map(int, output.split()))))


def test_a_forked_child_has_its_own_workers_and_leaves_those_of_its_parent_alone():
    process = script("""
    pool.check(FAST, 60)
    parents = pool.idle[0].pid
    child = os.fork()
    if child == 0:
        own = shared_pool("schema")
        good = own is not pool and own.check(FAST, 60)["verdict"] == "valid" and own.idle[0].pid != parents
        sys.exit(0 if good else 3)
    assert os.waitpid(child, 0)[1] == 0
    assert pool.check(FAST, 5)["verdict"] == "valid"
    assert pool.idle[0].pid == parents
    """)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_workers_have_bounded_memory_and_write_no_files(tmp_path):
    source = f"""
    from rlenvs.graders.deadline.worker import MEMORY_BYTES, answer, limit_resources
    limit_resources()
    assert answer(lambda request: bytearray(2 * MEMORY_BYTES), {{}}) == {{"verdict": "out_of_memory"}}
    try:
        open({str(tmp_path / "file")!r}, "w").write("x" * 100_000)
    except OSError:
        print("no file")
    """
    result = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=True)
    assert result.stdout == "no file\n"


def test_out_of_memory_is_the_fault_of_the_text(monkeypatch, pool):
    monkeypatch.setattr(Worker, "ask", lambda self, request, seconds: {"verdict": "out_of_memory"})
    assert pool.check(SLOW, 1) == Exceeded("memory")


def test_a_schema_decides_under_its_deadline():
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "minimum": 0}}}
    task = {"type": "json", "schema": schema}
    verdict = grade(task, '{"n": 3}')
    assert (verdict.score, verdict.status) == (1.0, "ok")
    verdict = grade(task, '{"n": -3}')
    assert (verdict.score, verdict.status) == (0.0, "ok")
    assert "at /n: -3 is less than the minimum of 0" in verdict.reason
    assert grade({**task, "gold": {"n": 4}}, '{"n": 3}').score == 0.0
    assert grade({**task, "gold": {"n": 3}}, '{"n": 3}').score == 1.0
    assert grade(task, '{"n": true}').score == 0.0
    slow = {"type": "json", "schema": SLOW["schema"], "time_limit_s": 0.3}
    verdict = grade(slow, SLOW["document"])
    assert (verdict.score, verdict.status) == (0.0, "timeout")
    assert verdict.reason == "the schema's check exceeded its limit (time)"
    with pytest.raises(GraderError, match="task schema: 'whole' is not valid"):
        grade({"type": "json", "schema": {"type": "whole"}}, "1")


def test_a_fork_while_another_thread_remembers_a_verdict_does_not_hang_the_child():
    task = {"type": "json", "schema": {"type": "integer"}, "extract": "whole"}
    assert grade(task, "7").correct
    with grading.known_replies_lock:
        child = os.fork()
        if child == 0:
            signal.alarm(30)  # a child that hangs is ended by this, and fails the test
            os._exit(0 if grade(task, "7").correct and not grade(task, '"7"').correct else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
