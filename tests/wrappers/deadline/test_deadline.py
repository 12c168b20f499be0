"""A deadline that holds: against loops, regular expressions, crashes, floods and interrupts."""

import gc
import json
import math
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from rlenvs.errors import ComponentError, ParameterError
from rlenvs.wrappers import BaseReward, ErrorPolicy, RewardPipeline, Score, Transition
from rlenvs.wrappers.deadline.component import DeadlineReward, _score
from rlenvs.wrappers.deadline.process import WorkerDiedError, WorkerProcess
from rlenvs.wrappers.deadline.supervisor import supervisor
from rlenvs.wrappers.scoring import ContractError

SECONDS = 0.4


def row(response: str) -> Transition:
    return Transition(response=response, info={"response": response})


def rows(*responses: str) -> list[Transition]:
    return [row(response) for response in responses]


def act(command: str) -> float:  # noqa: C901
    """Do what the text says, as a component with a bug would."""
    kind, _, argument = command.partition(":")
    if kind == "loop":
        while True:
            pass
    if kind == "sleep":
        time.sleep(float(argument))
    if kind == "regex":
        re.fullmatch(r"(a+)+b", "a" * 50)
    if kind == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "exit":
        os._exit(3)
    if kind == "sys.exit":
        sys.exit(4)
    if kind == "raise":
        raise ValueError(argument)
    if kind == "flood":
        for _ in range(2000):
            print("x" * 10_000)
        sys.stderr.write("y" * 1_000_000)
    if kind == "memory":
        return float(len(bytearray(int(argument) << 20)))
    if kind == "fork" and os.fork() == 0:
        time.sleep(60)
    if kind == "fork":
        return act(argument)
    if kind == "fork and return":
        os.fork()
    if kind == "close":
        os.closerange(3, 200)
    return float(len(command))


class ByRow(BaseReward):
    """Called row by row."""

    effect = "doing as told"
    is_task = True

    def __call__(self, transition):
        return act(transition.response)


class ByBatch(ByRow):
    """Scores batches itself."""

    def batch(self, transitions):
        return [act(transition.response) for transition in transitions]


KINDS = pytest.mark.parametrize("kind", [ByRow, ByBatch])


@pytest.fixture
def guarded():
    made = []

    def make(component, seconds=SECONDS, **arguments):
        made.append(DeadlineReward(component, seconds, **arguments))
        return made[-1]

    yield make
    for item in made:
        item.close()


def pid_of(guarded: DeadlineReward) -> int:
    assert guarded._worker is not None
    return guarded._worker.pid


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not is_alive(pid)


# --- values ---------------------------------------------------------------------------------------------------------


class Returns(BaseReward):
    """Returns what it was made with, one per row."""

    def __init__(self, *values):
        self.values = values

    def __call__(self, transition):
        return self.values[int(transition.response)]


VALUES = [0.1 + 0.2, -0.0, 1e308, 5e-324, 3, True, Score(-1.5, "invalid"), Score(0.25, "timeout"), Score(1.0, "error")]


def test_values_and_statuses_are_those_of_the_component(guarded):
    inside = Returns(*VALUES)
    outside = guarded(inside)
    batch = rows(*map(str, range(len(VALUES))))
    assert outside.batch(batch) == inside.batch(batch)
    assert math.copysign(1.0, outside.batch(batch)[1]) == -1.0
    assert outside(batch[0]) == inside(batch[0])
    assert outside.batch([]) == []


def test_nan_and_infinity_stay_errors(guarded):
    values = guarded(Returns(math.nan, math.inf, 1.0)).batch(rows("0", "1", "2"))
    assert math.isnan(values[0])
    assert values[1:] == [math.inf, 1.0]
    pipeline = RewardPipeline({"r": guarded(Returns(math.nan, 1.0))}, policies={"r": ErrorPolicy("mask")})
    assert pipeline.compute(rows("0", "1"), 0).status[:, 0].tolist() == ["error", "ok"]


@pytest.mark.parametrize("value", ["text", None, Score(1.0, "fine")])
def test_what_no_component_may_return_breaks_the_contract_here_too(guarded, value):
    with pytest.raises(ContractError, match=r"must be a number or a Score|status must be one of"):
        guarded(Returns(value)).batch(rows("0"))


def test_functions_come_with_their_names_and_need_no_class(guarded):
    def lengths(responses, *, factor: float = 2.0):
        return [factor * len(response) for response in responses]

    component = guarded(lengths)
    assert component.batch(rows("ab", "c")) == [4.0, 2.0]
    assert not component._row_by_row
    assert guarded(lambda response: len(response))._row_by_row
    assert component.effect == "whatever the function lengths rewards"


def test_it_shows_what_is_inside_as_its_own(guarded):
    component = guarded(ByRow())
    assert (component.effect, component.is_task) == ("doing as told", True)
    assert (DeadlineReward.is_task, DeadlineReward.effect) == (False, BaseReward.effect)


def test_transitions_arrive_as_they_are(guarded):
    class Looks(BaseReward):
        def __call__(self, transition):
            whole = (transition.step, transition.truncated, transition.info["x"](2), transition.observation)
            return float(whole == (7, True, 4, ("a", b"\0")))

    seen = Transition(step=7, truncated=True, info={"x": lambda n: n * 2}, observation=("a", b"\0"))
    assert guarded(Looks())(seen) == 1.0
    assert guarded(lambda response: len(response))(row("\ud800" + "\0" * 1_000_000)) == 1_000_001.0


# --- the deadline ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "hostile"), [(ByRow, "loop"), (ByRow, "regex"), (ByRow, "sleep:60"), (ByBatch, "regex")]
)
def test_a_row_that_takes_too_long_is_a_timeout_and_costs_the_others_nothing(guarded, kind, hostile):
    component = guarded(kind(), timeout_value=-2.0)
    component(row("warm"))
    first = pid_of(component)
    start = time.monotonic()
    assert component.batch(rows("ab", hostile, "abc")) == [2.0, Score(-2.0, "timeout"), 3.0]
    # Row by row: one deadline. A batch: three for the batch, then one for the row alone; and two starts at most.
    assert time.monotonic() - start < 4 * SECONDS + 6.0
    assert not is_alive(first)
    assert component(row("abcd")) == 4.0


def test_a_timeout_is_a_verdict_that_no_error_policy_covers(guarded):
    pipeline = RewardPipeline({"g": guarded(ByRow(), timeout_value=-1.0)})
    batch = pipeline.compute(rows("ab", "loop"), 0)
    assert batch.total.tolist() == [2.0, -1.0]
    assert batch.status[:, 0].tolist() == ["ok", "timeout"]


@KINDS
def test_slow_but_in_time_is_no_timeout(guarded, kind):
    scores = guarded(kind(), seconds=0.6).batch(rows(*["sleep:0.2"] * 4))
    assert scores == [9.0] * 4  # 0.8 s in all: the deadline is for a row, not for the batch


def test_a_batch_that_is_slow_as_a_whole_is_scored_row_by_row(guarded, monkeypatch):
    monkeypatch.setattr("rlenvs.wrappers.deadline.component.BATCH_SHARE", 2)
    component = guarded(ByBatch(), seconds=0.4)
    component(row("warm"))
    first = pid_of(component)
    # Five rows of 0.2 s: the batch needs 1 s and has 2 * 0.4 s, each row has 0.4 s.
    assert component.batch(rows(*["sleep:0.2"] * 5)) == [9.0] * 5
    assert pid_of(component) != first


def test_every_row_may_hang(guarded):
    component = guarded(ByRow(), seconds=0.1)
    assert component.batch(rows("loop", "regex", "loop")) == [Score(0.0, "timeout")] * 3


def test_what_the_component_started_is_killed_with_it(guarded, tmp_path):
    note = tmp_path / "pid"

    def starts(response, *, path: str):
        child = subprocess.Popen(["sleep", "300"])
        with open(path, "w", encoding="ascii") as file:
            file.write(str(child.pid))
        while True:
            pass

    from rlenvs.wrappers.functions.decorators import component_of

    assert guarded(component_of(starts, path=str(note))).batch(rows("x")) == [Score(0.0, "timeout")]
    assert wait_until_gone(int(note.read_text()))


def test_the_clock_does_not_run_while_the_process_starts(guarded):
    class Slow(BaseReward):
        def __init__(self):
            self.ready = False

        def warm_up(self):
            time.sleep(1.0)
            self.ready = True

        def __call__(self, transition):
            return float(self.ready)

    assert guarded(Slow(), seconds=0.3).batch(rows("a", "b")) == [1.0, 1.0]


def test_a_process_that_never_gets_ready_is_an_error(guarded):
    class Never(BaseReward):
        def warm_up(self):
            time.sleep(60)

        def __call__(self, transition):
            return 1.0

    component = guarded(Never(), start_timeout_s=2.0)
    with pytest.raises(ComponentError, match="not ready within 2 s"):
        component(row("a"))
    assert component._worker is None


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "hostile"), [(ByRow, "segfault"), (ByBatch, "kill")])
def test_a_row_that_kills_the_process_is_an_error_and_the_others_keep_their_values(guarded, kind, hostile):
    scores = guarded(kind()).batch(rows("ab", hostile, "abc"))
    assert (scores[0], scores[2]) == (2.0, 3.0)
    assert scores[1].status == "error"
    assert math.isnan(scores[1].value)


@pytest.mark.parametrize(
    ("hostile", "reason"),
    [
        ("segfault", "was killed by SIGSEGV"),
        ("kill", "was killed by SIGKILL"),
        ("exit", "exited with code 3"),
        ("close", "closed its channel|exited"),
    ],
)
def test_the_message_says_how_a_process_ended(guarded, hostile, reason):
    with pytest.raises(ComponentError, match=f"its process ({reason})"):
        guarded(ByRow())(row(hostile))


@KINDS
def test_exceptions_come_back_with_type_and_message(guarded, kind):
    component = guarded(kind())
    with pytest.raises(ComponentError, match=r"^ValueError: no such thing$"):
        component(row("raise:no such thing"))
    with pytest.raises(ComponentError, match=r"^SystemExit: 4$"):
        component(row("sys.exit"))
    pid = pid_of(component)
    pipeline = RewardPipeline({"g": component}, policies={"g": ErrorPolicy("mask")})
    assert pipeline.compute(rows("ab", "raise:x", "abc"), 0).status[:, 0].tolist() == ["ok", "error", "ok"]
    with pytest.raises(ComponentError, match="transition 1 of the batch: ComponentError: ValueError: x;"):
        RewardPipeline({"g": component}).compute(rows("ab", "raise:x"), 0)
    assert pid_of(component) == pid  # an exception is no reason to start anew


def test_exceptions_that_cannot_be_shown_and_very_long_ones(guarded):
    class UnshowableError(Exception):
        def __str__(self):
            raise RuntimeError

    def fails(response):
        raise UnshowableError if response == "a" else ValueError("m" * 10_000_000)

    component = guarded(fails)
    with pytest.raises(ComponentError, match=r"^UnshowableError: "):
        component(row("a"))
    with pytest.raises(ComponentError, match=r"^ValueError: m{1900,2000}$"):
        component(row("b"))


def test_a_flood_of_output_neither_blocks_nor_reaches_the_channel(guarded, capfd):
    component = guarded(ByRow(), seconds=10.0)
    assert component.batch(rows("flood", "ab")) == [5.0, 2.0]
    assert capfd.readouterr() == ("", "")


def test_output_that_looks_like_a_reply_is_none(guarded):
    def forges(response):
        for descriptor in (1, 2):
            os.write(descriptor, b'{"kind": "row", "score": [100.0, "ok"]}\n')
        return 1.0

    assert guarded(forges).batch(rows("a", "b")) == [1.0, 1.0]


def test_memory_is_limited_where_asked(guarded):
    component = guarded(ByRow(), seconds=10.0, memory_mb=2048)
    with pytest.raises(ComponentError, match=r"^MemoryError"):
        component(row("memory:4096"))
    assert component(row("memory:16")) == 16 * 2**20


def test_the_last_words_of_a_process_are_in_the_message(guarded):
    def dies(response):
        print("out of tokens", flush=True)
        os._exit(9)

    with pytest.raises(ComponentError, match="exited with code 9; the last that it printed: 'out of tokens'"):
        guarded(dies)(row("a"))


@KINDS
def test_a_child_that_the_component_forked_does_not_hide_its_death(guarded, kind):
    component = guarded(kind(), seconds=60.0)
    started = time.monotonic()
    with pytest.raises(ComponentError, match="exited with code 3"):
        component(row("fork:exit"))
    assert component(row("fork:ok")) == 2.0
    os.kill(pid_of(component), signal.SIGKILL)
    assert wait_until_gone(pid_of(component))
    end = time.monotonic() + 30.0
    while not component._worker.is_gone and time.monotonic() < end:  # until what it started is ended too
        time.sleep(0.01)
    assert component(row("ok")) == 2.0
    assert time.monotonic() - started < 60.0


@KINDS
def test_a_child_that_comes_back_with_the_component_answers_nothing(guarded, kind):
    component = guarded(kind(), seconds=5.0)
    assert component.batch(rows("fork and return", "ok", "longer")) == [15.0, 2.0, 6.0]
    assert component.batch(rows("ok", "longer")) == [2.0, 6.0]


def test_killed_from_outside_in_the_middle_of_a_call(guarded):
    component = guarded(ByRow(), seconds=20.0)
    component(row("warm"))
    threading.Timer(0.3, os.kill, (pid_of(component), signal.SIGKILL)).start()
    # The row under way is scored again, alone, in a fresh process.
    assert component.batch(rows("ab", "sleep:0.8", "abc")) == [2.0, 9.0, 3.0]


def test_killed_from_outside_between_calls(guarded):
    component = guarded(ByBatch())
    component(row("warm"))
    for batch, scores in ((rows("ab", "abc"), [2.0, 3.0]), (rows("abcd"), [4.0])):
        pid = pid_of(component)
        os.kill(pid, signal.SIGKILL)
        assert wait_until_gone(pid)
        assert component.batch(batch) == scores


def test_a_component_that_cannot_be_sent_is_an_error_that_says_so(guarded):
    class Locked(BaseReward):
        def __init__(self):
            self.lock = threading.Lock()

        def __call__(self, transition):
            return 1.0

    with pytest.raises(ComponentError, match=r"Locked cannot be sent to its process: .*lock"):
        guarded(Locked())(row("a"))


def test_a_component_that_cannot_be_loaded_is_an_error_that_says_so(guarded):
    class Unloadable(BaseReward):
        def __call__(self, transition):
            return 1.0

        def __setstate__(self, state):
            raise RuntimeError("no model file")

        def __getstate__(self):
            return {"a": 1}

    with pytest.raises(ComponentError, match="its process could not start: RuntimeError: no model file"):
        guarded(Unloadable())(row("a"))


@pytest.mark.parametrize(
    "item",
    [None, 1.0, [1.0], [1.0, "ok", 2], ["1.0", "ok"], [True, "ok"], [1.0, ["ok"]], [10**400, "ok"], {"value": 1}],
)
def test_only_a_number_with_a_status_is_a_score(item):
    with pytest.raises(WorkerDiedError, match="what is no score"):
        _score(item)


@pytest.mark.parametrize("written", [b"garbage\n", b"[1]\n", b'{"kind": 3}\n', b"[" * 100_000 + b"\n"])
def test_a_channel_that_was_taken_over_yields_no_score(guarded, written):
    def forges(response, *, data: str):
        import os
        import socket

        for descriptor in range(3, 64):
            try:
                socket.socket(fileno=os.dup(descriptor)).send(data.encode())
            except OSError:
                continue
        return 1.0

    from rlenvs.wrappers.functions.decorators import component_of

    with pytest.raises(ComponentError, match="its process sent what is no reply"):
        guarded(component_of(forges, data=written.decode()))(row("a"))


# --- life and death of the process ----------------------------------------------------------------------------------


def test_the_process_is_started_when_needed_kept_and_closed(guarded):
    component = guarded(ByRow())
    assert component._worker is None
    component(row("a"))
    pid = pid_of(component)
    component.batch(rows("a", "b"))
    assert pid_of(component) == pid
    component.close()
    component.close()
    assert not is_alive(pid)
    assert component(row("ab")) == 2.0
    with component:
        second = pid_of(component)
    assert not is_alive(second)


def test_the_process_ends_with_the_object():
    component = DeadlineReward(ByRow(), SECONDS)
    component(row("a"))
    pid = pid_of(component)
    del component
    gc.collect()
    assert wait_until_gone(pid)


def test_copies_share_nothing(guarded):
    component = guarded(ByRow(), timeout_value=-3.0)
    component(row("a"))
    again = pickle.loads(pickle.dumps(component))  # noqa: S301
    assert again._worker is None
    assert again.timeout_value == -3.0
    with again:
        assert again(row("ab")) == 2.0
        assert pid_of(again) != pid_of(component)


# A shell starts what runs in the background with Ctrl-C ignored, the tests and their children too.
SCRIPT = """
import os, signal, sys, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from rlenvs.wrappers import BaseReward, Transition
from rlenvs.wrappers.deadline.component import DeadlineReward
class Component(BaseReward):
    def __call__(self, transition):
        if transition.response == "loop":
            while True:
                pass
        return 1.0
component = DeadlineReward(Component(), seconds=300.0)
def begin():
    assert component(Transition()) == 1.0
    print(component._worker.pid, flush=True)
"""


def start_script(body: str) -> "tuple[subprocess.Popen[str], int]":
    script = SCRIPT + textwrap.dedent(body)
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_no_orphan_is_left_when_the_parent_is_killed_in_the_middle_of_a_loop():
    process, worker = start_script("begin(); component(Transition(response='loop'))")
    time.sleep(0.3)
    assert is_alive(worker)
    process.kill()
    process.communicate()
    assert wait_until_gone(worker)


def test_the_process_ends_with_its_parent_and_not_with_a_thread_of_it():
    process, worker = start_script("""
        thread = threading.Thread(target=begin)
        thread.start()
        thread.join()
        time.sleep(0.3)
        before = component._worker.pid
        assert component(Transition()) == 1.0
        assert component._worker.pid == before
    """)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert wait_until_gone(worker)


def test_ctrl_c_ends_the_call_and_the_next_one_works():
    process, worker = start_script("""
        begin()
        try:
            component(Transition(response="loop"))
        except KeyboardInterrupt:
            print("interrupted", component(Transition()), flush=True)
    """)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("interrupted 1.0\n", "")
    assert process.returncode == 0
    assert wait_until_gone(worker)


def test_a_forked_process_starts_its_own_and_leaves_its_parents_alone():
    process, worker = start_script("""
        begin()
        child = os.fork()
        if child == 0:
            parents = component._worker.pid
            right = component(Transition()) == 1.0 and component._worker.pid != parents
            component.close()
            sys.exit(0 if right else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        before = component._worker.pid
        assert component(Transition()) == 1.0 and component._worker.pid == before
    """)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0
    assert wait_until_gone(worker)


def test_classes_of_a_script_travel_both_as_components_and_as_data():
    process, _ = start_script("""
        import dataclasses
        @dataclasses.dataclass
        class Move:
            good: bool
        class Judge(BaseReward):
            def __call__(self, transition):
                return float(isinstance(transition.action, Move) and transition.action.good)
        begin()
        with DeadlineReward(Judge(), seconds=30.0) as other:
            print(other.batch([Transition(action=Move(True)), Transition(action=Move(False))]))
    """)
    assert process.communicate(timeout=60) == ("[1.0, 0.0]\n", "")


def test_a_killed_supervisor_is_replaced(guarded):
    component, other = guarded(ByRow()), guarded(Counts())
    component(row("warm"))
    other.batch(rows("a", "b"))
    old = supervisor()
    workers = [pid_of(component), pid_of(other)]
    os.kill(old._process.pid, signal.SIGKILL)
    assert all(map(wait_until_gone, workers))
    assert component.batch(rows("ab", "abc")) == [2.0, 3.0]
    assert other(row("c")) == 3.0
    assert supervisor() is not old


def test_workers_share_one_supervisor_and_are_forks_of_it(guarded):
    component = guarded(ByRow())
    component(row("warm"))
    process = supervisor()._process.pid
    for _ in range(3):
        component.close()
        component(row("ab"))
        worker = pid_of(component)
        # A fork keeps the command line of its parent; an interpreter of its own would take a second to load the package.
        assert Path(f"/proc/{worker}/cmdline").read_bytes() == Path(f"/proc/{process}/cmdline").read_bytes()
        assert int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1]) == process
    assert supervisor()._process.pid == process


@pytest.mark.slow
@pytest.mark.ci
def test_dead_workers_do_not_pile_up(guarded):
    keeper = guarded(ByRow())
    keeper(row("warm"))
    pids = []
    for _ in range(5):
        passing = DeadlineReward(ByRow(), SECONDS)
        passing(row("a"))
        pids.append(pid_of(passing))
        del passing
        gc.collect()
    assert all(map(wait_until_gone, pids))
    guarded(ByRow())(row("a"))  # each fork waits for those that ended
    assert not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def test_a_file_of_the_working_directory_does_not_stand_in_for_a_module(tmp_path, monkeypatch, guarded):
    (tmp_path / "json.py").write_text("raise SystemExit('taken over')")
    monkeypatch.chdir(tmp_path)
    assert guarded(ByRow())(row("ab")) == 2.0


def test_the_environment_of_the_component_is_the_parents(guarded, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    assert guarded(lambda response: os.environ["PYTHONPATH"] == "/nowhere")(row("a")) == 1.0
    monkeypatch.delenv("PYTHONPATH")
    assert guarded(lambda response: "PYTHONPATH" not in os.environ)(row("a")) == 1.0


def test_a_stopped_process_is_given_up(guarded):
    component = guarded(ByRow(), start_timeout_s=2.0)
    component(row("a"))
    os.kill(pid_of(component), signal.SIGSTOP)
    start = time.monotonic()
    # It does not even begin: given up like a dead one, and the row is scored in a fresh process.
    assert component.batch(rows("ab", "abc")) == [2.0, 3.0]
    assert time.monotonic() - start < 10


def test_a_request_larger_than_the_buffers(guarded):
    assert guarded(lambda response: len(response), seconds=10.0).batch(rows(*["x" * 3_000_000] * 4)) == [3e6] * 4


# --- state ----------------------------------------------------------------------------------------------------------


class Counts(ByRow):
    """The number of rows that it has seen."""

    def __init__(self):
        self.seen = 0

    def __call__(self, transition):
        if transition.response.startswith(("loop", "raise", "kill")):
            act(transition.response)
        self.seen += 1
        return float(self.seen)

    def state_dict(self):
        return {"seen": self.seen}

    def load_state_dict(self, state):
        if state["seen"] < 0:
            raise ValueError("seen must be >= 0")
        self.seen = state["seen"]


def test_state_is_that_of_the_component_in_the_process(guarded):
    component = guarded(Counts())
    assert component.state_dict() == {"seen": 0}
    assert component.batch(rows("a", "b")) == [1.0, 2.0]
    assert component.state_dict() == {"seen": 2}
    fresh = guarded(Counts())
    fresh.load_state_dict(component.state_dict())
    assert fresh.state_dict() == {"seen": 2}
    assert fresh(row("c")) == component(row("c")) == 3.0
    json.dumps(component.state_dict())


def test_state_survives_a_killed_process_up_to_the_last_call(guarded):
    component = guarded(Counts(), seconds=0.3)
    component.batch(rows("a", "b"))
    assert component.batch(rows("c", "loop", "d")) == [3.0, Score(0.0, "timeout"), 3.0]
    assert component.state_dict() == {"seen": 3}
    component.close()
    assert component(row("e")) == 4.0
    again = pickle.loads(pickle.dumps(component))  # noqa: S301
    with again:
        assert again(row("f")) == 5.0


def test_the_returned_state_is_a_copy(guarded):
    component = guarded(Counts())
    component(row("a"))
    component.state_dict()["seen"] = 99
    assert component.state_dict() == {"seen": 1}


def test_a_state_that_the_component_refuses(guarded):
    component = guarded(Counts())
    with pytest.raises(ComponentError, match="ValueError: seen must be >= 0"):
        component.load_state_dict({"seen": -1})
    assert component(row("a")) == 1.0
    with pytest.raises(ValueError, match="ByRow keeps no state"):
        guarded(ByRow()).load_state_dict({"seen": 1})
    guarded(ByRow()).load_state_dict({})


def test_state_that_is_not_plain_breaks_the_contract(guarded):
    class Odd(Counts):
        def state_dict(self):
            return {"seen": {1, 2}}

    with pytest.raises(ContractError, match="not plain data: state"):
        guarded(Odd())(row("a"))


# --- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0}, "seconds must be > 0, got 0"),
        ({"seconds": math.nan}, "seconds must be > 0"),
        ({"seconds": 1, "timeout_value": math.inf}, "timeout_value must be finite"),
        ({"seconds": 1, "start_timeout_s": -1}, "start_timeout_s must be > 0"),
        ({"seconds": 1, "memory_mb": 1}, "memory_mb must be >= 64"),
    ],
)
def test_parameters_out_of_range(arguments, message):
    with pytest.raises(ParameterError, match=message):
        DeadlineReward(ByRow(), **arguments)


def test_one_deadline_is_enough():
    with pytest.raises(ParameterError, match="has a deadline already"):
        DeadlineReward(DeadlineReward(ByRow(), 1.0), 1.0)


def test_a_worker_that_fails_to_start_leaves_nothing_behind():
    with pytest.raises(WorkerDiedError, match="could not start: UnpicklingError"):
        WorkerProcess(b"no pickle", None, None, 60.0)
